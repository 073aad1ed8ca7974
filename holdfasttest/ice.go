package holdfasttest

import (
	"net"
	"os"
	"sync"
	"time"
)

// ice is what freezes a connection. It knows the connection's deadlines, as
// those who wait have to keep to them.
type ice struct {
	mu        sync.Mutex
	thaw      chan struct{} // non-nil while frozen; closed to go on
	braked    chan struct{} // non-nil while nothing is read for a moment; closed to go on
	moved     chan struct{} // non-nil while somebody waits; closed when a deadline moves
	deadlines [2]time.Time
}

// The directions of a connection, as they have deadlines.
const (
	reading = iota
	writing
)

// gate waits while the connection is frozen, and fails once it is closed or past
// its deadline.
func (c *serverConn) gate(direction int) error {
	for {
		c.mu.Lock()
		thaw, deadline := c.thaw, c.deadlines[direction]
		if thaw == nil && direction == reading {
			thaw = c.braked
		}
		if thaw != nil && c.moved == nil {
			c.moved = make(chan struct{})
		}
		moved := c.moved
		c.mu.Unlock()
		if thaw == nil {
			select {
			case <-c.closed:
				return net.ErrClosed
			default:
				return nil
			}
		}
		if err := c.wait(thaw, moved, deadline); err != nil {
			return err
		}
	}
}

// wait waits for the end of the ice, or another deadline.
func (c *serverConn) wait(thaw, moved <-chan struct{}, deadline time.Time) error {
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-thaw:
		return nil
	case <-moved:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *serverConn) frozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.thaw != nil
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

// brake keeps back what is read while something happens to the connection. It
// is for one at a time.
func (c *serverConn) brake(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on {
		c.braked = make(chan struct{})
	} else {
		close(c.braked)
		c.braked = nil
	}
}

// SetDeadline implements net.Conn.
func (c *serverConn) SetDeadline(t time.Time) error {
	c.move(t, reading, writing)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *serverConn) SetReadDeadline(t time.Time) error {
	c.move(t, reading)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *serverConn) SetWriteDeadline(t time.Time) error {
	c.move(t, writing)
	return c.Conn.SetWriteDeadline(t)
}

func (c *serverConn) move(t time.Time, directions ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range directions {
		c.deadlines[d] = t
	}
	if c.moved != nil {
		close(c.moved)
		c.moved = nil
	}
}
