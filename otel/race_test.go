package holdfastotel_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Conns come and go while metrics are collected: no count is lost, and none twice.
func TestCollectWhileConnsComeAndGo(t *testing.T) {
	bubble(t, func(w *world) {
		const conns, rounds = 20, 5
		var workers, collectors sync.WaitGroup
		over := make(chan struct{})
		for range 2 {
			collectors.Go(func() {
				for {
					select {
					case <-over:
						return
					case <-time.After(time.Millisecond):
						w.collect()
					}
				}
			})
		}
		for i := range conns {
			workers.Go(func() {
				for range rounds {
					o := w.net.Options()
					o.AllowInsecureCredentials = true
					c, err := holdfast.Dial(w.ctx, w.url(), &o)
					if !assert.NoError(t, err) {
						return
					}
					assert.NoError(t, c.Send(w.ctx, holdfast.Text, []byte("12345")))
					time.Sleep(time.Duration(i) * 300 * time.Microsecond)
					assert.NoError(t, c.Close())
				}
			})
		}
		workers.Wait()
		close(over)
		collectors.Wait()
		w.has(map[string]string{
			"holdfast.messages{holdfast.role=client,network.io.direction=transmit}":                                 "100",
			"holdfast.dial.attempts{holdfast.role=client}":                                                          "100",
			"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=websocket}": "0",
		})
		assert.Len(t, w.spans.Ended(), conns*rounds)
		require.Len(t, w.spans.Started(), conns*rounds)
	})
}
