// Package loopback runs a server of package server on loopback.
package loopback

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/server"
)

// Server is an http.Server on 127.0.0.1 with a server.Server behind it.
type Server struct {
	// Addr is where it listens.
	Addr string

	http     *http.Server
	sessions *server.Server
	done     chan struct{} // closed when it listens no more
	accepted atomic.Int64
	accepts  chan struct{} // has an element after each

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// Listen starts a server whose sessions are handled by handle, at addr; port 0 is
// any.
func Listen(addr string, handle func(context.Context, *server.Session) error, o *server.Options) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: l.Addr().String(), done: make(chan struct{}), accepts: make(chan struct{}, 1), conns: map[net.Conn]struct{}{}}
	s.sessions = server.New(handle, o)
	s.http = &http.Server{Handler: s.sessions, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second, ConnState: s.follow}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// Accepted counts the connections so far.
func (s *Server) Accepted() int64 { return s.accepted.Load() }

// Accepts gets an element after connections were made.
func (s *Server) Accepts() <-chan struct{} { return s.accepts }

// Cut closes every connection, without a word.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
		delete(s.conns, c)
	}
}

// Close ends the sessions, for 5 s at most, and then everything else.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.sessions.Shutdown(ctx)
	_ = s.http.Close()
	<-s.done
	s.Cut()
}

// follow keeps the connections until they end; those of WebSocket, of which
// net/http does not see the end, for good.
func (s *Server) follow(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.accepted.Add(1)
		s.conns[c] = struct{}{}
		select {
		case s.accepts <- struct{}{}:
		default:
		}
	case http.StateClosed:
		delete(s.conns, c)
	}
}
