package holdfasttest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Server is a WebSocket server that does what its script says. Without one
// it accepts every handshake; what runs on the connection is OnConnect's, or a
// handler's, or else an echo of every message.
//
// All methods are safe for concurrent use. The callbacks and the handler may call
// them, but for Close, Stop and Shutdown, which wait for them.
type Server struct {
	wg sync.WaitGroup

	mu        sync.Mutex
	l         net.Listener // the present one, or the last
	tls       *tls.Config  // nil: no TLS
	host      string       // for URL; "" is the listener's address
	phase     phase
	web       *web // serves the handler; nil until it is needed
	handler   http.Handler
	onRequest func(int, *http.Request) Reply
	onConnect func(*Peer)
	script    []step
	conns     map[*serverConn]struct{} // every live connection
	peers     []*Peer                  // those that have been accepted, in order
	requests  int
	accepted  int
	changed   chan struct{} // closed and replaced when the counts or peers change
}

// NewServer serves on l at once, over TCP or whatever l listens to. The server
// owns l. A client that waits for l already may be accepted before a script is
// set: see [NewUnstartedServer].
func NewServer(l net.Listener) *Server {
	s := NewUnstartedServer(l)
	s.Start()
	return s
}

// NewUnstartedServer returns a server that serves on l once it is started.
// Until then clients wait, and the script, the callbacks and the handler can be
// set. The server owns l.
func NewUnstartedServer(l net.Listener) *Server {
	return &Server{l: l, conns: map[*serverConn]struct{}{}, changed: make(chan struct{})}
}

// URL returns the server's address, "ws://host:port/", or wss with TLS. It stays
// the same when the server is stopped and started again.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	scheme, host := "ws", s.host
	if s.tls != nil {
		scheme = "wss"
	}
	if host == "" {
		host = s.l.Addr().String()
	}
	return scheme + "://" + host + "/"
}

// OnRequest sets what answers requests from now on. n counts the WebSocket
// handshakes from 1; a plain HTTP request is not counted, and its n is 0. f
// runs in the connection's goroutine and may block: the server answers when it
// returns. A nil Reply, or a nil f, means Accept{}, which answers plain
// requests with 426, or hands them to the handler where there is one. The
// request's Body must not be read. Handshakes for which there is a
// [Server.Script] do not come here.
func (s *Server) OnRequest(f func(n int, r *http.Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = f
}

// OnConnect sets what runs on each connection accepted from now on, in a
// goroutine of its own. When f returns, the connection is dropped without a
// close frame; call [Peer.Close] first for a graceful end. With nil it is the
// handler's, and without one an echo of every message.
//
// Close waits for f. Whatever f waits for must therefore end when the peer's
// Done channel is closed; all of Peer's methods do.
func (s *Server) OnConnect(f func(p *Peer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onConnect = f
}

// Requests counts the WebSocket handshakes that were asked for, whatever the
// answer.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Accepted counts the WebSocket handshakes that were accepted.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Peers returns the live connections in the order of their acceptance. One
// that the client has left is live until the script has noticed.
func (s *Server) Peers() []*Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peers)
}

// WaitRequests waits until Requests is at least n. The error is ctx's.
func (s *Server) WaitRequests(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.requests >= n })
}

// WaitAccepted waits until Accepted is at least n. The error is ctx's.
func (s *Server) WaitAccepted(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.accepted >= n })
}

// WaitPeers waits until exactly n connections are live. The error is ctx's.
func (s *Server) WaitPeers(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return len(s.peers) == n })
}

// wait waits for done, which is called with s.mu held.
func (s *Server) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// signal wakes the waiters. s.mu is held.
func (s *Server) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// CloseAll closes every live connection with a close handshake, all at the
// same time, and returns when the last is done. See [Peer.Close].
func (s *Server) CloseAll(code uint16, reason string) {
	var wg sync.WaitGroup
	for _, p := range s.Peers() {
		wg.Go(func() { _ = p.Close(code, reason) })
	}
	wg.Wait()
}

// DropAll drops every live connection, handshakes under way included. See
// [Peer.Drop].
func (s *Server) DropAll() { s.each((*serverConn).drop) }

// ResetAll resets every live connection, handshakes under way included. See
// [Peer.Reset].
func (s *Server) ResetAll() { s.each((*serverConn).reset) }

// FreezeAll freezes every live connection or heals it. Later connections are
// not frozen. See [Peer.Freeze].
func (s *Server) FreezeAll(on bool) { s.each(func(c *serverConn) { c.freeze(on) }) }

func (s *Server) each(f func(*serverConn)) {
	s.mu.Lock()
	conns := make([]*serverConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// serve owns one connection from its first byte to its end, or until the handler
// has it.
func (s *Server) serve(c *serverConn) {
	if c.handshake() != nil {
		c.drop()
		return
	}
	if web := s.handling(); web != nil {
		web.take(c)
		return
	}
	defer c.drop()
	br := bufio.NewReader(c)
	r, err := readRequest(c, br)
	if err != nil {
		var ne net.Error
		if !errors.As(err, &ne) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			_, _ = io.WriteString(c, badRequest+"this is an HTTP server\n")
		}
		return
	}
	n, d := s.decide(r)
	s.converse(c, br, r, n, d)
}

// decide says what becomes of a request. n counts the WebSocket handshakes.
func (s *Server) decide(r *http.Request) (n int, d decision) {
	reply, n, onRequest := s.ask(isHandshake(r))
	if reply == nil && onRequest != nil {
		reply = onRequest(n, r)
	}
	if reply == nil {
		reply = Accept{}
	}
	return n, reply.decide()
}

// ask takes the script's next step for a handshake, or says whom to ask.
func (s *Server) ask(handshake bool) (reply Reply, n int, onRequest func(int, *http.Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !handshake {
		return nil, 0, s.onRequest
	}
	s.requests++
	s.signal()
	reply, _ = s.next()
	return reply, s.requests, s.onRequest
}

// converse does on the connection what was decided, but for a handler.
func (s *Server) converse(c *serverConn, br *bufio.Reader, r *http.Request, n int, d decision) {
	head := d.accept.response(r)
	switch {
	case d.refuse != nil:
		d.refuse(c, r)
		return
	case head == nil || d.strip:
		upgradeRequired.answer(c, r)
		return
	}
	p := newPeer(s, c, br, r, n)
	defer p.finish()
	if len(d.faults) > 0 {
		c.arm(d.faults, p.awaitClose)
	}
	// Whoever has seen the client connected must find the peer, and nothing
	// may be sent to it before the handshake: so it is known first, and locked.
	if p.write.lock(c.closed) != nil {
		return
	}
	run := s.add(p)
	_, err := c.Write(head)
	p.write.unlock()
	if err != nil {
		return
	}
	if d.serve != nil {
		run = d.serve
	}
	if run == nil {
		run = echo
	}
	run(p)
}

func (s *Server) add(p *Peer) (onConnect func(*Peer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = append(s.peers, p)
	s.accepted++
	s.signal()
	return s.onConnect
}

func (s *Server) remove(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.peers, p); i >= 0 {
		s.peers = slices.Delete(s.peers, i, i+1)
		s.signal()
	}
}

func echo(p *Peer) {
	for {
		typ, data, err := p.Receive()
		if err != nil {
			return
		}
		if p.Send(typ, data) != nil {
			return
		}
	}
}
