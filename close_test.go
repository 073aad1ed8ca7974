package holdfast_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func TestPromise01CloseSendsWhatWasAcceptedThen1000(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetLatency(20 * time.Millisecond)
		got, code := 0, make(chan uint16, 1)
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for {
				if _, _, err := p.Receive(); err != nil {
					c, _ := p.CloseCode()
					code <- c
					return
				}
				got++
			}
		})
		c := w.dial(nil)
		for range 1000 {
			w.send(c, "x")
		}
		require.NoError(w, c.Close())
		assert.Equal(w, uint16(1000), <-code)
		assert.Equal(w, 1000, got)
		require.ErrorIs(w, c.Err(), holdfast.ErrClosed)
		assert.Equal(w, holdfast.StateClosed, c.State())
		wantSendError(w, c.Send(w.Context(), holdfast.Text, nil), holdfast.NotSent, 1)
		require.ErrorIs(w, c.Send(w.Context(), holdfast.Text, nil), holdfast.ErrClosed)
		require.NoError(w, c.Close(), "again")
		require.NoError(w, c.CloseNow(), "and now")
		<-c.Done()
	})
}

func TestPromise01CloseWithCodeAndReason(t *testing.T) {
	bubble(t, func(w *world) {
		said := make(chan string, 1)
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_, _, _ = p.Receive()
			code, reason := p.CloseCode()
			assert.Equal(w, uint16(4001), code)
			said <- reason
		})
		c := w.dial(nil)
		require.NoError(w, c.CloseWith(w.Context(), 4001, "bye"))
		assert.Equal(w, "bye", <-said)
	})
}

func TestPromise14CloseIsBounded(t *testing.T) {
	for name, r := range map[string]struct {
		close func(w *world, c *holdfast.Conn) error
		after time.Duration
		why   error
	}{
		"by CloseTimeout": {func(_ *world, c *holdfast.Conn) error { return c.Close() }, 5 * time.Second, context.DeadlineExceeded},
		"by the context":  {func(w *world, c *holdfast.Conn) error { return c.CloseWith(w.within(time.Second), 1000, "") }, time.Second, context.DeadlineExceeded},
		"not at all":      {func(_ *world, c *holdfast.Conn) error { return c.CloseNow() }, 0, holdfast.ErrClosed},
		"by CloseNow meanwhile": {func(_ *world, c *holdfast.Conn) error {
			time.AfterFunc(2*time.Second, func() { _ = c.CloseNow() })
			return c.Close()
		}, 2 * time.Second, holdfast.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				c := w.dial(nil)
				w.net.Freeze(true)
				w.send(c, "lost")
				synctest.Wait()
				start := time.Now()
				err := r.close(w, c)
				assert.Equal(w, r.after, time.Since(start))
				var unsent *holdfast.UnsentError
				require.ErrorAs(w, err, &unsent)
				assert.Equal(w, holdfast.UnsentError{MaybeSent: 1, Err: r.why}, *unsent)
			})
		})
	}
}

func TestPromise14CloseDoesNotReconnect(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		w.server.Close()
		synctest.Wait()
		assert.Equal(w, holdfast.StateWaiting, c.State())
		w.send(c, "left")
		start := time.Now()
		var unsent *holdfast.UnsentError
		require.ErrorAs(w, c.Close(), &unsent)
		assert.Equal(w, holdfast.UnsentError{Messages: 1, Bytes: 4, Err: c.Stats().LastError}, *unsent)
		assert.ErrorIs(w, unsent, io.EOF, "why it was not connected")
		assert.Zero(w, time.Since(start))
		assert.Equal(w, 1, w.net.Dials())
	})
}

func TestPromise14CloseWhenTheLinkDiesMeanwhile(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) { p.Freeze(true); <-p.Done() })
		c := w.dial(nil)
		for range 100 {
			require.NoError(w, c.Send(w.Context(), holdfast.Binary, make([]byte, 10000)))
		}
		synctest.Wait()
		done := make(chan error)
		go func() { done <- c.Close() }()
		synctest.Wait()
		assert.Equal(w, holdfast.StateClosing, c.State())
		w.server.ResetAll()
		start := time.Now()
		var unsent *holdfast.UnsentError
		require.ErrorAs(w, <-done, &unsent)
		assert.Zero(w, time.Since(start))
		assert.Equal(w, 100, unsent.Messages+unsent.MaybeSent)
		assert.NotZero(w, unsent.Messages)
		assert.Equal(w, 1, w.net.Dials())
	})
}

func TestPromise14CloseInEveryState(t *testing.T) {
	t.Run("connecting", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.net.Blackhole("server.test:80", true)
			c := w.dial(func(o *holdfast.Options) { o.Background = true })
			synctest.Wait()
			assert.Equal(w, holdfast.StateConnecting, c.State())
			require.NoError(w, c.Close())
		})
	})
	t.Run("offline", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.network.SetOnline(false)
			c := w.dial(func(o *holdfast.Options) { o.Background = true })
			synctest.Wait()
			assert.Equal(w, holdfast.StateOffline, c.State())
			require.NoError(w, c.Close())
		})
	})
	t.Run("closed", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.OnConnect(func(p *holdfasttest.Peer) { _ = p.Close(1000, "") })
			c := w.dial(nil)
			<-c.Done()
			require.NoError(w, c.Close())
			require.NoError(w, c.CloseNow())
			var ce *holdfast.CloseError
			require.ErrorAs(w, c.Err(), &ce, "Close does not hide what ended it")
		})
	})
}

func TestPromise14CloseWithAFullInbox(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for range 100 {
				if p.Send(holdfast.Binary, make([]byte, 5000)) != nil {
					return
				}
			}
			_, _, _ = p.Receive()
		})
		c := w.dial(func(o *holdfast.Options) { o.ReceiveBuffer = 20000 })
		synctest.Wait()
		start := time.Now()
		require.NoError(w, c.Close())
		assert.Zero(w, time.Since(start), "the peer's answer is read")
		n := 0
		for _, err := range c.Messages(w.Context()) {
			require.NoError(w, err)
			n++
		}
		assert.Equal(w, 4, n, "what was received before")
	})
}

func TestPromise01ReconnectCostsNothing(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.NoRetry })
		for n := 2; n < 5; n++ {
			c.Reconnect()
			require.NoError(w, w.server.WaitAccepted(w.Context(), n))
			synctest.Wait()
			assert.Equal(w, holdfast.StateConnected, c.State())
		}
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		require.NoError(w, c.Close())
	})
	bubble(t, func(w *world) { // it ends the wait
		w.server.OnRequest(refuse(503, nil))
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Retry.New = func() holdfast.BackOff { return constant(time.Hour) }
		})
		synctest.Wait()
		w.server.OnRequest(nil)
		start := time.Now()
		c.Reconnect()
		require.NoError(w, c.WaitConnected(w.Context()))
		assert.Zero(w, time.Since(start))
		require.NoError(w, c.Close())
	})
	bubble(t, func(w *world) { // it dials even though the network says offline
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		synctest.Wait()
		c.Reconnect()
		require.NoError(w, c.WaitConnected(w.Context()))
		require.NoError(w, c.Close())
	})
}

func TestPromise01TwoDialsNeverRunAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		running, most := 0, 0
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Authorize = func(context.Context, *request, error) error {
				running++
				most = max(most, running)
				time.Sleep(time.Second) // ignores its context
				running--
				return nil
			}
		})
		for range 20 {
			time.Sleep(300 * time.Millisecond)
			c.Reconnect()
			w.network.Signal()
		}
		require.NoError(w, c.WaitConnected(w.Context()))
		assert.Equal(w, 1, most)
		require.NoError(w, c.Close())
	})
}

func TestPromise01ManyCyclesLeaveNothing(t *testing.T) {
	bubble(t, func(w *world) { // the bubble fails on what is left
		for i := range 1000 {
			c := w.dial(func(o *holdfast.Options) { o.Keepalive = holdfast.Keepalive{} })
			if i%3 == 0 {
				w.send(c, "x")
				w.receive(c)
			}
			if i%2 == 0 {
				require.NoError(w, c.Close())
			} else {
				_ = c.CloseNow() // "maybe sent" where the echo was no proof
			}
		}
		require.NoError(w, w.server.WaitPeers(w.Context(), 0))
		assert.Zero(w, w.net.Conns())
	})
}

func TestPromise01EndpointsInTurn(t *testing.T) {
	bubble(t, func(w *world) {
		other, err := w.net.Listen("other.test:80")
		require.NoError(w, err)
		second := holdfasttest.NewServer(other)
		defer second.Close()
		w.server.OnRequest(refuse(503, nil))
		c := w.dial(func(o *holdfast.Options) { o.Endpoints = []string{"ws://other.test/stream"} })
		connected := w.seen(holdfast.EventConnected)
		require.Len(w, connected, 1)
		assert.Equal(w, "ws://other.test/stream", connected[0].Endpoint)
		assert.Equal(w, 1, w.server.Requests())

		time.Sleep(10 * time.Second)
		second.DropAll() // stable: the same one first
		require.NoError(w, second.WaitAccepted(w.Context(), 2))
		assert.Equal(w, 1, w.server.Requests())
		second.OnRequest(refuse(404, nil))
		w.server.OnRequest(nil)
		second.DropAll() // not stable: the other one
		require.NoError(w, w.server.WaitAccepted(w.Context(), 1))
		require.NoError(w, c.Close())
	})
}

func TestPromise04ATerminalAnswerRetiresItsEndpoint(t *testing.T) {
	bubble(t, func(w *world) {
		other, err := w.net.Listen("other.test:80")
		require.NoError(w, err)
		second := holdfasttest.NewServer(other)
		defer second.Close()
		w.server.OnRequest(refuse(404, nil))
		second.OnRequest(func(n int, _ *request) holdfasttest.Reply {
			if n < 5 {
				return holdfasttest.Refuse{Status: 503}
			}
			return holdfasttest.Refuse{Status: 401}
		})
		_, err = w.tryDial(func(o *holdfast.Options) { o.Endpoints = []string{"ws://other.test/stream"} })
		var de *holdfast.DialError
		require.ErrorAs(w, err, &de)
		assert.Equal(w, 401, de.StatusCode)
		assert.Equal(w, 1, w.server.Requests(), "retired at once")
		assert.Equal(w, 5, second.Requests())
	})
}

func TestPromise04NormalClosureEndsTheConnWhateverElseThereIs(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) { _ = p.Close(1000, "") })
		c := w.dial(func(o *holdfast.Options) { o.Endpoints = []string{"ws://other.test/stream"} })
		<-c.Done()
		assert.Equal(w, 1, w.net.Dials())
	})
}
