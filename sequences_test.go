package holdfast_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// A terminal close frame counts although the writer is busy when it arrives.
func TestPromise04ACloseCodeBeatsTheWritersError(t *testing.T) {
	redialled := 0
	const rounds = 100
	for range rounds {
		bubble(t, func(w *world) {
			w.server.OnConnect(func(p *holdfasttest.Peer) {
				for range 3 {
					if _, _, err := p.Receive(); err != nil {
						return
					}
				}
				_ = p.SendClose(1008, "policy")
				// it goes on reading, as it should, until the client ends it
				for {
					if _, _, err := p.Receive(); err != nil {
						return
					}
				}
			})
			c := w.dial(nil)
			go func() {
				for c.Send(w.Context(), holdfast.Binary, make([]byte, 20000)) == nil {
				}
			}()
			select {
			case <-c.Done():
			case <-time.After(900 * time.Millisecond):
				redialled++
			}
			_ = c.CloseNow()
		})
	}
	t.Logf("%d of %d", redialled, rounds)
	assert.Zero(t, redialled, "conns that went on after 1008, of %d", rounds)
}

// The server closes 1008 and does not read: the writer is blocked in a write.
func TestPromise04ACloseCodeBeatsABlockedWriter(t *testing.T) {
	redialled := 0
	const rounds = 100
	for range rounds {
		bubble(t, func(w *world) {
			w.server.OnConnect(func(p *holdfasttest.Peer) {
				time.Sleep(time.Second)
				_ = p.SendClose(1008, "policy")
				<-p.Done()
			})
			c := w.dial(nil)
			_ = c.Send(w.Context(), holdfast.Binary, make([]byte, 1<<20))
			select {
			case <-c.Done():
			case <-time.After(6*time.Second + 500*time.Millisecond):
				redialled++
			}
			_ = c.CloseNow()
		})
	}
	t.Logf("%d of %d", redialled, rounds)
	assert.Zero(t, redialled)
}

// CloseNow says nothing to the peer.
func TestPromise01CloseNowIsSilent(t *testing.T) {
	told := 0
	const rounds = 300
	for range rounds {
		bubble(t, func(w *world) {
			var heard atomic.Bool
			w.server.OnConnect(func(p *holdfasttest.Peer) {
				p.OnClose(func(uint16, string) bool { heard.Store(true); return true })
				for {
					if _, _, err := p.Receive(); err != nil {
						return
					}
				}
			})
			c := w.dial(nil)
			synctest.Wait()
			_ = c.CloseNow()
			synctest.Wait()
			if heard.Load() {
				told++
			}
		})
	}
	t.Logf("%d of %d", told, rounds)
	assert.Zero(t, told)
}

// slowNetwork takes a second to answer, when told so.
type slowNetwork struct {
	*holdfasttest.Network
	slow atomic.Bool
}

func (n *slowNetwork) Check(ctx context.Context, host string) holdfast.Reachability {
	if n.slow.Load() {
		time.Sleep(time.Second)
	}
	return n.Network.Check(ctx, host)
}

// Messages of two links never have one Epoch.
func TestPromise08EpochOfADiscardedAttempt(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_ = p.Send(holdfast.Text, []byte(fmt.Sprintf("link %d", p.N())))
			_, _, _ = p.Receive()
		})
		network := &slowNetwork{Network: w.network}
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Network = network
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				if h.Attempt() == 1 {
					network.slow.Store(true)
					network.SetOnline(false)
					time.Sleep(time.Millisecond)
				}
				return nil
			}
		})
		time.Sleep(3 * time.Second)
		network.slow.Store(false)
		network.SetOnline(true)
		synctest.Wait()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		seen := map[uint64]string{}
		for c.Stats().ReceiveQueued > 0 {
			m := w.receive(c)
			if was, ok := seen[m.Epoch]; ok {
				t.Errorf("epoch %d: %q and %q", m.Epoch, was, m.Data)
			}
			seen[m.Epoch] = string(m.Data)
			t.Logf("%d %s", m.Epoch, m.Data)
		}
		_ = c.CloseNow()
	})
}

// Probes while offline cost no budget, whatever comes of them.
func TestPromise05ProbesCostNothing(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Close() // refuses, although the network says Unreachable
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) { o.Background = true; o.Retry.MaxRetries = 2 })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.NoError(w, c.Err())
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		_ = c.CloseNow()
	})
}

// A Retry-After is over when the server has taken the client in.
func TestPromise03RetryAfterEndsWithAConnection(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
			if n == 1 {
				return holdfasttest.Refuse{Status: 503, Header: http.Header{"Retry-After": {"300"}}}
			}
			return nil
		})
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		time.Sleep(time.Second)
		c.Reconnect()
		require.NoError(w, c.WaitConnected(w.Context()))
		time.Sleep(20 * time.Second)
		w.network.SetOnline(false)
		time.Sleep(time.Second)
		require.Equal(w, holdfast.StateOffline, c.State())
		w.network.SetOnline(true)
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State())
		_ = c.CloseNow()
	})
}

// Each drop is counted and reported, however slow the observer is; and drops do
// not push other events out.
func TestPromise07DropsAreAllReported(t *testing.T) {
	bubble(t, func(w *world) {
		gate := make(chan struct{})
		var mu sync.Mutex
		dropped, offline := 0, 0
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.SendBuffer = holdfast.SendBuffer{MaxMessages: 3, WhenFull: holdfast.WhenFullDropOldest}
			o.OnEvent = func(e holdfast.Event) {
				<-gate
				mu.Lock()
				defer mu.Unlock()
				switch e.Kind {
				case holdfast.EventDropped:
					dropped += e.Count
				case holdfast.EventOffline, holdfast.EventOnline, holdfast.EventConnected:
					offline++
				}
			}
		})
		synctest.Wait()
		w.network.SetOnline(true)
		synctest.Wait()
		w.network.SetOnline(false)
		time.Sleep(time.Second)
		for range 3000 {
			w.send(c, "x")
		}
		close(gate)
		synctest.Wait()
		mu.Lock()
		assert.Equal(w, int(c.Stats().Dropped), dropped)
		assert.Equal(w, 4, offline)
		mu.Unlock()
		_ = c.CloseNow()
	})
}

// A link that takes messages slowly but steadily is not dead: WriteTimeout
// bounds each write.
func TestPromise06ASlowButSteadyLinkLives(t *testing.T) {
	bubble(t, func(w *world) {
		var got atomic.Int64
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for {
				_, d, err := p.Receive()
				if err != nil {
					return
				}
				got.Add(int64(len(d)))
				time.Sleep(100 * time.Millisecond)
			}
		})
		c := w.dial(nil)
		for range 1000 {
			require.NoError(w, c.Send(w.Context(), holdfast.Binary, make([]byte, 1000)))
		}
		time.Sleep(110 * time.Second)
		synctest.Wait()
		assert.Equal(w, uint64(1), c.Stats().Connects)
		assert.Equal(w, int64(1000000), got.Load())
		_ = c.CloseNow()
	})
}

// Watchers lie, also when they talk much.
func TestPromise05ProbesThoughTheNetworkKeepsChanging(t *testing.T) {
	bubble(t, func(w *world) {
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		for range 30 {
			time.Sleep(20 * time.Second)
			w.network.Signal()
		}
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State(), "after 10 minutes")
		_ = c.CloseNow()
	})
}

// Losses that a change of the network caused cost nothing, also when the link
// notices before the quiet time is over.
func TestPromise05ALossRightAfterAChangeCostsNothing(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = 3 })
		synctest.Wait()
		for range 5 {
			w.network.Signal()
			time.Sleep(10 * time.Millisecond)
			w.server.ResetAll()
			time.Sleep(2 * time.Second)
		}
		assert.NoError(w, c.Err())
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		_ = c.CloseNow()
	})
}

// A Retry-After holds for the server that asked for it, not for the others.
func TestPromise03RetryAfterOfOneEndpoint(t *testing.T) {
	bubble(t, func(w *world) {
		l, err := w.net.Listen("other.test:80")
		require.NoError(w, err)
		other := holdfasttest.NewServer(l)
		defer other.Close()
		w.server.OnRequest(refuse(503, http.Header{"Retry-After": {"300"}}))
		start := time.Now()
		c := w.dial(func(o *holdfast.Options) { o.Endpoints = []string{"ws://other.test/stream"} })
		assert.LessOrEqual(w, time.Since(start), 2*time.Second)
		_ = c.CloseNow()
	})
}

// EventAttemptFailed names the endpoint that was tried.
func TestPromise13AttemptFailedNamesItsEndpoint(t *testing.T) {
	bubble(t, func(w *world) {
		n := &oneDown{Network: w.network}
		w.server.OnRequest(func(int, *http.Request) holdfasttest.Reply {
			time.Sleep(time.Second)
			return holdfasttest.Refuse{Status: 500}
		})
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Network = n
			o.Endpoints = []string{"ws://other.test/stream"}
		})
		synctest.Wait()
		n.down.Store(true)
		w.network.Signal()
		time.Sleep(time.Second + time.Millisecond)
		failed := w.seen(holdfast.EventAttemptFailed)
		require.NotEmpty(w, failed)
		assert.Equal(w, "ws://server.test/stream", failed[0].Endpoint)
		_ = c.CloseNow()
	})
}

type oneDown struct {
	*holdfasttest.Network
	down atomic.Bool
}

func (n *oneDown) Check(_ context.Context, host string) holdfast.Reachability {
	if n.down.Load() && host == "server.test:80" {
		return holdfast.Unreachable
	}
	return holdfast.ReachUnknown
}

// One Reconnect, one redial: a second one while the first is answered is part of it.
func TestPromise01ReconnectTwiceAndWait(t *testing.T) {
	bad := 0
	for range 200 {
		bubble(t, func(w *world) {
			c := w.dial(nil)
			synctest.Wait()
			for range 3 {
				go c.Reconnect()
			}
			c.Reconnect()
			require.NoError(w, c.WaitConnected(w.Context()))
			e := c.Stats().Epoch
			synctest.Wait()
			if c.Stats().Epoch != e {
				bad++
			}
			_ = c.CloseNow()
		})
	}
	t.Logf("%d of 200: the link that WaitConnected promised was dropped at once", bad)
}

func TestPromise04NormalClosureInOnConnectEndsAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) { _ = p.Close(1000, "finished") })
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Endpoints = []string{"ws://other.test/stream"}
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				_, err := h.Receive(ctx)
				return err
			}
		})
		synctest.Wait()
		assert.Equal(w, holdfast.StateClosed, c.State())
		_ = c.CloseNow()
	})
}

// A link that a probe made is proof enough that the watcher lies.
func TestPromise05ALinkMadeByAProbeIsNotDroppedByTheLiar(t *testing.T) {
	bubble(t, func(w *world) {
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		time.Sleep(31 * time.Second)
		require.Equal(w, holdfast.StateConnected, c.State())
		w.network.Signal()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State())
		assert.Equal(w, uint64(1), c.Stats().Epoch)
		_ = c.CloseNow()
	})
}

// A link is stable by how long it was of use.
func TestPromise02ASlowOnConnectIsNotStability(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) { time.Sleep(9500 * time.Millisecond); time.Sleep(time.Second) })
		c := w.dial(func(o *holdfast.Options) {
			o.Retry.MaxRetries = 3
			o.Background = true
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				time.Sleep(9500 * time.Millisecond)
				return nil
			}
		})
		select {
		case <-c.Done():
		case <-time.After(time.Hour):
			w.Error("an hour of links that lasted 1 s: ", c.Stats().Attempts, " dials")
		}
		_ = c.CloseNow()
	})
}
