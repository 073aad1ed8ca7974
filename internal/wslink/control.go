//go:build !js

package wslink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/internal/frame"
	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	pingSize = 8

	// controlTimeout bounds what has to be quick: the rest of a control frame,
	// the answer to the peer's close frame or to its fault.
	controlTimeout = 5 * time.Second
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
	return l.writeControl(frame.Ping, binary.BigEndian.AppendUint64(nil, id))
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
		if sent && !l.answered && (closed.Code == l.closeCode || closed.Code == 1005) {
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

// sendable says whether a close frame may carry the code, or its absence.
func sendable(code uint16) bool { return code == 1005 || frame.Sendable(code) }

// answerClose sends a close frame because of what the peer sent, as far as
// that can be done in controlTimeout. It says whether the frame was this one's
// to send: none was sent before.
func (l *link) answerClose(code uint16, reason string) bool {
	l.yielding.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	release := guard(ctx, l.stream.cut)
	defer release()
	return !errors.Is(l.sendClose(ctx, code, reason), errCloseSent)
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
		payload = append(binary.BigEndian.AppendUint16(nil, code), cut(reason, frame.MaxControl-2)...)
	}
	l.closeSent, l.closeCode = true, code
	l.stream.hush.Store(true)
	return l.writeControl(frame.Close, payload)
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
	l.pongDue = append(make([]byte, 0, len(payload)), payload...)
	l.pongWaits.Store(true)
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
	for l.pongWaits.Load() {
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

func (l *link) takePong() []byte {
	l.pongMu.Lock()
	defer l.pongMu.Unlock()
	p := l.pongDue
	l.pongDue = nil
	l.pongWaits.Store(false)
	return p
}

// sendPong is for the holder of writing. Its error is found by the next write.
func (l *link) sendPong() {
	if p := l.takePong(); p != nil {
		_ = l.writeControl(frame.Pong, p)
	}
}

// writeControl writes a control frame in one piece, so that it cannot come
// between the bytes of a frame of coder's. It is for the holder of writing.
func (l *link) writeControl(opcode byte, payload []byte) error {
	o := takeOut(&smallOuts, l.side)
	defer smallOuts.Put(o)
	if _, err := l.stream.send(o.enc.Append(o.buf[:0], frame.Fin|opcode, payload)); err != nil {
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
