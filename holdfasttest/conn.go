package holdfasttest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// serverConn is a connection that can be frozen, dropped and reset, and that
// may have faults to come.
type serverConn struct {
	net.Conn
	raw   net.Conn     // below TLS
	limit atomic.Int64 // bytes that may still be read; negative: no limit
	tap   atomic.Pointer[tap]

	server *Server
	once   sync.Once
	closed chan struct{}

	ice
}

func newServerConn(s *Server, c, raw net.Conn) *serverConn {
	sc := &serverConn{Conn: c, raw: raw, server: s, closed: make(chan struct{})}
	sc.limit.Store(-1)
	return sc
}

var errHeadTooBig = errors.New("the request's head is too big")

func (c *serverConn) Read(b []byte) (int, error) {
	if t := c.tap.Load(); t != nil {
		return t.read(b)
	}
	if err := c.gate(reading); err != nil {
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
	return c.hold(n, err)
}

// hold keeps back what has been read of a connection that has been frozen
// meanwhile.
func (c *serverConn) hold(n int, err error) (int, error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if gateErr := c.gate(reading); gateErr != nil {
		return 0, gateErr
	}
	return n, err
}

func (c *serverConn) Write(b []byte) (int, error) {
	if t := c.tap.Load(); t != nil {
		return t.write(b)
	}
	if err := c.gate(writing); err != nil {
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

// end ends the connection by f, once.
func (c *serverConn) end(f func()) {
	c.once.Do(func() {
		close(c.closed)
		f()
		c.server.forget(c)
	})
}

// Close is for the http.Server, which says goodbye to a client of TLS.
func (c *serverConn) Close() error {
	c.end(func() { _ = c.Conn.Close() })
	return nil
}

// drop closes the TCP connection, without a word of TLS.
func (c *serverConn) drop() { c.end(func() { _ = c.raw.Close() }) }

// reset ends the TCP connection with RST.
func (c *serverConn) reset() {
	c.end(func() {
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
