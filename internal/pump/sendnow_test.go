package pump

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

func TestSendNowGoesAheadOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, setup{})
		defer w.end()
		w.server.Flow()
		w.client.push(4, 6, 0)
		now := start(t, func() error {
			for n := uint64(1); n <= 3; n++ {
				if err := w.client.SendNow(t.Context(), number(n, 100<<10)); err != nil {
					return err
				}
			}
			return nil
		})
		now.waits()
		w.connect(time.Millisecond)
		w.server.gets(1, 3)
		require.NoError(t, now.returns())
		w.server.getsNothing()
		w.client.Flow()
		w.server.gets(4, 6)
	})
}

func TestSendNowWaitsForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, setup{window: 200, maxMessage: 500})
		defer w.end()
		w.connect(0)
		synctest.Wait()
		send := func(ctx context.Context, n uint64) *call {
			return start(t, func() error { return w.client.SendNow(ctx, number(n, 500)) })
		}
		require.NoError(t, send(t.Context(), 1).returns())
		ctx, cancel := context.WithCancel(t.Context())
		gone, second := send(ctx, 99), send(t.Context(), 2)
		gone.waits()
		cancel()
		require.ErrorIs(t, gone.returns(), context.Canceled)
		second.waits()
		w.server.gets(1, 1)
		require.NoError(t, second.returns())
		w.server.gets(2, 2)
		w.server.getsNothing()
	})
}

func TestSendNowAsSoonAsTheOneBeforeHasGoneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSide(t, setup{})
		defer d.end()
		at, err := d.Attach(wire.WelcomePayload{RecvNext: 1, Window: 1 << 20}, false)
		require.NoError(t, err)
		require.NoError(t, d.SendNow(t.Context(), number(1, 0)))
		second := start(t, func() error { return d.SendNow(t.Context(), number(2, 0)) })
		second.waits()
		at.Next(nil, maxWrite)
		require.NoError(t, second.returns(), "nothing is acknowledged, but there is room")
	})
}
