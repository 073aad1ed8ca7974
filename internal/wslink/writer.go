//go:build !js

package wslink

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/holdfast-ws/holdfast/internal/frame"
	"github.com/holdfast-ws/holdfast/transport"
)

var errClosing = fmt.Errorf("the link is being closed: %w", net.ErrClosed)

const (
	smallOut = 4 << 10
	largeOut = 64 << 10
)

// Buffers to encode in are held during a call alone: how many there are is
// bounded by the calls that the network holds up.
var (
	smallOuts = sync.Pool{New: func() any { return &out{buf: make([]byte, 0, smallOut)} }}
	largeOuts = sync.Pool{New: func() any { return &out{buf: make([]byte, 0, largeOut)} }}
)

// out is where frames are encoded before they leave together.
type out struct {
	enc frame.Encoder
	buf []byte

	// Of the bytes in buf, tail end a frame that began in earlier ones; before
	// counts the messages that began in those.
	tail, before int
}

func takeOut(pool *sync.Pool, s side) *out {
	o := pool.Get().(*out)
	o.enc.Mask = s == clientSide
	o.buf, o.tail, o.before = o.buf[:0], 0, 0
	return o
}

// writeFrames encodes messages next to each other and writes as many as fit
// into a buffer at once. It is for the holder of writing.
func (l *link) writeFrames(msgs []transport.Message) (n int, err error) {
	pool := &smallOuts
	if !small(msgs) {
		pool = &largeOuts
	}
	o := takeOut(pool, l.side)
	defer pool.Put(o)
	for i := range msgs {
		m := &msgs[i]
		if l.yielding.Load() {
			if n, err := l.flush(o, i); err != nil {
				return n, err
			}
			return i, errClosing
		}
		if m.Type != transport.Text && m.Type != transport.Binary {
			if n, err := l.flush(o, i); err != nil {
				return n, err
			}
			l.failWriting(fmt.Errorf("a message of type %v", m.Type))
			return i, l.writeErr
		}
		if l.pongWaits.Load() {
			if n, err := l.makeRoom(o, i, frame.MaxHeader+frame.MaxControl); err != nil {
				return n, err
			}
			if p := l.takePong(); p != nil {
				o.buf = o.enc.Append(o.buf, frame.Fin|frame.Pong, p)
			}
		}
		if n, err := l.makeRoom(o, i, frame.MaxHeader); err != nil {
			return n, err
		}
		o.buf = o.enc.Begin(o.buf, frame.Fin|byte(m.Type), len(m.Data))
		for data := m.Data; ; {
			k := min(len(data), cap(o.buf)-len(o.buf))
			o.buf = o.enc.Continue(o.buf, data[:k])
			if data = data[k:]; len(data) == 0 {
				break
			}
			if n, err := l.flush(o, i+1); err != nil {
				return n, err
			}
			if l.side == serverSide && len(data) >= largeOut {
				if _, err := l.stream.send(data); err != nil {
					l.failWriting(err)
					return i + 1, l.writeErr
				}
				break
			}
			o.tail = min(len(data), cap(o.buf))
		}
	}
	return l.flush(o, len(msgs))
}

// small says that the messages fit into a small buffer.
func small(msgs []transport.Message) bool {
	size := 0
	for i := range msgs {
		if size += frame.MaxHeader + len(msgs[i].Data); size > smallOut {
			return false
		}
	}
	return true
}

func (l *link) makeRoom(o *out, begun, n int) (int, error) {
	if cap(o.buf)-len(o.buf) >= n {
		return 0, nil
	}
	return l.flush(o, begun)
}

// flush writes what is encoded. begun counts the messages that have begun so
// far. With an error n counts those of which a byte may have left.
func (l *link) flush(o *out, begun int) (n int, err error) {
	if len(o.buf) == 0 && len(l.stream.tail) == 0 {
		return begun, nil
	}
	sent, err := l.stream.send(o.buf)
	if err != nil {
		l.failWriting(err)
		return o.before + messagesIn(o.buf, o.tail, sent), l.writeErr
	}
	o.buf, o.tail, o.before = o.buf[:0], 0, begun
	return begun, nil
}

// messagesIn counts the messages that begin in the first sent bytes of frames.
// The first tail bytes belong to an earlier one.
func messagesIn(frames []byte, tail, sent int) (n int) {
	for at := tail; at < sent; {
		h := frames[at:]
		if h[0]&0x0f <= frame.Binary {
			n++
		}
		size, length := 2, uint64(h[1]&0x7f)
		switch length {
		case 126:
			size, length = 4, uint64(binary.BigEndian.Uint16(h[2:]))
		case 127:
			size, length = 10, binary.BigEndian.Uint64(h[2:])
		}
		if h[1]&0x80 != 0 {
			size += 4
		}
		at += size + int(min(length, uint64(len(frames))))
	}
	return n
}
