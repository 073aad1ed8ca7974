package holdfast_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// A balancer that gives each request to the next of two servers: the session is
// found again each time, and no link lives.
func TestPromise10BalancerThatIsNotSticky(t *testing.T) {
	session(t, func(p *scene) {
		echo := func(ctx context.Context, s *server.Session) error { return p.echo(ctx, s) }
		servers := []*server.Server{server.New(echo, p.options), server.New(echo, p.options)}
		var turn atomic.Int64
		l, err := p.net.Listen(p.host())
		require.NoError(t, err)
		h := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			servers[turn.Add(1)%2].ServeHTTP(w, r)
		})}
		go func() { _ = h.Serve(l) }()
		defer func() {
			_ = h.Close()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			for _, s := range servers {
				_ = s.Shutdown(ctx)
			}
		}()

		p.url = "http" + p.url[len("ws"):]
		c := p.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = 3 })
		<-c.Done()
		var why *holdfast.DialError
		require.ErrorAs(t, c.Err(), &why)
		assert.Equal(t, holdfast.ClassNotSticky, why.Class)
		assert.Equal(t, holdfast.DecisionRetrySlowly, why.Decision)
		assert.ErrorIs(t, c.Err(), holdfast.ErrRetriesExhausted)
		waited := p.seen(holdfast.EventWaiting)
		require.Len(t, waited, 3)
		assert.Equal(t, time.Second, waited[0].Delay, "it may have been a restart")
		assert.GreaterOrEqual(t, waited[1].Delay, 15*time.Second)
	})
}
