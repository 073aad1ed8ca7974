package demo

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// front stands before the server of sessions as a proxy would: it can go away,
// and refuse WebSocket. The server lives behind it until the end, since the
// memory of its sessions is what a client comes back to.
type front struct {
	service *service
	addr    string // the same after a restart
	server  *server.Server
	serving sync.WaitGroup

	mu       sync.Mutex
	http     *http.Server
	blocking bool
	session  *server.Session // the last one
}

func newFront(s *service) *front {
	f := &front{service: s}
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
	g := gate{l, f.service.road, make(chan struct{})}
	close(g.open)
	f.serving.Go(func() { _ = h.Serve(g) })
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
		f.service.road.each(func(c *roadConn) {
			if c.LocalAddr().String() == f.addr {
				c.drop()
			}
		})
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
