package holdfast_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// overBoth runs a test over WebSocket and over long polling.
func overBoth(t *testing.T, f func(p *scene, dial func(change func(o *holdfast.Options)) *holdfast.Conn)) {
	t.Run("websocket", func(t *testing.T) {
		session(t, func(p *scene) { f(p, p.dial) })
	})
	t.Run("longpoll", func(t *testing.T) {
		session(t, func(p *scene) {
			p.blockBy(blockades["403"])
			f(p, p.dial)
		})
	})
}

func TestPromise09ExactlyOnceOverCuts(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.start()
		c := dial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.Unlimited })
		p.number(c, 500, 20*time.Millisecond, func() {
			for range 8 {
				time.Sleep(900 * time.Millisecond)
				p.net.Reset()
			}
		})
		assert.EqualValues(p, 1, c.Stats().Epoch)
		assert.Zero(p, c.Stats().Unknown)
		for _, e := range p.seen(holdfast.EventConnected)[1:] {
			assert.True(p, e.Resumed)
		}
		assert.Empty(p, p.seen(holdfast.EventGap))
		require.NoError(p, c.Close())
	})
}

func TestPromise09CloseIsGraceful(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		got := make(chan error, 1)
		p.echo = func(ctx context.Context, s *server.Session) error {
			n := 0
			for _, err := range s.Messages(ctx) {
				if err != nil {
					got <- fmt.Errorf("%d: %w", n, err)
					return nil
				}
				n++
			}
			got <- fmt.Errorf("%d", n)
			return nil
		}
		p.start()
		c := dial(nil)
		for i := range 100 {
			require.NoError(p, c.Send(p.Context(), holdfast.Text, fmt.Append(nil, i)))
		}
		require.NoError(p, c.CloseWith(p.Context(), 4001, "done"))
		err := <-got
		var ce *holdfast.CloseError
		require.ErrorAs(p, err, &ce)
		assert.Contains(p, err.Error(), "100: ")
		assert.EqualValues(p, 4001, ce.Code)
		assert.True(p, ce.Remote)
	})
}

func TestPromise09FlushIsProvenOverReconnects(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.start()
		c := dial(nil)
		require.NoError(p, c.SendSync(p.Context(), holdfast.Text, []byte("one")))
		p.expect(c, "one")
		p.net.SetLatency(100 * time.Millisecond)
		require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte("two")))
		go func() {
			time.Sleep(150 * time.Millisecond)
			p.net.Reset()
		}()
		require.NoError(p, c.Flush(p.Context()))
		p.expect(c, "two")
		require.NoError(p, c.Close())
	})
}

func TestPromise09ServerClosesWithItsCode(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.echo = func(ctx context.Context, s *server.Session) error {
			m, err := s.Receive(ctx)
			if err != nil {
				return err
			}
			if err := s.Send(ctx, m.Type, m.Data); err != nil {
				return err
			}
			return nil
		}
		p.start()
		c := dial(nil)
		p.roundTrip(c, "last words")
		_, err := c.Receive(p.Context())
		var ce *holdfast.CloseError
		require.ErrorAs(p, err, &ce)
		assert.Equal(p, holdfast.StatusNormalClosure, ce.Code)
		assert.True(p, ce.Remote)
		<-c.Done()
	})
}

func TestPromise09RestartedServerIsANewSession(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.start()
		c := dial(func(o *holdfast.Options) { o.Delivery = holdfast.AtLeastOnce })
		assert.EqualValues(p, 1, p.roundTrip(c, "one").Epoch)
		p.stop()
		p.net.Reset()
		p.start()
		assert.EqualValues(p, 2, p.roundTrip(c, "two").Epoch)
		require.NoError(p, c.Close())
		assert.Len(p, p.seen(holdfast.EventGap), 1)
	})
}

func TestPromise09ShutdownSays1012(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.start()
		c := dial(nil)
		p.roundTrip(c, "one")
		p.mu.Lock()
		s := p.server
		p.mu.Unlock()
		ctx, cancel := context.WithTimeout(p.Context(), 10*time.Second)
		defer cancel()
		require.NoError(p, s.Shutdown(ctx))
		lost := p.seen(holdfast.EventDisconnected)
		require.Len(p, lost, 1)
		var ce *holdfast.CloseError
		require.ErrorAs(p, lost[0].Err, &ce)
		assert.Equal(p, holdfast.StatusServiceRestart, ce.Code)
		p.stop()
		p.start()
		p.roundTrip(c, "two")
		require.NoError(p, c.Close())
	})
}

func TestPromise09OnConnectRunsOncePerSession(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.start()
		runs := 0
		c := dial(func(o *holdfast.Options) {
			o.Delivery = holdfast.AtLeastOnce
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				runs++
				if err := h.Send(ctx, holdfast.Text, []byte("log in")); err != nil {
					return err
				}
				m, err := h.Receive(ctx)
				if err == nil && string(m.Data) != "log in" {
					err = fmt.Errorf("got %q", m.Data)
				}
				return err
			}
		})
		p.roundTrip(c, "one")
		p.net.Reset()
		p.roundTrip(c, "two")
		assert.Equal(p, 1, runs)
		p.stop()
		p.net.Reset()
		p.start()
		p.roundTrip(c, "three")
		assert.Equal(p, 2, runs)
		require.NoError(p, c.Close())
	})
}

func TestPromise09SlowReceiverHoldsTheServerBack(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		const n = 400
		sent := 0
		p.echo = func(ctx context.Context, s *server.Session) error {
			for i := range n {
				if err := s.Send(ctx, holdfast.Binary, append(make([]byte, 10_000), byte(i))); err != nil {
					return err
				}
				sent++
			}
			return s.Flush(ctx)
		}
		p.start()
		c := dial(func(o *holdfast.Options) { o.ReceiveBuffer = 100_000 })
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(p, sent, n, "the server's buffer and the window are full")
		assert.LessOrEqual(p, c.Stats().ReceiveQueuedBytes, int64(100_000))
		for i := range n {
			m, err := c.Receive(p.Context())
			require.NoError(p, err)
			require.Equal(p, byte(i), m.Data[10_000])
		}
		_, err := c.Receive(p.Context())
		var ce *holdfast.CloseError
		require.ErrorAs(p, err, &ce)
		assert.Equal(p, holdfast.StatusNormalClosure, ce.Code)
	})
}
