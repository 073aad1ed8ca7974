package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Conn is one end of a connection. It behaves like a *net.TCPConn, errors
// included; all methods are safe for concurrent use.
type Conn struct {
	net           *Network
	local, remote *net.TCPAddr
	in, out       *pipe
}

var _ net.Conn = (*Conn)(nil)

// Read returns what has arrived, blocking until something has. After the
// peer's Close it returns what is left and then io.EOF; after a reset what had
// arrived and then ECONNRESET.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

// Write blocks while the peer's buffer is full ([BufferSize]). Writes from
// several goroutines do not mix. The first Write after the peer's Close
// succeeds, as in TCP; later ones return ECONNRESET.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// Close ends the connection: the peer reads what is left, then io.EOF. If
// data was left unread here, the peer gets ECONNRESET in place of io.EOF, as
// TCP does it. A second Close returns net.ErrClosed.
func (c *Conn) Close() error { return c.close(false) }

// Reset ends the connection with a reset: the peer gets ECONNRESET.
func (c *Conn) Reset() error { return c.close(true) }

func (c *Conn) close(rst bool) error {
	unread, err := c.in.closeRead()
	if err != nil {
		return c.opError("close", err)
	}
	c.out.closeWrite(rst || unread)
	c.net.forget(c)
	return nil
}

// CloseWrite ends the outgoing direction: the peer reads what is left, then
// io.EOF. Reading goes on.
func (c *Conn) CloseWrite() error { return c.opError("close", c.out.shut()) }

// Freeze makes the connection half-open, or heals it: nothing more arrives at
// either end, not even its end, and no call fails for it. What was written in
// the meantime arrives when it is healed.
func (c *Conn) Freeze(on bool) {
	c.in.setHold(holdFrozen, on)
	c.out.setHold(holdFrozen, on)
}

// SetReadPace slows what the other end sends from now on: latency comes on top of
// the network's, and of two bandwidths the smaller one counts. 0 is neither.
func (c *Conn) SetReadPace(latency time.Duration, bytesPerSecond int) {
	c.in.setPace(latency, bytesPerSecond)
}

// SetWritePace is SetReadPace for what this end sends.
func (c *Conn) SetWritePace(latency time.Duration, bytesPerSecond int) {
	c.out.setPace(latency, bytesPerSecond)
}

// LocalAddr returns this end's *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes Reads fail with os.ErrDeadlineExceeded from t on; the
// zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline makes Writes fail with os.ErrDeadlineExceeded from t on;
// the zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.out.setWriteDeadline(t))
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
