//go:build !js

package wslink

import (
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

var errNotUTF8 = errors.New("text that is not UTF-8")

// side is which end of the link this is. It decides who masks (RFC 6455,
// section 5.1).
type side bool

const (
	clientSide side = false
	serverSide side = true
)

// link implements transport.Link, at both ends. It starts no goroutine. After an error of
// Read or Write the owner still has to call Close or Abort.
type link struct {
	side  side
	limit int64
	pong  func(uint64)

	ws     *websocket.Conn
	stream *stream
	info   *transport.Info

	readErr  error         // the first, sticky; Read's until readDone
	readDone chan struct{} // closed once readErr is set

	// writing is held by the one who writes whole frames: Write, Ping, Close,
	// a pong. It guards writeErr, closeSent and closeCode.
	writing   chan struct{}
	writeErr  error // the first, sticky
	closeSent bool
	closeCode uint16

	pongMu  sync.Mutex
	pongDue []byte // the payload to answer, nil for none; only the latest counts

	mu       sync.Mutex // guards the rest
	active   int        // calls inside coder
	dead     bool
	released bool
	done     chan struct{} // closed when dead
}

// newLink makes one that takes messages of up to limit bytes, 0 for any.
func newLink(s side, limit int64, pong func(uint64)) *link {
	return &link{
		side:     s,
		limit:    limit,
		pong:     pong,
		readDone: make(chan struct{}),
		writing:  make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
}

func (l *link) start(ws *websocket.Conn, s *stream, info *transport.Info) {
	l.ws, l.stream, l.info = ws, s, info
	switch {
	case info.Session:
		l.limit = wire.MaxBatch
	case l.limit <= 0:
		l.limit = -1
	}
	ws.SetReadLimit(l.limit)
	s.frames.masked = l.side == serverSide
	s.armed = true
}

// Info tells how the link was made.
func (l *link) Info() *transport.Info { return l.info }

// LastRead is when bytes last arrived.
func (l *link) LastRead() time.Time {
	return l.stream.opened.Add(time.Duration(l.stream.lastRead.Load()))
}

// Read blocks for the next message.
func (l *link) Read(dst []byte) (transport.MessageType, []byte, error) {
	if l.readErr != nil {
		return 0, dst, l.readErr
	}
	if !l.enter() {
		return 0, dst, net.ErrClosed
	}
	defer l.leave()
	typ, out, err := l.receive(dst)
	if err != nil {
		l.readErr = l.explain(err)
		close(l.readDone)
		return 0, dst, l.readErr
	}
	return typ, out, nil
}

// receive reads one message through coder.
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
		return 0, nil, errNotUTF8
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
	case errors.Is(err, errNotUTF8), errors.As(err, &corrupt), errors.Is(l.stream.bad, errReason):
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

// Write hands messages to the network.
func (l *link) Write(msgs []transport.Message) (n int, err error) {
	if !l.enter() {
		return 0, net.ErrClosed
	}
	defer l.leave()
	if err := l.lockWriting(context.Background()); err != nil {
		return 0, err
	}
	defer l.unlockWriting()
	if err := l.writable(); err != nil {
		return 0, err
	}
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

// enter counts a call into coder; false says that the link is freed.
func (l *link) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	l.active++
	return true
}

func (l *link) leave() { l.settle(func() { l.active-- }) }

// Abort frees the link at once.
func (l *link) Abort() {
	l.settle(func() {
		if !l.dead {
			l.dead = true
			close(l.done)
		}
	})
	l.stream.Close()
}

// settle makes a change, and gives coder's resources back after it if the
// link is freed and no call is inside coder: whoever leaves last does it, as
// coder's own close waits for calls under way, and Abort may be inside one.
func (l *link) settle(change func()) {
	l.mu.Lock()
	change()
	last := l.dead && l.active == 0 && !l.released
	if last {
		l.released = true
	}
	l.mu.Unlock()
	if last {
		l.ws.CloseNow()
	}
}
