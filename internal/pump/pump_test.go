package pump

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestMessagesGoBothWaysInOrder(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.client.push(1, 500, 100)
		w.connect(0)
		w.server.push(1, 500, 100)
		w.server.gets(1, 500)
		w.client.gets(1, 500)
		w.client.push(501, 600, 100)
		w.server.gets(501, 600)
		w.client.getsNothing()
		w.server.getsNothing()
	})
}

func TestMessageLargerThanAFrameAndTheWindow(t *testing.T) {
	bubble(t, setup{}, setup{window: 70 << 10}, func(t *testing.T, w *world) {
		w.connect(time.Millisecond)
		w.client.push(1, 3, 500<<10)
		w.server.gets(1, 3)
		w.client.push(4, 4, 1<<20)
		w.client.push(5, 300, 1000)
		w.server.gets(4, 300)
	})
}

func TestNothingIsLostOverLinkCuts(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		var n uint64 = 1
		for i := range 30 {
			c := w.connect(time.Duration(i%5) * time.Millisecond)
			w.client.push(n, n+19, 200<<(i%10))
			w.server.push(n, n+19, 200)
			time.Sleep(time.Duration(i) * 300 * time.Microsecond)
			c.cut()
			w.client.push(n+20, n+24, 10)
			w.server.push(n+20, n+24, 10)
			n += 25
		}
		w.connect(0)
		w.server.gets(1, n-1)
		w.client.gets(1, n-1)
		w.client.getsNothing()
		w.server.getsNothing()
		require.NoError(t, w.client.flush(t.Context()).returns())
		gaps, _, _ := w.server.told()
		assert.Empty(t, gaps)
	})
}

func TestSettleAfterATombstone(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(time.Minute)
		w.client.push(1, 2, 0)
		sync := w.client.sync(t.Context(), number(3, 0))
		sync.waits()
		c.cut()
		w.client.Settle(3)
		assert.Equal(t, 1, w.client.out.Stats().Unacknowledged)
		sync.waits()
		assert.Equal(t, 1, w.client.out.EndAcks(errEnd))
		require.ErrorIs(t, sync.returns(), errEnd)
	})
}

func TestPlainMessagesGoThroughWithTheirEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 100}, func(int, error) {})
		d := newSide(t, setup{})
		defer d.end()
		a, b := newLink(0)
		stop := make(chan struct{})
		write := start(t, func() error { return WritePlain(a, out, Pinger{}, stop) })
		read := start(t, func() error { return ReadPlain(b, d.in, 7, stop) })
		for n := uint64(1); n <= 3; n++ {
			require.NoError(t, accept(t.Context(), out, number(n, 0)))
			m, ok := d.get()
			require.True(t, ok)
			assert.Equal(t, transport.Message{Type: transport.Binary, Data: number(n, 0).Data, Epoch: 7}, m)
		}
		close(stop)
		require.NoError(t, write.returns())
		read.waits()
		a.Abort()
		require.ErrorIs(t, read.returns(), errCut)
		out.Close(errEnd)
	})
}
