//go:build !js

package wslink

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-ws/holdfast/internal/frame"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

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

	ws     *websocket.Conn // nil where the frames are read and written here
	stream *stream
	info   *transport.Info

	reader reader // Read's

	readErr  error         // the first, sticky; Read's until readDone
	readDone chan struct{} // closed once readErr is set

	// writing is held by the one who writes whole frames: Write, Ping, Close,
	// a pong. It guards writeErr, closeSent and closeCode.
	writing   chan struct{}
	owing     bool  // WriteSoon has kept writing for the next Write; both are the writer's
	writeErr  error // the first, sticky
	closeSent bool
	closeCode uint16

	// yielding asks a Write to let a close frame go first: the answer to the peer's
	// close, or to its fault.
	yielding atomic.Bool
	answered bool // the close frame is that answer; Read's until readDone

	pongMu    sync.Mutex
	pongDue   []byte      // the payload to answer, nil for none; only the latest counts
	pongWaits atomic.Bool // pongDue is not nil

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

// start begins with the frames. Where compression was agreed on, they are
// coder's; else coder has done its part and gives back what it holds.
func (l *link) start(ws *websocket.Conn, s *stream, compressed bool, info *transport.Info) {
	l.info = info
	switch {
	case info.Session:
		l.limit = wire.MaxBatch
	case l.limit <= 0:
		l.limit = -1
	}
	if compressed {
		l.ws, l.stream = ws, s
		ws.SetReadLimit(l.limit)
		s.frames.masked = l.side == serverSide
		s.armed = true
		return
	}
	s.kept = true
	ws.CloseNow()
	l.begin(s)
}

// begin reads and writes the frames over s.
func (l *link) begin(s *stream) {
	l.stream = s
	l.reader.dec = frame.NewDecoder(l.side == serverSide, l.limit)
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
	var typ transport.MessageType
	var out []byte
	var err error
	if l.ws == nil {
		if l.freed() {
			return 0, dst, net.ErrClosed
		}
		typ, out, err = l.readFrames(dst)
	} else {
		if !l.enter() {
			return 0, dst, net.ErrClosed
		}
		defer l.leave()
		typ, out, err = l.readCoder(dst)
	}
	if l.Interrupted(err) {
		return 0, out, err
	}
	if err != nil {
		l.readErr = err
		close(l.readDone)
		return 0, dst, err
	}
	return typ, out, nil
}

// Write hands messages to the network.
func (l *link) Write(msgs []transport.Message) (n int, err error) {
	if l.freed() {
		return 0, net.ErrClosed
	}
	if l.owing {
		l.owing = false
	} else if err := l.lockWriting(context.Background()); err != nil {
		return 0, err
	}
	defer l.unlockWriting()
	if err := l.writable(); err != nil {
		return 0, err
	}
	if l.ws != nil {
		return l.writeCoder(msgs)
	}
	return l.writeFrames(msgs)
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

// freed says that Abort was called.
func (l *link) freed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
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
	l.stream.cut()
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
	if last && l.ws != nil {
		l.ws.CloseNow()
	}
}
