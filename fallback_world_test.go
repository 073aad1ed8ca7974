package holdfast_test

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/server"
)

// scene is a session server in a bubble, with something on the way to it that
// may block WebSocket. Its host has a name of its own, as verdicts are
// remembered by origin.
type scene struct {
	*testing.T
	url     string
	net     *memnet.Network
	network *holdfasttest.Network
	echo    func(ctx context.Context, s *server.Session) error
	options *server.Options
	tls     *tls.Config // nil: none

	block atomic.Pointer[func(w http.ResponseWriter, r *http.Request)] // nil lets WebSocket through
	polls atomic.Int64                                                 // requests that are no upgrade
	opens atomic.Int64                                                 // upgrades asked for

	mu     sync.Mutex
	server *server.Server
	http   *http.Server
	events []holdfast.Event
}

var scenes atomic.Int64

// session runs f in a bubble with a server that echoes.
func session(t *testing.T, f func(p *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &scene{T: t, net: memnet.New(), network: holdfasttest.NewNetwork(), options: &server.Options{OpenRate: -1}}
		p.url = fmt.Sprintf("ws://host%d.test/stream", scenes.Add(1))
		p.echo = func(ctx context.Context, s *server.Session) error {
			for {
				m, err := s.Receive(ctx)
				if err != nil {
					return err
				}
				if err := s.Send(ctx, m.Type, m.Data); err != nil {
					return err
				}
			}
		}
		f(p)
		p.stop()
	})
}

// host is the server's address.
func (p *scene) host() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.url, "ws://"), "/stream") + ":80"
}

// start starts the server, or a new one after stop.
func (p *scene) start() {
	p.Helper()
	l, err := p.net.Listen(p.host())
	require.NoError(p, err)
	s := server.New(func(ctx context.Context, s *server.Session) error { return p.echo(ctx, s) }, p.options)
	h := &http.Server{Handler: http.HandlerFunc(p.serve), ErrorLog: log.New(io.Discard, "", 0)}
	p.mu.Lock()
	p.server, p.http = s, h
	p.mu.Unlock()
	if p.tls != nil {
		h.TLSConfig = p.tls.Clone()
		go func() { _ = h.ServeTLS(l, "", "") }()
		return
	}
	go func() { _ = h.Serve(l) }()
}

func (p *scene) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	s := p.server
	p.mu.Unlock()
	if r.Header.Get("Upgrade") == "" {
		p.polls.Add(1)
		s.ServeHTTP(w, r)
		return
	}
	p.opens.Add(1)
	if block := p.block.Load(); block != nil {
		(*block)(w, r)
		return
	}
	s.ServeHTTP(w, r)
}

// stop ends the server without a word to its clients.
func (p *scene) stop() {
	p.mu.Lock()
	s, h := p.server, p.http
	p.server, p.http = nil, nil
	p.mu.Unlock()
	if s == nil {
		return
	}
	_ = h.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx)
}

// blockBy blocks upgrades that begin from now on; nil lets them through.
func (p *scene) blockBy(f func(w http.ResponseWriter, r *http.Request)) {
	if f == nil {
		p.block.Store(nil)
		return
	}
	p.block.Store(&f)
}

// The ways to block WebSocket.
var blockades = map[string]func(w http.ResponseWriter, r *http.Request){
	"no answer":        func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"101 then silence": func(w http.ResponseWriter, r *http.Request) { swallow(switchProtocols(w, r)) },
	"101 then reset":   func(w http.ResponseWriter, r *http.Request) { reset(switchProtocols(w, r)) },
	"reset":            func(w http.ResponseWriter, _ *http.Request) { reset(hijack(w)) },
	"403":              func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "forbidden", http.StatusForbidden) },
	"400":              func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad request", http.StatusBadRequest) },
	"502":              func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) },
	"a page": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<h1>welcome</h1>")
	},
}

// strip passes a request on without the headers that ask for the upgrade.
func (p *scene) strip(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Upgrade")
	r.Header.Del("Connection")
	p.mu.Lock()
	s := p.server
	p.mu.Unlock()
	s.ServeHTTP(w, r)
}

func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return conn
}

func reset(conn net.Conn) { _ = conn.(*memnet.Conn).Reset() }

// swallow reads until the client gives up.
func swallow(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

func switchProtocols(w http.ResponseWriter, r *http.Request) net.Conn {
	conn := hijack(w)
	_, _ = io.WriteString(conn, strings.TrimSuffix(plainAnswer(r), "\r\n")+"Holdfast-Version: 1\r\n\r\n")
	return conn
}

// plainAnswer is the 101 of a WebSocket server without sessions.
func plainAnswer(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
}

// dialOptions are for the path: delays of exactly 1 s, long polling to fall back to.
func (p *scene) dialOptions() *holdfast.Options {
	return &holdfast.Options{
		DialContext: p.net.DialContext,
		Network:     p.network,
		Fallback:    []holdfast.Transport{fallback.LongPoll(nil)},
		Retry:       holdfast.RetryPolicy{New: func() holdfast.BackOff { return constant(time.Second) }},
		OnEvent: func(e holdfast.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, e)
		},
	}
}

func (p *scene) dial(change func(o *holdfast.Options)) *holdfast.Conn {
	p.Helper()
	c, err := p.tryDial(change)
	require.NoError(p, err)
	return c
}

func (p *scene) tryDial(change func(o *holdfast.Options)) (*holdfast.Conn, error) {
	o := p.dialOptions()
	if change != nil {
		change(o)
	}
	return holdfast.Dial(p.Context(), p.url, o)
}

// seen waits until nothing moves and returns the events of a kind.
func (p *scene) seen(kind holdfast.EventKind) (of []holdfast.Event) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == kind {
			of = append(of, e)
		}
	}
	return of
}

// roundTrip sends a message and expects its echo.
func (p *scene) roundTrip(c *holdfast.Conn, text string) holdfast.Message {
	p.Helper()
	require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte(text)))
	return p.expect(c, text)
}

func (p *scene) expect(c *holdfast.Conn, text string) holdfast.Message {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Minute)
	defer cancel()
	m, err := c.Receive(ctx)
	require.NoError(p, err)
	require.Equal(p, text, string(m.Data))
	return m
}

// number sends numbered messages while f runs, and requires every echo, once and in
// order.
func (p *scene) number(c *holdfast.Conn, n int, every time.Duration, f func()) {
	p.Helper()
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			time.Sleep(every)
			if err := c.Send(p.Context(), holdfast.Text, fmt.Appendf(nil, "%d", i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for i := range n {
		p.expect(c, fmt.Sprint(i))
	}
	require.NoError(p, <-sent)
	<-done
}

// dialError is the cause in an event.
func dialError(t *testing.T, e holdfast.Event) *holdfast.DialError {
	t.Helper()
	var de *holdfast.DialError
	require.ErrorAs(t, e.Err, &de)
	return de
}
