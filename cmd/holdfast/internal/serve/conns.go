package serve

import (
	"net"
	"sync"
	"time"
)

// maxHeld bounds what is held back for each connection; a writer waits then.
const maxHeld = 1 << 20

// chaosListener accepts connections that are cut, and slow.
type chaosListener struct {
	net.Listener
	dice *dice
	log  *journal
}

// Accept returns the next one.
func (l chaosListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.dice.delay > 0 {
		c = newSlowConn(c, l.dice.delay)
	}
	life := l.dice.life()
	if life == 0 {
		return c, nil
	}
	m := &mortalConn{Conn: c}
	m.end = time.AfterFunc(life, func() {
		l.log.say("chaos: cut the connection of %s after %v", c.RemoteAddr(), life.Round(time.Millisecond))
		m.cut()
	})
	return m, nil
}

// mortalConn is cut some time.
type mortalConn struct {
	net.Conn
	end *time.Timer
}

// Close ends it before.
func (c *mortalConn) Close() error {
	c.end.Stop()
	return c.Conn.Close()
}

// cut resets the connection, where that can be done.
func (c *mortalConn) cut() {
	inner := c.Conn
	if s, ok := inner.(*slowConn); ok {
		inner = s.Conn
	}
	if tcp, ok := inner.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = inner.Close()
}

// slowConn sends everything later, in order. A write has succeeded when it is
// held; what fails later makes the next one fail. After Close what is held still
// goes out.
type slowConn struct {
	net.Conn
	delay time.Duration

	mu     sync.Mutex
	change *sync.Cond
	held   []heldWrite
	bytes  int
	closed bool
	err    error
}

type heldWrite struct {
	due  time.Time
	data []byte
}

func newSlowConn(c net.Conn, delay time.Duration) *slowConn {
	s := &slowConn{Conn: c, delay: delay}
	s.change = sync.NewCond(&s.mu)
	go s.run()
	return s
}

// Write holds p back.
func (s *slowConn) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.closed && s.bytes > 0 && s.bytes+len(p) > maxHeld {
		s.change.Wait()
	}
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed:
		return 0, net.ErrClosed
	}
	s.held = append(s.held, heldWrite{time.Now().Add(s.delay), append([]byte(nil), p...)})
	s.bytes += len(p)
	s.change.Broadcast()
	return len(p), nil
}

// Close closes once what is held is out.
func (s *slowConn) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	_ = s.Conn.SetDeadline(time.Now().Add(s.delay + time.Second)) // and that is the latest
	s.change.Broadcast()
	return nil
}

// run sends what is due, until the end.
func (s *slowConn) run() {
	defer s.Conn.Close()
	for {
		s.mu.Lock()
		for len(s.held) == 0 && !s.closed {
			s.change.Wait()
		}
		if len(s.held) == 0 {
			s.mu.Unlock()
			return
		}
		next := s.held[0]
		s.mu.Unlock()
		time.Sleep(time.Until(next.due))
		_, err := s.Conn.Write(next.data)
		s.mu.Lock()
		s.held = s.held[1:]
		s.bytes -= len(next.data)
		if err != nil {
			s.err, s.closed, s.held = err, true, nil
		}
		s.change.Broadcast()
		s.mu.Unlock()
	}
}
