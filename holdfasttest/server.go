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

// Server is a WebSocket server that does what its script says. Without a
// script it accepts every handshake and echoes every message.
//
// All methods are safe for concurrent use. The callbacks may call them, but
// for Close, which waits for the callbacks.
type Server struct {
	l   net.Listener
	tls *tls.Config // nil: no TLS
	wg  sync.WaitGroup

	mu        sync.Mutex
	onRequest func(int, *http.Request) Reply
	onConnect func(*Peer)
	conns     map[*serverConn]struct{} // every live connection
	peers     []*Peer                  // those that have been accepted, in order
	requests  int
	accepted  int
	closed    bool
	changed   chan struct{} // closed and replaced when the counts or peers change
}

// NewServer serves on l at once, over TCP or whatever l listens to. The server
// owns l.
func NewServer(l net.Listener) *Server { return newServer(l, nil) }

func newServer(l net.Listener, cfg *tls.Config) *Server {
	s := &Server{l: l, tls: cfg, conns: map[*serverConn]struct{}{}, changed: make(chan struct{})}
	s.wg.Go(s.accept)
	return s
}

// URL returns the server's address, "ws://host:port/", or wss with TLS.
func (s *Server) URL() string {
	scheme := "ws"
	if s.tls != nil {
		scheme = "wss"
	}
	return scheme + "://" + s.l.Addr().String() + "/"
}

// OnRequest sets what answers requests from now on. n counts the WebSocket
// handshakes from 1; a plain HTTP request is not counted, and its n is 0. f
// runs in the connection's goroutine and may block: the server answers when it
// returns. A nil Reply, or a nil f, means Accept{}, which answers plain
// requests with 426. The request's Body must not be read.
func (s *Server) OnRequest(f func(n int, r *http.Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRequest = f
}

// OnConnect sets what runs on each connection accepted from now on, in a
// goroutine of its own. When f returns, the connection is dropped without a
// close frame; call [Peer.Close] first for a graceful end. nil echoes messages.
//
// Close waits for f. Whatever f waits for must therefore end when the peer's
// Done channel is closed; all of Peer's methods do.
func (s *Server) OnConnect(f func(p *Peer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onConnect = f
}

// Requests counts the WebSocket handshakes that were asked for, whatever the answer.
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

// DropAll drops every live connection, handshakes under way included. See [Peer.Drop].
func (s *Server) DropAll() { s.each((*serverConn).drop) }

// ResetAll resets every live connection, handshakes under way included. See [Peer.Reset].
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

// Close stops listening, drops every connection and waits for every goroutine,
// the callbacks' included. It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.l.Close()
	s.DropAll()
	s.wg.Wait()
}

func (s *Server) accept() {
	for {
		raw, err := s.l.Accept()
		if err != nil {
			return
		}
		c := raw
		if s.tls != nil {
			c = tls.Server(raw, s.tls)
		}
		sc := newServerConn(c, raw)
		s.mu.Lock()
		closed := s.closed
		if !closed {
			s.conns[sc] = struct{}{}
			s.wg.Go(func() { s.serve(sc) })
		}
		s.mu.Unlock()
		if closed {
			_ = raw.Close()
		}
	}
}

// serve owns one connection from its first byte to its end.
func (s *Server) serve(c *serverConn) {
	defer func() {
		c.drop()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if c.handshake() != nil {
		return
	}
	br := bufio.NewReader(c)
	r, err := readRequest(c, br)
	if err != nil {
		var ne net.Error
		if !errors.As(err, &ne) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			_, _ = io.WriteString(c, badRequest+"this is an HTTP server\n")
		}
		return
	}
	n, onRequest := s.request(isHandshake(r))
	var reply Reply
	if onRequest != nil {
		reply = onRequest(n, r)
	}
	if reply == nil {
		reply = Accept{}
	}
	head := reply.answer(c, r)
	if head == nil {
		return
	}
	p := newPeer(s, c, br, r, n)
	defer p.finish()
	// Whoever has seen the client connected must find the peer, and nothing
	// may be sent to it before the handshake: so it is known first, and locked.
	if p.write.lock(c.closed) != nil {
		return
	}
	onConnect := s.add(p)
	_, err = c.Write(head)
	p.write.unlock()
	if err != nil {
		return
	}
	if onConnect == nil {
		onConnect = echo
	}
	onConnect(p)
}

func (s *Server) request(handshake bool) (n int, onRequest func(int, *http.Request) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if handshake {
		s.requests++
		n = s.requests
		s.signal()
	}
	return n, s.onRequest
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
