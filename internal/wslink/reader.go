//go:build !js

package wslink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/frame"
	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// quietBuffer is what a link waits with. It is prime, so that frames of one
	// size do not go on filling it to the byte.
	quietBuffer = 1021
	busyBuffer  = 64 << 10
	// straight is how much of a frame's payload has to be missing to be read
	// to where it belongs: below it, what comes behind is better read with it.
	straight = 32 << 10
)

var busyBuffers = sync.Pool{New: func() any { return new([busyBuffer]byte) }}

// reader is a link's side of reading frames.
type reader struct {
	dec   frame.Decoder
	quiet []byte            // quietBuffer, from the first Read on
	busy  *[busyBuffer]byte // while more comes than quiet takes
	data  []byte            // read and not decoded: part of one of the two
	full  bool              // the last read filled what it was given
	// control is when a control frame came in part, zero while none has.
	control time.Time
}

// readFrames reads one message. The payload of a large one goes straight to
// where it is wanted.
func (l *link) readFrames(dst []byte) (transport.MessageType, []byte, error) {
	r := &l.reader
	for {
		ev, err := frame.None, error(nil)
		if len(r.data) > 0 {
			var n int
			dst, n, ev, err = r.dec.Decode(dst, r.data)
			r.data = r.data[n:]
		} else if p := r.dec.Pending(); p >= straight {
			dst = r.dec.Room(dst, straight)
			room := dst[len(dst):min(int64(cap(dst)), int64(len(dst))+p)]
			n, readErr := l.stream.fill(room)
			if readErr != nil {
				return 0, dst, l.ended(readErr)
			}
			r.full = n == len(room)
			dst = dst[:len(dst)+n]
			ev, err = r.dec.Took(room[:n])
		} else if err := l.fetch(); err != nil {
			return 0, dst, err
		}
		if err != nil {
			return 0, nil, l.fault(err)
		}
		if ev != frame.None {
			r.control = time.Time{}
		}
		switch ev {
		case frame.Message:
			return transport.MessageType(r.dec.MessageType()), dst, nil
		case frame.GotPing:
			l.onPing(context.Background(), r.dec.Control())
		case frame.GotPong:
			l.onPong(context.Background(), r.dec.Control())
		case frame.GotClose:
			return 0, nil, l.peerClosed(r.dec.Control())
		}
		if ev != frame.None && l.freed() {
			return 0, nil, net.ErrClosed
		}
	}
}

// fetch reads into a buffer of the link's, when none of its bytes is left. A
// large one is held only between a read that was not enough and one that was:
// never while the link waits for what may not come.
func (l *link) fetch() error {
	r := &l.reader
	var buf []byte
	if r.full && !r.dec.Between() {
		if r.busy == nil {
			r.busy = busyBuffers.Get().(*[busyBuffer]byte)
		}
		buf = r.busy[:]
	} else {
		if r.busy != nil {
			busyBuffers.Put(r.busy)
			r.busy = nil
		}
		if r.quiet == nil {
			r.quiet = make([]byte, quietBuffer)
		}
		buf = r.quiet
	}
	var n int
	var err error
	if r.dec.InControl() {
		n, err = l.fillSoon(buf)
	} else {
		n, err = l.stream.fill(buf)
	}
	if err != nil {
		return l.ended(err)
	}
	r.data, r.full = buf[:n], n == len(buf)
	return nil
}

// fillSoon ends the link if the rest of a control frame takes too long.
func (l *link) fillSoon(buf []byte) (int, error) {
	if l.reader.control.IsZero() {
		l.reader.control = time.Now()
	}
	var late atomic.Bool
	t := time.AfterFunc(controlTimeout-time.Since(l.reader.control), func() {
		late.Store(true)
		l.stream.cut()
	})
	defer t.Stop()
	n, err := l.stream.fill(buf)
	if err != nil && late.Load() {
		err = fmt.Errorf("a control frame came in part: %w", context.DeadlineExceeded)
	}
	return n, err
}

// ended is the error of a Read after one of the connection.
func (l *link) ended(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errInterrupted) {
		return err
	}
	return redact.Error(err)
}

// fault tells the peer of its fault.
func (l *link) fault(err error) error {
	var f *frame.Fault
	if !errors.As(err, &f) {
		return err
	}
	l.answerClose(f.Code, f.Error())
	if errors.Is(err, frame.ErrTooBig) {
		return fmt.Errorf("%w of %d bytes", transport.ErrMessageTooBig, l.limit)
	}
	return &transport.ProtocolError{Code: f.Code, Err: err}
}

// peerClosed answers the peer's close frame, if it is no answer itself, and
// ends the connection.
func (l *link) peerClosed(payload []byte) error {
	code, reason := frame.Closed(payload)
	l.answered = l.answerClose(code, reason)
	l.stream.cut()
	return &transport.CloseError{Code: code, Reason: reason}
}
