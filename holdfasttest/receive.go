package holdfasttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/transport"
)

// maxMessage bounds a message received, in bytes.
const maxMessage = 64 << 20

// Receive returns the client's next message, put together from its fragments.
// On the way it answers pings and the close frame, unless OnPing and OnClose
// say otherwise; without a Receive under way nothing is answered. The error is
// a [*transport.CloseError] after a close frame, and a
// [*transport.ProtocolError] when the client broke RFC 6455: this server is
// strict, answers with 1002 or 1007 and expects its script to end. A message
// of more than 64 MiB is answered with 1009; its error wraps
// transport.ErrMessageTooBig. Every later call returns the same error.
func (p *Peer) Receive() (transport.MessageType, []byte, error) {
	if err := p.read.lock(p.conn.closed); err != nil {
		return 0, nil, err
	}
	defer p.read.unlock()
	return p.receive()
}

// receive is Receive with the read lock held.
func (p *Peer) receive() (typ transport.MessageType, data []byte, err error) {
	if p.readErr != nil {
		return 0, nil, p.readErr
	}
	typ, data, err = p.readMessage()
	if err == nil {
		return typ, data, nil
	}
	var bad *transport.ProtocolError
	switch {
	case errors.As(err, &bad):
		p.answerClose(bad.Code, bad.Err.Error())
	case errors.Is(err, transport.ErrMessageTooBig):
		p.answerClose(1009, "")
	}
	p.readErr = err
	return 0, nil, err
}

func (p *Peer) readMessage() (typ transport.MessageType, data []byte, err error) {
	for {
		f, err := readFrame(p.br, uint64(maxMessage-len(data)))
		switch {
		case errors.Is(err, errLength):
			return 0, nil, protocolError(1002, err.Error())
		case errors.Is(err, errTooBig):
			return 0, nil, fmt.Errorf("%w: %d bytes", transport.ErrMessageTooBig, maxMessage)
		case err != nil:
			return 0, nil, err
		}
		if err := checkFrame(f, typ != 0); err != nil {
			return 0, nil, err
		}
		switch f.Opcode {
		case OpPing:
			p.ping(f.Payload)
			continue
		case OpPong:
			if h := p.onPong.Load(); h != nil {
				(*h)(f.Payload)
			}
			continue
		case OpClose:
			return 0, nil, p.close(f.Payload)
		case OpText, OpBinary:
			typ, data = transport.MessageType(f.Opcode), f.Payload
		default:
			data = append(data, f.Payload...)
		}
		if !f.Fin {
			continue
		}
		if typ == transport.Text && !utf8.Valid(data) {
			return 0, nil, protocolError(1007, "text that is not UTF-8")
		}
		return typ, data, nil
	}
}

// checkFrame holds a client's frame to RFC 6455, sections 5.1 to 5.5. open
// says that a message has begun.
func checkFrame(f Frame, open bool) error {
	switch {
	case f.RSV != 0:
		return protocolError(1002, "reserved bits without an extension")
	case !f.Masked:
		return protocolError(1002, "a frame that is not masked")
	}
	switch f.Opcode {
	case OpClose, OpPing, OpPong:
		if !f.Fin || len(f.Payload) > 125 {
			return protocolError(1002, "a control frame that is fragmented or too long")
		}
	case OpContinuation:
		if !open {
			return protocolError(1002, "a continuation of nothing")
		}
	case OpText, OpBinary:
		if open {
			return protocolError(1002, "a new message inside another")
		}
	default:
		return protocolError(1002, fmt.Sprintf("opcode %d", f.Opcode))
	}
	return nil
}

func (p *Peer) ping(payload []byte) {
	send := true
	if h := p.onPing.Load(); h != nil {
		payload, send = (*h)(payload)
	}
	if send {
		// A write that fails shows in the next read too.
		_ = p.WriteFrame(Frame{Fin: true, Opcode: OpPong, Payload: payload})
	}
}

// close deals with the client's close frame.
func (p *Peer) close(payload []byte) error {
	code, reason := uint16(1005), ""
	if len(payload) > 0 {
		if len(payload) == 1 {
			return protocolError(1002, "a close frame of one byte")
		}
		code, reason = binary.BigEndian.Uint16(payload), string(payload[2:])
		switch {
		case !sendable(code):
			return protocolError(1002, fmt.Sprintf("close code %d", code))
		case !utf8.ValidString(reason):
			return protocolError(1007, "a close reason that is not UTF-8")
		}
	}
	p.mu.Lock()
	p.code, p.reason = code, reason
	p.mu.Unlock()
	answer := true
	if h := p.onClose.Load(); h != nil {
		answer = (*h)(code, reason)
	}
	if answer {
		p.answerClose(code, "")
	}
	close(p.gotClose)
	return &transport.CloseError{Code: code, Reason: reason}
}

// sendable says whether a close frame may carry the code (RFC 6455, section
// 7.4, and the IANA registry).
func sendable(code uint16) bool {
	switch code {
	case 1004, 1005, 1006, 1015:
		return false
	}
	return 1000 <= code && code <= 1014 || 3000 <= code && code <= 4999
}

func protocolError(code uint16, what string) error {
	return &transport.ProtocolError{Code: code, Err: errors.New(what)}
}
