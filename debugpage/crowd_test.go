package debugpage

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crowd is a lot of Conns in a process, with the server of some of them.
type crowd struct {
	net   *memnet.Network
	srv   *server.Server
	conns []*holdfast.Conn
}

const (
	upHost      = "stream.example:80"
	downHost    = "down.example:80"    // refuses
	silentHost  = "silent.example:80"  // never answers
	offlineHost = "offline.example:80" // there is no way to it
)

func newCrowd(t testing.TB, handle func(context.Context, *server.Session) error) *crowd {
	c := &crowd{net: memnet.New()}
	c.net.SetLatency(2 * time.Millisecond)
	c.srv = server.New(handle, &server.Options{OpenRate: -1, MaxSessionsPerAddress: -1, MaxSessionsPerPrincipal: -1,
		Keepalive: holdfast.Keepalive{Interval: 40 * time.Millisecond},
		Authenticate: func(r *http.Request) (string, error) {
			return r.Header.Get("X-User"), nil
		}})
	l, err := c.net.Listen(upHost)
	require.NoError(t, err)
	web := &http.Server{Handler: c.srv}
	go func() { _ = web.Serve(l) }()
	c.net.FailDials(downHost, syscall.ECONNREFUSED)
	c.net.Blackhole(silentHost, true)
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, conn := range c.conns {
			wg.Go(func() {
				_ = conn.CloseNow()
				<-conn.Done()
			})
		}
		wg.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.srv.Shutdown(ctx)
		_ = web.Close()
		c.net.Reset()
	})
	return c
}

// echo sends back what it receives.
func echo(ctx context.Context, s *server.Session) error {
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, m.Type, m.Data); err != nil {
			return err
		}
	}
	return nil
}

// patience retries a few times at once, then not for long.
type patience struct{ fast, tries int }

func (p *patience) Reset() { p.tries = 0 }
func (p *patience) NextBackOff() time.Duration {
	if p.tries++; p.tries <= p.fast {
		return time.Duration(p.tries) * 5 * time.Millisecond
	}
	return time.Hour
}

// oneWay is a Network with no way to the offline host.
type oneWay struct{}

func (oneWay) Check(_ context.Context, host string) holdfast.Reachability {
	if host == offlineHost {
		return holdfast.Unreachable
	}
	return holdfast.Reachable
}
func (oneWay) Changes(context.Context) <-chan struct{} { return nil }

// join makes n Conns, without waiting for them.
func (c *crowd) join(t testing.TB, n int, host string, configure func(i int, o *holdfast.Options)) []*holdfast.Conn {
	from := len(c.conns)
	for i := range n {
		o := &holdfast.Options{Background: true, Network: oneWay{}, HandshakeTimeout: time.Minute,
			Keepalive: holdfast.Keepalive{Interval: []time.Duration{20 * time.Millisecond, -1}[i%2]},
			Retry:     holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, New: func() holdfast.BackOff { return &patience{fast: 3} }},
			Header:    http.Header{"X-User": {fmt.Sprintf("user-%d", i%7)}},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return c.net.DialContext(ctx, network, addr)
			}}
		if configure != nil {
			configure(i, o)
		}
		scheme := "ws"
		if o.Fallback != nil {
			scheme = "http"
		}
		conn, err := holdfast.Dial(context.Background(), fmt.Sprintf("%s://%s/feed/%d?token=s3cret", scheme, host, i), o)
		require.NoError(t, err)
		c.conns = append(c.conns, conn)
	}
	return c.conns[from:]
}

// polling makes a Conn poll, without trying WebSocket.
func polling(o *holdfast.Options) {
	o.Fallback = []holdfast.Transport{fallback.LongPoll(nil)}
}

// settle waits until all Conns have the state.
func settle(t testing.TB, conns []*holdfast.Conn, want holdfast.State) {
	for _, c := range conns {
		require.Eventually(t, func() bool { return c.State() == want }, 20*time.Second, time.Millisecond, "%v", c.State())
	}
}
