package memnet

import (
	"context"
	"net"
	"sync"
)

// backlog is how many connections a listener holds for Accept; more dials wait.
const backlog = 128

// Listener accepts the connections that are dialed to its address.
type Listener struct {
	net    *Network
	addr   *net.TCPAddr
	queue  chan *Conn
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Accept waits for the next connection. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.errClosed("accept")
	default:
	}
	select {
	case <-l.closed:
		return nil, l.errClosed("accept")
	case c := <-l.queue:
		return c, nil
	}
}

// Close refuses new dials and resets connections that nobody has accepted;
// accepted ones live on. The address is free again.
func (l *Listener) Close() error {
	err := l.errClosed("close")
	l.once.Do(func() {
		err = nil
		l.net.remove(l)
		close(l.closed)
		l.drain()
	})
	return err
}

// Addr returns the listener's *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.addr }

// Again listens on the address of a listener that was closed, on the same network.
func (l *Listener) Again() (net.Listener, error) { return l.net.Listen(l.addr.String()) }

// offer queues c for Accept.
func (l *Listener) offer(ctx context.Context, c *Conn) error {
	select {
	case l.queue <- c:
	case <-l.closed:
		return errRefused()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-l.closed: // it may have come too late for Close to see it
		l.drain()
	default:
	}
	return nil
}

func (l *Listener) drain() {
	for {
		select {
		case c := <-l.queue:
			_ = c.Reset()
		default:
			return
		}
	}
}

func (l *Listener) errClosed(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}
