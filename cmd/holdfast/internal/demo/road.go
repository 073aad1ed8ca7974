package demo

import (
	"net"
	"sync"
)

// road is the way to the servers: the connections that they have accepted,
// which can be cut and frozen.
type road struct {
	mu    sync.Mutex
	conns map[*roadConn]struct{}
}

func newRoad() *road { return &road{conns: map[*roadConn]struct{}{}} }

// each does something to every connection there is.
func (r *road) each(do func(*roadConn)) {
	r.mu.Lock()
	var all []*roadConn
	for c := range r.conns {
		all = append(all, c)
	}
	r.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

// gate puts what it accepts on the road. It lets nobody in before the server
// knows what to do with them.
type gate struct {
	net.Listener
	road *road
	open chan struct{}
}

func (l gate) Accept() (net.Conn, error) {
	<-l.open
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &roadConn{Conn: conn, road: l.road, frozen: make(chan struct{}), ended: make(chan struct{})}
	l.road.mu.Lock()
	defer l.road.mu.Unlock()
	l.road.conns[c] = struct{}{}
	return c, nil
}

// roadConn is the server's end of a connection.
type roadConn struct {
	net.Conn
	road             *road
	freezing, ending sync.Once
	frozen, ended    chan struct{}
}

// Read returns nothing more once the connection is frozen.
func (c *roadConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.frozen:
		<-c.ended
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

// Write loses what comes once the connection is frozen.
func (c *roadConn) Write(b []byte) (int, error) {
	select {
	case <-c.frozen:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

// freeze makes the connection half-open for good.
func (c *roadConn) freeze() { c.freezing.Do(func() { close(c.frozen) }) }

// reset ends the connection with RST, drop without.
func (c *roadConn) reset() {
	c.end(func() {
		switch conn := c.Conn.(type) {
		case interface{ Reset() error }:
			_ = conn.Reset()
		case *net.TCPConn:
			_ = conn.SetLinger(0)
		}
	})
}

func (c *roadConn) drop() { c.end(func() {}) }

func (c *roadConn) Close() error {
	c.drop()
	return nil
}

func (c *roadConn) end(first func()) {
	c.ending.Do(func() {
		close(c.ended)
		first()
		_ = c.Conn.Close()
		c.road.mu.Lock()
		defer c.road.mu.Unlock()
		delete(c.road.conns, c)
	})
}
