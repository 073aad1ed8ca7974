package holdfast_test

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func TestPromise05NothingIsDialledWhileOffline(t *testing.T) {
	bubble(t, func(w *world) {
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) { o.Background = true; o.Retry.MaxRetries = holdfast.NoRetry })
		time.Sleep(30*time.Second - 1)
		assert.Equal(w, holdfast.StateOffline, c.State())
		assert.Zero(w, w.net.Dials())

		w.network.SetOnline(true)
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State(), "no time has passed")
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		assert.Equal(w, []holdfast.EventKind{holdfast.EventOffline, holdfast.EventOnline, holdfast.EventConnecting, holdfast.EventConnected}, w.kinds())
		require.NoError(w, c.Close())
	})
}

func TestPromise05AProbeEvery30Seconds(t *testing.T) {
	bubble(t, func(w *world) {
		w.network.SetOnline(false)
		w.net.SetDown(syscall.ENETUNREACH)
		c := w.dial(func(o *holdfast.Options) { o.Background = true; o.Retry.MaxRetries = holdfast.NoRetry })
		time.Sleep(5*time.Minute + time.Second)
		assert.Equal(w, 10, w.net.Dials())
		assert.Equal(w, holdfast.StateOffline, c.State())
		assert.Zero(w, c.Stats().ConsecutiveFailures, "probes cost nothing")
		assert.Len(w, w.seen(holdfast.EventOffline), 1)

		w.net.SetDown(nil) // and the watcher does not notice
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State())
		require.NoError(w, c.Close())
	})
}

func TestPromise05TheProbesAnswerCounts(t *testing.T) {
	bubble(t, func(w *world) {
		w.network.SetOnline(false)
		w.server.OnRequest(refuse(404, nil))
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		<-c.Done()
		var de *holdfast.DialError
		require.ErrorAs(w, c.Err(), &de)
		assert.Equal(w, 404, de.StatusCode)
		assert.Equal(w, 1, w.net.Dials())
	})
}

func TestPromise05AFailedDialAsksAgain(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetDown(syscall.ENETUNREACH)
		w.server.OnRequest(func(int, *http.Request) holdfasttest.Reply { return nil })
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Retry.MaxRetries = holdfast.NoRetry
			o.Network = offlineAfter{w.network, 1}
		})
		synctest.Wait()
		assert.Equal(w, holdfast.StateOffline, c.State())
		var de *holdfast.DialError
		require.ErrorAs(w, c.Stats().LastError, &de)
		assert.Equal(w, holdfast.ClassOffline, de.Class)
		require.NoError(w, c.CloseNow())
	})
}

// offlineAfter says Unreachable after n checks.
type offlineAfter struct {
	*holdfasttest.Network
	n int
}

func (o offlineAfter) Check(ctx context.Context, host string) holdfast.Reachability {
	o.Network.Check(ctx, host)
	if o.Checks() > o.n {
		return holdfast.Unreachable
	}
	return holdfast.ReachUnknown
}

func TestPromise05ALinkThatDiesOfflineCostsNothing(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.NoRetry })
		w.network.SetOnline(false)
		time.Sleep(100 * time.Millisecond) // the quiet time
		synctest.Wait()
		assert.Equal(w, holdfast.StateOffline, c.State())
		w.send(c, "kept")
		w.network.SetOnline(true)
		assert.Equal(w, "kept", string(w.receive(c).Data))
		assert.Equal(w, 2, w.net.Dials())
		require.NoError(w, c.Close())
	})
}

func TestPromise05TheLocalAddressIsGone(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.NoRetry })
		w.network.RemoveAddr(netip.MustParseAddr("192.0.2.1"))
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		w.network.RestoreAddr(netip.MustParseAddr("192.0.2.1"))
		synctest.Wait()
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		assert.Equal(w, uint64(2), c.Stats().Epoch)
		require.NoError(w, c.Close())
	})
}

func TestPromise05AnyOtherChangePings(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.NoRetry })
		w.network.Signal()
		time.Sleep(time.Minute)
		assert.Equal(w, 1, w.net.Dials(), "the link answered")

		w.net.Freeze(true)
		start := time.Now()
		w.network.Signal()
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		assert.Equal(w, 3*time.Second+100*time.Millisecond, time.Since(start))
		synctest.Wait()
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		require.NoError(w, c.Close())
	})
}

func TestPromise05ChangesAreAwaitedUntilQuiet(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		for range 60 { // never quiet for 100 ms
			w.network.Signal()
			time.Sleep(50 * time.Millisecond)
		}
		n := len(w.seen(holdfast.EventNetworkChanged))
		assert.Equal(w, 6, n, "3 s of changes, looked at every 500 ms")
		require.NoError(w, c.Close())
	})
}

func TestPromise05FirstDialsAfterUpAreQuick(t *testing.T) {
	bubble(t, func(w *world) {
		w.network.SetOnline(false)
		w.net.SetDown(syscall.ENETUNREACH)
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Retry.New = func() holdfast.BackOff { return constant(20 * time.Second) }
		})
		synctest.Wait()
		w.network.SetOnline(true)
		start := time.Now()
		var at []time.Duration
		for range 4 {
			n := w.net.Dials()
			for w.net.Dials() == n {
				time.Sleep(10 * time.Millisecond)
			}
			at = append(at, time.Since(start).Round(50*time.Millisecond))
		}
		assert.Equal(w, []time.Duration{0, 250 * time.Millisecond, time.Second, 2 * time.Second}, at)
		require.NoError(w, c.CloseNow())
	})
}

func TestPromise05WaitingNoticesOffline(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(refuse(503, nil))
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Retry.New = func() holdfast.BackOff { return constant(20 * time.Second) }
		})
		synctest.Wait()
		w.network.SetOnline(false)
		synctest.Wait()
		assert.Equal(w, holdfast.StateOffline, c.State())
		w.server.OnRequest(nil)
		w.network.SetOnline(true)
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State())
		require.NoError(w, c.Close())
	})
}

func TestPromise06KeepaliveFindsAFrozenPeer(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Keepalive = holdfast.Keepalive{} })
		time.Sleep(10*time.Minute + time.Second) // 1 s after a pong
		assert.Equal(w, 1, w.net.Dials(), "an idle link that answers lives on")
		assert.Equal(w, holdfast.StateConnected, c.State())

		w.net.Freeze(true)
		start := time.Now()
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		assert.Equal(w, 35*time.Second, time.Since(start), "24 s of silence, 10 s for the answer, 1 s of waiting")
		lost := w.seen(holdfast.EventDisconnected)
		require.Len(w, lost, 1)
		require.ErrorIs(w, lost[0].Err, holdfast.ErrNoPong)
		require.NoError(w, c.Close())
	})
}

func TestPromise06AnyFrameIsLife(t *testing.T) {
	bubble(t, func(w *world) {
		var pings atomic.Int32
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			p.OnPing(func([]byte) ([]byte, bool) { pings.Add(1); return nil, true }) // empty pongs, as gws sends
			go func() {
				for range 10 {
					time.Sleep(20 * time.Second)
					_ = p.Send(holdfast.Text, []byte("tick"))
				}
			}()
			_, _, _ = p.Receive()
		})
		c := w.dial(func(o *holdfast.Options) { o.Keepalive = holdfast.Keepalive{} })
		time.Sleep(200 * time.Second)
		synctest.Wait()
		assert.Zero(w, pings.Load(), "messages came every 20 s")
		time.Sleep(100 * time.Second)
		synctest.Wait()
		assert.Equal(w, int32(4), pings.Load())
		assert.Equal(w, 1, w.net.Dials(), "an empty pong is life")
		assert.Zero(w, c.Stats().RTT, "but measures nothing")
		require.NoError(w, c.Close())
	})
}

func TestPromise06AConsumerThatStoppedIsNoDeadPeer(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for range 20 {
				if p.Send(holdfast.Binary, make([]byte, 10000)) != nil {
					return
				}
			}
			_, _, _ = p.Receive()
		})
		c := w.dial(func(o *holdfast.Options) {
			o.Keepalive = holdfast.Keepalive{}
			o.ReceiveBuffer = 50000
		})
		time.Sleep(time.Hour)
		assert.Equal(w, 1, w.net.Dials())
		assert.LessOrEqual(w, c.Stats().ReceiveQueuedBytes, int64(60000))
		for range 20 {
			assert.Equal(w, uint64(1), w.receive(c).Epoch)
		}
		time.Sleep(time.Hour)
		assert.Equal(w, 1, w.net.Dials())
		require.NoError(w, c.Close())
	})
}

func TestPromise06MessageInsteadOfPing(t *testing.T) {
	bubble(t, func(w *world) {
		got := make(chan string, 100)
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			p.OnPing(func([]byte) ([]byte, bool) { w.Error("a ping"); return nil, false })
			for {
				_, data, err := p.Receive()
				if err != nil {
					return
				}
				got <- string(data)
				_ = p.Send(holdfast.Text, []byte("pong"))
			}
		})
		c := w.dial(func(o *holdfast.Options) {
			o.Keepalive = holdfast.Keepalive{Message: func() holdfast.Message { return holdfast.Message{Type: holdfast.Text, Data: []byte("ping")} }}
		})
		time.Sleep(80 * time.Second)
		synctest.Wait()
		assert.Len(w, got, 3)
		assert.Equal(w, "ping", <-got)
		assert.Equal(w, 1, w.net.Dials())
		require.NoError(w, c.Close())
	})
}

func TestPromise06EveryWriteHasADeadline(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			if p.N() == 1 {
				p.Freeze(true) // never reads
				<-p.Done()
				return
			}
			for {
				if _, _, err := p.Receive(); err != nil {
					return
				}
			}
		})
		c := w.dial(func(o *holdfast.Options) { o.WriteTimeout = 5 * time.Second })
		start := time.Now()
		require.NoError(w, c.Send(w.Context(), holdfast.Binary, make([]byte, 1<<20)))
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		assert.Equal(w, 6*time.Second, time.Since(start), "5 s of writing and 1 s of waiting")
		require.NoError(w, c.Close())
	})
}
