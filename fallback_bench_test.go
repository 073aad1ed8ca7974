package holdfast_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

// barrier answers an upgrade in place of next, the server.
type barrier func(next http.Handler, w http.ResponseWriter, r *http.Request)

// fallbackWays are what stands in the way of BenchmarkFallback, and what carries
// the messages then.
var fallbackWays = []struct {
	name   string
	stands barrier
	by     string
}{
	{"nothing", func(next http.Handler, w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) }, "websocket"},
	{"no answer", blockade("no answer"), "longpoll"},
	{"101, then silence", blockade("101 then silence"), "longpoll"},
	{"a reset", resetTCP, "longpoll"},
	{"101, then a reset", func(_ http.Handler, w http.ResponseWriter, r *http.Request) { linger0(switchProtocols(w, r)) }, "longpoll"},
	{"403", blockade("403"), "longpoll"},
	{"200 with a page", blockade("a page"), "longpoll"},
	{"`Upgrade` removed, so 426", stripUpgrade, "longpoll"},
}

func blockade(name string) barrier {
	return func(_ http.Handler, w http.ResponseWriter, r *http.Request) { blockades[name](w, r) }
}

// BenchmarkFallback measures from Dial to the first message that has come back,
// over loopback TCP, with something on the way that blocks WebSocket. Its figures
// are in README.md. Each time the server is another one, so that nothing is
// remembered of the time before.
func BenchmarkFallback(b *testing.B) {
	for _, way := range fallbackWays {
		b.Run(way.name, func(b *testing.B) {
			var total, longest time.Duration
			n := 0
			for b.Loop() {
				p := newPassage(b, way.stands)
				took := p.firstMessage(way.by)
				total += took
				longest = max(longest, took)
				n++
				p.close()
			}
			b.ReportMetric(0, "ns/op") // the server's start and end are in it
			b.ReportMetric(total.Seconds()*1000/float64(n), "ms-to-message")
			b.ReportMetric(longest.Seconds()*1000, "ms-at-most")
		})
	}
}

func resetTCP(_ http.Handler, w http.ResponseWriter, _ *http.Request) { linger0(hijack(w)) }

// linger0 ends a connection with a reset.
func linger0(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// stripUpgrade passes a request on as a proxy does that knows no WebSocket.
func stripUpgrade(next http.Handler, w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Upgrade")
	r.Header.Del("Connection")
	next.ServeHTTP(w, r)
}

// passage is a session server that echoes, behind a barrier.
type passage struct {
	*testing.B
	url    string
	server *server.Server
	web    *http.Server
}

func newPassage(b *testing.B, stands barrier) *passage {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	p := &passage{B: b, url: "ws://" + l.Addr().String()}
	p.server = server.New(func(ctx context.Context, s *server.Session) error {
		for m, err := range s.Messages(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, m.Type, m.Data); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	p.web = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			p.server.ServeHTTP(w, r)
			return
		}
		stands(p.server, w, r)
	})}
	go func() { _ = p.web.Serve(l) }()
	return p
}

func (p *passage) close() {
	_ = p.server.Shutdown(p.Context())
	_ = p.web.Close()
}

// firstMessage is how long it takes to a first message over the transport by.
func (p *passage) firstMessage(by string) time.Duration {
	began := time.Now()
	c, err := holdfast.Dial(p.Context(), p.url, &holdfast.Options{Fallback: []holdfast.Transport{fallback.LongPoll(nil)}})
	require.NoError(p, err)
	require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte("hello")))
	_, err = c.Receive(p.Context())
	took := time.Since(began)
	require.NoError(p, err)
	require.Equal(p, by, c.Stats().Transport)
	require.NoError(p, c.Close())
	return took
}
