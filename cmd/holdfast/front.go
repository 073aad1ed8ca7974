package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// front stands before the server of sessions as a proxy would: it can go away,
// cut what is up, refuse WebSocket. The server lives behind it until the end,
// since the memory of its sessions is what a client comes back to.
type front struct {
	service *service
	addr    string // the same after a restart
	server  *server.Server
	serving sync.WaitGroup

	mu       sync.Mutex
	http     *http.Server // between start and stop
	conns    map[*frontConn]struct{}
	blocking bool
	session  *server.Session // the last one
}

func newFront(s *service) *front {
	f := &front{service: s, conns: map[*frontConn]struct{}{}}
	f.server = server.New(f.talk, &server.Options{
		SendBuffer: holdfast.SendBuffer{MaxMessages: 1 << 16, WhenFull: holdfast.WhenFullFail},
	})
	return f
}

func (f *front) start() error {
	l, err := f.service.place.again(f.addr)
	if err != nil {
		return err
	}
	f.addr = l.Addr().String()
	h := &http.Server{Handler: f, ErrorLog: log.New(io.Discard, "", 0)}
	f.mu.Lock()
	f.http = h
	f.mu.Unlock()
	f.serving.Go(func() { _ = h.Serve(frontListener{l, f}) })
	return nil
}

func (f *front) stop() {
	f.mu.Lock()
	h := f.http
	f.mu.Unlock()
	if h != nil {
		_ = h.Close()
	}
	f.serving.Wait()
	f.each((*frontConn).drop)
}

// end ends the server behind it.
func (f *front) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = f.server.Shutdown(ctx)
}

// block refuses WebSocket from now on and cuts what is up, or lets it through
// again.
func (f *front) block(on bool) {
	f.mu.Lock()
	f.blocking = on
	f.mu.Unlock()
	if on {
		f.each((*frontConn).drop)
	}
}

// close ends the session, once all that was accepted for it has been sent.
func (f *front) close(ctx context.Context, code holdfast.StatusCode, reason string) {
	f.mu.Lock()
	s := f.session
	f.mu.Unlock()
	_ = s.CloseWith(ctx, code, reason)
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := f.service.lane(r)
	if l == nil {
		http.NotFound(w, r)
		return
	}
	kind := r.Header.Get("Holdfast-Op")
	if r.Header.Get("Upgrade") != "" {
		kind = "upgrade"
	}
	overloaded, _ := f.service.flags()
	if kind == "upgrade" || kind == "open" {
		l.knock(kind, overloaded, time.Now())
	}
	f.mu.Lock()
	blocking := f.blocking
	f.mu.Unlock()
	switch {
	case overloaded:
		w.Header().Set("Retry-After", askedAway)
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
	case blocking && kind == "upgrade":
		http.Error(w, "no WebSocket here", http.StatusForbidden)
	default:
		f.server.ServeHTTP(w, r)
	}
}

// talk is the handler of a session.
func (f *front) talk(ctx context.Context, s *server.Session) error {
	l := f.service.lane(s.Request())
	link := l.begin()
	f.mu.Lock()
	f.session = s
	f.mu.Unlock()
	var sending sync.WaitGroup
	sending.Go(func() {
		f.service.sendTo(l, link, ctx.Done(), func(data []byte) error { return s.Send(ctx, holdfast.Text, data) })
	})
	for m, err := range s.Messages(ctx) {
		var end *holdfast.CloseError
		if errors.As(err, &end) && end.Remote {
			l.closed(end.Code, time.Time{}) // answered already
		}
		if err == nil {
			l.took(link, m.Data)
		}
	}
	sending.Wait()
	return nil
}

// each does something to every connection.
func (f *front) each(do func(*frontConn)) {
	f.mu.Lock()
	var all []*frontConn
	for c := range f.conns {
		all = append(all, c)
	}
	f.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

// frontListener makes its connections known to the front.
type frontListener struct {
	net.Listener
	front *front
}

func (l frontListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &frontConn{Conn: conn, front: l.front, frozen: make(chan struct{}), ended: make(chan struct{})}
	l.front.mu.Lock()
	defer l.front.mu.Unlock()
	l.front.conns[c] = struct{}{}
	return c, nil
}

// frontConn is a connection to the front that can be cut and frozen.
type frontConn struct {
	net.Conn
	front         *front
	freezing      sync.Once
	frozen, ended chan struct{}
	ending        sync.Once
}

// Read gets nothing through once the connection is frozen.
func (c *frontConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.frozen:
		<-c.ended
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

// Write ends nowhere once the connection is frozen.
func (c *frontConn) Write(b []byte) (int, error) {
	select {
	case <-c.frozen:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

func (c *frontConn) freeze() { c.freezing.Do(func() { close(c.frozen) }) }

func (c *frontConn) Close() error {
	c.drop()
	return nil
}

func (c *frontConn) drop() { c.end(func() {}) }

// reset ends the connection with RST.
func (c *frontConn) reset() {
	c.end(func() {
		switch conn := c.Conn.(type) {
		case interface{ Reset() error }:
			_ = conn.Reset()
		case *net.TCPConn:
			_ = conn.SetLinger(0)
		}
	})
}

func (c *frontConn) end(first func()) {
	c.ending.Do(func() {
		close(c.ended)
		first()
		_ = c.Conn.Close()
		c.front.mu.Lock()
		defer c.front.mu.Unlock()
		delete(c.front.conns, c)
	})
}
