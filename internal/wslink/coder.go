//go:build !js

package wslink

import (
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/holdfast-ws/holdfast/internal/frame"
	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

// readCoder reads one message through coder.
func (l *link) readCoder(dst []byte) (transport.MessageType, []byte, error) {
	typ, out, err := l.receive(dst)
	if err != nil {
		return 0, nil, l.explain(err)
	}
	return typ, out, nil
}

func (l *link) receive(dst []byte) (transport.MessageType, []byte, error) {
	typ, r, err := l.ws.Reader(context.Background())
	if err != nil {
		return 0, nil, err
	}
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, nil, err
		}
	}
	// coder takes an end of the connection inside a message for its end. Bytes
	// are asked of the stream only while the message lacks some.
	if l.stream.ended != nil {
		return 0, nil, l.stream.ended
	}
	if typ == websocket.MessageText && !utf8.Valid(dst[start:]) {
		return 0, nil, frame.ErrNotUTF8
	}
	return transport.MessageType(typ), dst, nil
}

// explain turns an error of coder into what Link promises, and tells the peer
// of a fault that coder lets pass.
func (l *link) explain(err error) error {
	var closed websocket.CloseError
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &closed):
		return &transport.CloseError{Code: uint16(closed.Code), Reason: closed.Reason}
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("%w of %d bytes", transport.ErrMessageTooBig, l.limit)
	case errors.Is(err, frame.ErrNotUTF8), errors.As(err, &corrupt), errors.Is(l.stream.bad, frame.ErrReason):
		_ = l.sendClose(context.Background(), 1007, "")
		return &transport.ProtocolError{Code: 1007, Err: err}
	case l.stream.bad != nil && errors.Is(l.stream.ended, l.stream.bad):
		_ = l.sendClose(context.Background(), 1002, "")
		return &transport.ProtocolError{Code: 1002, Err: l.stream.bad}
	case errors.Is(err, context.DeadlineExceeded):
		return err // coder's limit for control frames
	case l.stream.ended != nil:
		return redact.Error(l.stream.ended)
	case errors.Is(err, net.ErrClosed):
		return err
	}
	return &transport.ProtocolError{Code: 1002, Err: err} // coder has sent it
}

// writeCoder writes messages through coder. It is for the holder of writing.
func (l *link) writeCoder(msgs []transport.Message) (n int, err error) {
	if !l.enter() {
		return 0, net.ErrClosed
	}
	defer l.leave()
	for i, m := range msgs {
		l.sendPong()
		if m.Type != transport.Text && m.Type != transport.Binary {
			l.failWriting(fmt.Errorf("a message of type %v", m.Type))
			return i, l.writeErr
		}
		before := l.stream.writes.Load()
		if err := l.ws.Write(context.Background(), websocket.MessageType(m.Type), m.Data); err != nil {
			if l.stream.writes.Load() != before {
				i++
			}
			l.failWriting(err)
			return i, l.writeErr
		}
	}
	return len(msgs), nil
}
