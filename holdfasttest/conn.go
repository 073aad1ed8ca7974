package holdfasttest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// serverConn is a connection that can be frozen, dropped and reset.
type serverConn struct {
	net.Conn
	raw   net.Conn     // below TLS
	limit atomic.Int64 // bytes that may still be read; negative: no limit

	once   sync.Once
	closed chan struct{}

	mu   sync.Mutex
	thaw chan struct{} // non-nil while frozen; closed to go on
}

func newServerConn(c, raw net.Conn) *serverConn {
	sc := &serverConn{Conn: c, raw: raw, closed: make(chan struct{})}
	sc.limit.Store(-1)
	return sc
}

var errHeadTooBig = errors.New("the request's head is too big")

func (c *serverConn) Read(b []byte) (int, error) {
	if err := c.gate(); err != nil {
		return 0, err
	}
	switch limit := c.limit.Load(); {
	case limit == 0:
		return 0, errHeadTooBig
	case limit > 0 && int64(len(b)) > limit:
		b = b[:limit]
	}
	n, err := c.Conn.Read(b)
	if c.limit.Load() > 0 {
		c.limit.Add(-int64(n))
	}
	if gateErr := c.gate(); gateErr != nil {
		return 0, gateErr
	}
	return n, err
}

func (c *serverConn) Write(b []byte) (int, error) {
	if err := c.gate(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// badRequest begins the answer to what is no HTTP, such as the TLS of a client
// that took this for a TLS server.
const badRequest = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// handshake makes the TLS handshake, if there is one to make. A client that
// speaks plain HTTP is told so.
func (c *serverConn) handshake() error {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	err := t.Handshake()
	var re tls.RecordHeaderError
	if errors.As(err, &re) && re.Conn != nil && string(re.RecordHeader[:4]) == "GET " {
		_, _ = io.WriteString(re.Conn, badRequest+"this is a TLS server\n")
	}
	return err
}

// gate waits while the connection is frozen, and fails once it is closed.
func (c *serverConn) gate() error {
	for {
		c.mu.Lock()
		thaw := c.thaw
		c.mu.Unlock()
		if thaw == nil {
			select {
			case <-c.closed:
				return net.ErrClosed
			default:
				return nil
			}
		}
		select {
		case <-thaw:
		case <-c.closed:
			return net.ErrClosed
		}
	}
}

func (c *serverConn) freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case on && c.thaw == nil:
		c.thaw = make(chan struct{})
	case !on && c.thaw != nil:
		close(c.thaw)
		c.thaw = nil
	}
}

// drop closes the TCP connection, without a word of TLS.
func (c *serverConn) drop() {
	c.once.Do(func() {
		close(c.closed)
		_ = c.raw.Close()
	})
}

// reset ends the TCP connection with RST.
func (c *serverConn) reset() {
	c.once.Do(func() {
		close(c.closed)
		switch raw := c.raw.(type) {
		case interface{ Reset() error }:
			_ = raw.Reset()
			return
		case *net.TCPConn:
			_ = raw.SetLinger(0)
		}
		_ = c.raw.Close()
	})
}
