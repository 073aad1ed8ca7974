package fallback

import (
	"context"
	"net"
	"sync"
	"time"
)

// spareFor is how long a spare connection waits for its use.
const spareFor = 5 * time.Second

// spare is a connection that is made beside the first one, for a link that is
// about to have two requests under way: so the second one costs no round trip.
type spare struct {
	mu    sync.Mutex
	addr  string        // "" before it has begun
	ready chan struct{} // closed when conn is set, or stays nil; nil before it has begun and once it is taken
	conn  net.Conn
	late  *time.Timer // closes it
}

// begin makes the spare connection, once, by dial.
func (s *spare) begin(addr string, dial func() (net.Conn, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr != "" {
		return
	}
	ready := make(chan struct{})
	s.addr, s.ready = addr, ready
	go func() {
		conn, err := dial()
		s.mu.Lock()
		if err == nil {
			s.conn = conn
			s.late = time.AfterFunc(spareFor, s.drop)
		}
		close(ready)
		s.mu.Unlock()
	}()
}

// take returns the spare connection to addr if there is one, or soon will be;
// once.
func (s *spare) take(ctx context.Context, addr string) net.Conn {
	s.mu.Lock()
	ready := s.ready
	if ready == nil || addr != s.addr {
		s.mu.Unlock()
		return nil
	}
	s.ready = nil
	s.mu.Unlock()
	select {
	case <-ready:
	case <-ctx.Done():
		return nil // the link's end closes it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.late.Stop()
	}
	return s.conn
}

// drop closes the spare connection, if nobody has taken it.
func (s *spare) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil {
		s.ready = nil
		s.conn.Close()
	}
}
