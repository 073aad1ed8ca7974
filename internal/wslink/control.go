//go:build !js

package wslink

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	opClose = 8
	opPing  = 9
	opPong  = 10

	// maxControl bounds a control frame's payload (RFC 6455, section 5.5).
	maxControl = 125
	pingSize   = 8
)

var errCloseSent = fmt.Errorf("a close frame has been sent: %w", net.ErrClosed)

// Ping sends a ping whose payload is id, eight bytes, most significant first.
func (l *link) Ping(id uint64) error {
	if err := l.lockWriting(context.Background()); err != nil {
		return err
	}
	defer l.unlockWriting()
	if err := l.writable(); err != nil {
		return err
	}
	return l.writeControl(opPing, binary.BigEndian.AppendUint64(nil, id))
}

// Close sends a close frame and waits until a Read has met the peer's.
// Only a close frame with the same code, or with none, is an answer: another
// one has crossed ours, and is the error. A reason longer than 123 bytes is
// cut. Code 1005 sends no code.
func (l *link) Close(ctx context.Context, code uint16, reason string) error {
	defer l.Abort()
	release := guard(ctx, l.Abort)
	defer release()
	if !sendable(code) {
		return fmt.Errorf("close code %d cannot be sent", code)
	}
	if err := l.readEnd(); err != nil {
		return fmt.Errorf("closed already: %w", err)
	}
	err := l.sendClose(ctx, code, reason)
	sent := err == nil || errors.Is(err, errCloseSent)
	if sent {
		select {
		case <-l.readDone:
		case <-l.done:
		}
		err = net.ErrClosed
	}
	var closed *transport.CloseError
	if end := l.readEnd(); errors.As(end, &closed) {
		if sent && (closed.Code == l.closeCode || closed.Code == 1005) {
			return nil
		}
		err = end
	} else if ctx.Err() != nil {
		err = ctx.Err()
	} else if end != nil {
		err = end
	}
	return fmt.Errorf("no answer to the close frame: %w", err)
}

// readEnd is why reading has ended, nil while it has not.
func (l *link) readEnd() error {
	select {
	case <-l.readDone:
		return l.readErr
	default:
		return nil
	}
}

// sendable says whether a close frame may carry the code, or its absence
// (RFC 6455, section 7.4).
func sendable(code uint16) bool {
	switch code {
	case 1004, 1006, 1015:
		return false
	}
	return 1000 <= code && code <= 1014 || 3000 <= code && code <= 4999
}

// sendClose sends a close frame, the first and only one.
func (l *link) sendClose(ctx context.Context, code uint16, reason string) error {
	if err := l.lockWriting(ctx); err != nil {
		return err
	}
	defer l.unlockWriting()
	if err := l.writable(); err != nil {
		return err
	}
	var payload []byte
	if code != 1005 {
		payload = append(binary.BigEndian.AppendUint16(nil, code), cut(reason, maxControl-2)...)
	}
	l.closeSent, l.closeCode = true, code
	l.stream.hush.Store(true)
	return l.writeControl(opClose, payload)
}

// cut returns what of s fits into max bytes, in whole characters.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// onPing notes that a pong is due. If another frame is being written, its
// writer sends the pong; so Read never waits for a slow message, and a peer
// that pings faster than pongs leave gets the latest (RFC 6455, section 5.5.3).
func (l *link) onPing(_ context.Context, payload []byte) bool {
	l.pongMu.Lock()
	l.pongDue = append(l.pongDue[:0:0], payload...)
	if l.pongDue == nil {
		l.pongDue = []byte{}
	}
	l.pongMu.Unlock()
	l.tryPong()
	return false // coder sends none
}

func (l *link) onPong(_ context.Context, payload []byte) {
	if l.pong != nil && len(payload) == pingSize {
		l.pong(binary.BigEndian.Uint64(payload))
	}
}

// tryPong sends the pong that is due, if no one else is writing.
func (l *link) tryPong() {
	for l.pongIsDue() {
		select {
		case l.writing <- struct{}{}:
		default:
			return
		}
		if l.writeErr == nil {
			l.sendPong()
		} else {
			l.takePong()
		}
		<-l.writing
	}
}

func (l *link) pongIsDue() bool {
	l.pongMu.Lock()
	defer l.pongMu.Unlock()
	return l.pongDue != nil
}

func (l *link) takePong() []byte {
	l.pongMu.Lock()
	defer l.pongMu.Unlock()
	p := l.pongDue
	l.pongDue = nil
	return p
}

// sendPong is for the holder of writing. Its error is found by the next write.
func (l *link) sendPong() {
	if p := l.takePong(); p != nil {
		_ = l.writeControl(opPong, p)
	}
}

// writeControl writes a control frame in one piece, so that it cannot come
// between the bytes of a frame of coder's. It is for the holder of writing.
func (l *link) writeControl(opcode byte, payload []byte) error {
	frame := make([]byte, 0, 6+len(payload))
	if l.side == serverSide {
		frame = append(frame, 0x80|opcode, byte(len(payload)))
		frame = append(frame, payload...)
	} else {
		var key [4]byte
		rand.Read(key[:])
		frame = append(frame, 0x80|opcode, 0x80|byte(len(payload)))
		frame = append(frame, key[:]...)
		for i, b := range payload {
			frame = append(frame, b^key[i%4])
		}
	}
	if _, err := l.stream.send(frame); err != nil {
		l.failWriting(err)
		return l.writeErr
	}
	return nil
}

// lockWriting takes the right to write, unless ctx or the link ends first.
func (l *link) lockWriting(ctx context.Context) error {
	select {
	case l.writing <- struct{}{}:
		return nil
	case <-l.done:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) unlockWriting() {
	<-l.writing
	l.tryPong()
}

// writable is for the holder of writing.
func (l *link) writable() error {
	if l.writeErr != nil {
		return l.writeErr
	}
	if l.closeSent {
		return errCloseSent
	}
	return nil
}

// failWriting keeps the first error, as the network said it.
func (l *link) failWriting(err error) {
	if l.writeErr != nil {
		return
	}
	if first := l.stream.writeErr.Load(); first != nil {
		err = *first
	}
	l.writeErr = redact.Error(err)
}
