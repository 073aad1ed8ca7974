package holdfasttest

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

// phase is where a Server is in its life.
type phase int

const (
	unstarted phase = iota
	running
	stopped
	closed
)

// Start starts a server that [NewUnstartedServer] made, or one that was
// stopped: then it listens on the same address again, with the same script,
// callbacks, handler and TLS. It panics if the server is running or closed, and
// if it cannot listen: after Stop that takes a listener of a [Memory] or a TCP
// listener, and an address that nobody has taken meanwhile. Start and Stop come
// one after the other, never at the same time.
func (s *Server) Start() { s.start(nil) }

func (s *Server) start(cfg *tls.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase == running:
		panic("holdfasttest: the server is running already: it was started when it was made, or by Start")
	case s.phase == closed:
		panic("holdfasttest: the server is closed; Stop is what it comes back from")
	case s.phase == stopped && cfg != nil:
		panic("holdfasttest: StartTLS after Stop: Start goes on with what there was")
	case s.phase == stopped:
		l, err := again(s.l)
		if err != nil {
			panic(fmt.Sprintf("holdfasttest: the server cannot be started again: %v", err))
		}
		s.l = l
	default:
		s.tls = cfg
	}
	s.phase = running
	l := s.l
	s.wg.Go(func() { s.accept(l) })
}

// again listens where l did.
func again(l net.Listener) (net.Listener, error) {
	switch l := l.(type) {
	case *memnet.Listener:
		return l.Again()
	case *net.TCPListener:
		return net.Listen("tcp", l.Addr().String())
	}
	return nil, fmt.Errorf("nobody can say how to listen again with a %T", l)
}

// Stop ends the server as a crash does, so that [Server.Start] can bring it
// back: it stops listening, drops every connection, and waits for every
// goroutine, those of the callbacks and of the handler's requests included.
// What is left of the script goes on after Start. It does nothing if the server
// is not running.
func (s *Server) Stop() { s.end(stopped) }

// Shutdown is Stop with a close handshake for each connection first, all at the
// same time, and no new ones meanwhile; see [Peer.Close]. Connections that the
// handler serves are the handler's to close, before: package server's Shutdown
// does it.
func (s *Server) Shutdown(code uint16, reason string) {
	s.mu.Lock()
	l := s.l
	on := s.phase == running
	s.mu.Unlock()
	if on {
		_ = l.Close()
		s.CloseAll(code, reason)
	}
	s.Stop()
}

// Close is Stop for good. It may be called more than once.
func (s *Server) Close() { s.end(closed) }

func (s *Server) end(as phase) {
	s.mu.Lock()
	was := s.phase
	if as == closed || was == running {
		s.phase = as
	}
	l, web := s.l, s.web
	s.web = nil
	s.mu.Unlock()
	if was == running || was == unstarted && as == closed {
		_ = l.Close()
	}
	if web != nil {
		web.stop()
	}
	s.DropAll()
	s.wg.Wait()
}

func (s *Server) listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l
}

func (s *Server) accept(l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		c := raw
		if s.tls != nil {
			c = tls.Server(raw, s.tls)
		}
		sc := newServerConn(s, c, raw)
		on := s.phase == running
		if on {
			s.conns[sc] = struct{}{}
			s.wg.Go(func() { s.serve(sc) })
		}
		s.mu.Unlock()
		if !on {
			_ = raw.Close()
		}
	}
}

// spawn runs f in a goroutine that Stop waits for, while c lives. f has to end
// when c does.
func (s *Server) spawn(c *serverConn, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, live := s.conns[c]; live && s.phase == running {
		s.wg.Go(f)
	}
}

func (s *Server) forget(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
