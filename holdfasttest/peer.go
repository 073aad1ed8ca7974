package holdfasttest

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// closeTimeout bounds the wait for the client's answer to a close frame.
const closeTimeout = 5 * time.Second

// Peer is the server's end of one accepted connection. All methods are safe
// for concurrent use. They return once the connection has ended, on either
// side; those that return an error then return one.
type Peer struct {
	server  *Server
	conn    *serverConn
	request *http.Request
	n       int

	read    lock // held by whoever reads br
	br      *bufio.Reader
	readErr error // guarded by read; the first, which later reads repeat

	write     lock
	buf       []byte // guarded by write
	closeSent bool   // guarded by write

	onPing  atomic.Pointer[func([]byte) ([]byte, bool)]
	onPong  atomic.Pointer[func([]byte)]
	onClose atomic.Pointer[func(uint16, string) bool]

	mu       sync.Mutex
	code     uint16
	reason   string
	gotClose chan struct{} // closed once the client's close frame is here
}

func newPeer(s *Server, c *serverConn, br *bufio.Reader, r *http.Request, n int) *Peer {
	return &Peer{server: s, conn: c, br: br, request: r, n: n, read: newLock(), write: newLock(),
		code: 1006, gotClose: make(chan struct{})}
}

// finish ends the connection after its script.
func (p *Peer) finish() {
	p.conn.settle()
	p.conn.drop()
	p.server.remove(p)
}

// Request returns the handshake's request. Its Body must not be read.
func (p *Peer) Request() *http.Request { return p.request }

// N is the number of the handshake, from 1, as [Server.OnRequest] counts.
func (p *Peer) N() int { return p.n }

// RemoteAddr returns the client's address.
func (p *Peer) RemoteAddr() net.Addr { return p.conn.RemoteAddr() }

// Done is closed when this end has ended the connection: by the end of its
// script, Close, Drop or Reset. It does not tell that the client has left;
// Receive does.
func (p *Peer) Done() <-chan struct{} { return p.conn.closed }

// OnPing sets what answers the client's pings: f returns the pong's payload,
// and whether to send a pong at all. It runs in the goroutine that receives.
// nil, the default, answers as RFC 6455 says, with the ping's payload.
func (p *Peer) OnPing(f func(payload []byte) (answer []byte, send bool)) {
	store(&p.onPing, f, f == nil)
}

// OnPong sets what learns of the client's pongs. It runs in the goroutine that receives.
func (p *Peer) OnPong(f func(payload []byte)) { store(&p.onPong, f, f == nil) }

// OnClose sets what learns of the client's close frame, and says whether it is
// answered. It runs in the goroutine that receives. nil, the default, answers
// with the same code.
func (p *Peer) OnClose(f func(code uint16, reason string) (answer bool)) {
	store(&p.onClose, f, f == nil)
}

func store[F any](p *atomic.Pointer[F], f F, none bool) {
	if none {
		p.Store(nil)
		return
	}
	p.Store(&f)
}

// Send sends a message in one frame. Text is not checked to be UTF-8, and
// nothing stops a message after a close frame.
func (p *Peer) Send(typ transport.MessageType, data []byte) error {
	return p.WriteFrame(Frame{Fin: true, Opcode: byte(typ), Payload: data})
}

// SendFragmented sends a message with each part in a frame of its own.
func (p *Peer) SendFragmented(typ transport.MessageType, parts ...[]byte) error {
	if len(parts) == 0 {
		return p.Send(typ, nil)
	}
	frames := make([]Frame, len(parts))
	for i, part := range parts {
		frames[i] = Frame{Payload: part}
	}
	frames[0].Opcode = byte(typ)
	frames[len(parts)-1].Fin = true
	return p.writeFrames(frames...)
}

// Ping sends a ping. The pong is seen by OnPong while Receive runs.
func (p *Peer) Ping(payload []byte) error {
	return p.WriteFrame(Frame{Fin: true, Opcode: OpPing, Payload: payload})
}

// SendClose sends a close frame and does nothing else. A code of 0 or 1005
// sends a frame without a code.
func (p *Peer) SendClose(code uint16, reason string) error {
	if err := p.write.lock(p.conn.closed); err != nil {
		return err
	}
	defer p.write.unlock()
	p.closeSent = true
	return p.writeLocked(closeFrame(code, reason))
}

// answerClose sends a close frame unless one has been sent.
func (p *Peer) answerClose(code uint16, reason string) {
	if p.write.lock(p.conn.closed) != nil {
		return
	}
	defer p.write.unlock()
	if !p.closeSent {
		p.closeSent = true
		_ = p.writeLocked(closeFrame(code, reason))
	}
}

func closeFrame(code uint16, reason string) Frame {
	f := Frame{Fin: true, Opcode: OpClose}
	if code != 0 && code != 1005 {
		f.Payload = append(binary.BigEndian.AppendUint16(nil, code), reason...)
	}
	return f
}

// WriteFrame sends a frame as it is.
func (p *Peer) WriteFrame(f Frame) error { return p.writeFrames(f) }

// WriteRaw sends bytes as they are.
func (p *Peer) WriteRaw(b []byte) error {
	if err := p.write.lock(p.conn.closed); err != nil {
		return err
	}
	defer p.write.unlock()
	_, err := p.conn.Write(b)
	return err
}

func (p *Peer) writeFrames(fs ...Frame) error {
	if err := p.write.lock(p.conn.closed); err != nil {
		return err
	}
	defer p.write.unlock()
	for _, f := range fs {
		if err := p.writeLocked(f); err != nil {
			return err
		}
	}
	return nil
}

// writeLocked sends a frame with the write lock held.
func (p *Peer) writeLocked(f Frame) error {
	b := f.Append(p.buf[:0])
	if cap(b) <= 64<<10 {
		p.buf = b
	}
	_, err := p.conn.Write(b)
	return err
}

// Close sends a close frame, waits until the client has answered it, 5 seconds
// at most, and drops the connection. Messages that nobody receives meanwhile
// are lost. The error is nil if the client answered.
func (p *Peer) Close(code uint16, reason string) error {
	var late atomic.Bool
	t := time.AfterFunc(closeTimeout, func() {
		late.Store(true)
		p.Drop()
	})
	defer t.Stop()
	defer p.Drop()
	err := p.SendClose(code, reason)
	if err == nil {
		p.awaitClose()
	}
	select {
	case <-p.gotClose:
		return nil
	default:
	}
	switch {
	case late.Load():
		return os.ErrDeadlineExceeded
	case err == nil:
		err = net.ErrClosed
	}
	return err
}

// awaitClose returns when the client's close frame has come or cannot come any
// more. It reads unless somebody else does.
func (p *Peer) awaitClose() {
	select {
	case p.read <- struct{}{}:
		defer p.read.unlock()
		for p.readErr == nil {
			_, _, _ = p.receive()
		}
	case <-p.gotClose:
	case <-p.conn.closed:
	}
}

// Drop ends the connection without a close frame. The client sees the end of
// the stream, or a reset if it had sent what nobody has received, as TCP does it.
func (p *Peer) Drop() { p.conn.drop() }

// Reset ends the connection with a TCP reset.
func (p *Peer) Reset() { p.conn.reset() }

// Freeze makes the connection half-open, or heals it: nothing is read, written
// or answered, and no call fails for it. Calls wait.
func (p *Peer) Freeze(on bool) { p.conn.freeze(on) }

// CloseCode returns the code and reason of the client's close frame, 1005 for
// a frame without a code, and 1006 as long as none has been received.
func (p *Peer) CloseCode() (code uint16, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code, p.reason
}

// A lock is a mutex whose wait can be given up, and that synctest knows.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) lock(done <-chan struct{}) error {
	select {
	case <-done: // first, whatever else is ready
		return net.ErrClosed
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-done:
		return net.ErrClosed
	}
}

func (l lock) unlock() { <-l }
