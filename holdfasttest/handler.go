package holdfasttest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Handle sets what serves the requests that are let through: plain HTTP
// requests, and WebSocket handshakes too unless OnConnect or [Serve] has
// something for them. So a script of faults, and a [Blockade], can be put in
// front of any handler:
//
//	srv.Handle(server.New(session, nil)) // WebSocket and polls
//	srv.Script(holdfasttest.Always(holdfasttest.BlockForbidden))
//
// It speaks HTTP/1.1, with connections kept alive, and holds for connections
// that are made from now on. Without a handler plain requests are answered with
// 426. Stop and Close wait for requests under way, of which the context ends;
// sessions and connections that outlive their request are the handler's to end.
// Accepted and Peers know nothing of what the handler serves.
func (s *Server) Handle(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// handling returns what serves the handler; nil without one.
func (s *Server) handling() *web {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handler == nil || s.phase != running {
		return nil
	}
	if s.web == nil {
		s.web = newWeb(s)
	}
	return s.web
}

// front stands before the handler: it answers what the script and OnRequest do
// not let through.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	s.wg.Add(1) // the connection's goroutine is still counted
	defer s.wg.Done()
	c, _ := r.Context().Value(connKey{}).(*serverConn)
	if t, ok := c.Conn.(*tls.Conn); ok {
		state := t.ConnectionState()
		r.TLS = &state
	}
	upgrade := isHandshake(r)
	n, d := s.decide(r)
	s.mu.Lock()
	h, peer := s.handler, upgrade && (s.onConnect != nil || d.serve != nil)
	s.mu.Unlock()
	switch {
	case d.refuse != nil, h == nil, peer && !d.strip:
		_, brw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // the server is being stopped
		}
		defer c.drop()
		s.converse(c, brw.Reader, r, n, d)
		return
	case d.strip:
		r = r.Clone(r.Context())
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
	case upgrade && len(d.faults) > 0:
		c.arm(d.faults, nil)
	}
	h.ServeHTTP(w, r)
}

type connKey struct{}

// A web is the http.Server behind a Server that has a handler. Its connections
// come from the Server, which has shaken hands for TLS already.
type web struct {
	http  *http.Server
	conns chan net.Conn
	addr  net.Addr
	done  chan struct{}
	once  sync.Once
}

// newWeb is called with s.mu held, while s is running.
func newWeb(s *Server) *web {
	w := &web{conns: make(chan net.Conn), addr: s.l.Addr(), done: make(chan struct{})}
	w.http = &http.Server{
		Handler: http.HandlerFunc(s.front),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		// A connection's goroutine is counted to its end, or until a handler has
		// hijacked it; front counts the handler.
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.wg.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.wg.Done()
			}
		},
	}
	s.wg.Go(func() { _ = w.http.Serve(w) })
	return w
}

// take hands a connection over.
func (w *web) take(c *serverConn) {
	select {
	case w.conns <- c:
	case <-w.done:
		c.drop()
	}
}

// Accept implements net.Listener.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *web) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// Addr implements net.Listener.
func (w *web) Addr() net.Addr { return w.addr }

// stop ends what is served. Connections that were hijacked are the Server's.
func (w *web) stop() {
	_ = w.Close()
	_ = w.http.Close()
}
