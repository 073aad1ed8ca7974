package pump

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
)

func TestDropOldestIsAGapAtItsPlace(t *testing.T) {
	bubble(t, setup{limits: outbox.Limits{MaxMessages: 3, WhenFull: outbox.DropOldest}}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(0)
		w.client.push(1, 3, 0)
		w.server.gets(1, 3)
		require.NoError(t, w.client.flush(t.Context()).returns())
		c.cut()
		w.client.push(4, 10, 0)
		_, _, drops := w.client.told()
		require.Equal(t, 4, drops)
		w.connect(0)
		for n := uint64(8); n <= 10; n++ {
			m, ok := w.server.get()
			require.True(t, ok)
			require.Equal(t, n, numberOf(t, m))
			assert.Equal(t, uint64(2), m.Epoch)
		}
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{1, 2}}, gaps)
	})
}

// What was sent and gave way becomes a gap too, in front of what follows; what has
// arrived all the same is no gap.
func TestDropOldestOfWhatWasSent(t *testing.T) {
	limits := outbox.Limits{MaxMessages: 3, WhenFull: outbox.DropOldest}
	bubble(t, setup{limits: limits}, setup{window: 600, maxMessage: 500}, func(t *testing.T, w *world) {
		w.connect(0)
		synctest.Wait()
		w.client.push(1, 1, 500)
		synctest.Wait() // it fills the window
		w.client.push(2, 9, 500)
		time.Sleep(time.Second)
		w.server.gets(1, 1)
		w.server.gets(8, 9)
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{1, 2}}, gaps)
		require.Error(t, w.client.flush(t.Context()).returns())
	})
	bubble(t, setup{limits: limits}, setup{}, func(t *testing.T, w *world) {
		lost := w.connect(time.Minute)
		for n := range uint64(6) {
			w.client.push(n+1, n+1, 500)
			synctest.Wait()
		}
		lost.cut()
		w.connect(0)
		for n := uint64(4); n <= 6; n++ {
			m, ok := w.server.get()
			require.True(t, ok)
			require.Equal(t, n, numberOf(t, m))
			assert.Equal(t, uint64(2), m.Epoch)
		}
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{3, 2}}, gaps)
		require.Error(t, w.client.flush(t.Context()).returns())
		late := w.connect(time.Second)
		w.client.push(7, 9, 500)
		synctest.Wait()
		w.client.push(10, 10, 500) // in place of 7, which arrives
		w.server.gets(7, 10)
		time.Sleep(time.Minute)
		require.Error(t, w.client.flush(t.Context()).returns())
		late.cut()
		w.connect(0)
		w.server.getsNothing()
		gaps, _, _ = w.server.told()
		assert.Len(t, gaps, 1)
	})
}

func TestDropOldestInsideALargeMessage(t *testing.T) {
	limits := outbox.Limits{MaxMessages: 1, WhenFull: outbox.DropOldest}
	bubble(t, setup{limits: limits}, setup{window: 100 << 10}, func(t *testing.T, w *world) {
		w.connect(0)
		w.server.in.Put(number(1000, 0)) // so that the rest of it finds no room
		w.client.push(1, 1, 300<<10)
		synctest.Wait()
		require.Equal(t, 1, w.client.out.Stats().Unacknowledged)
		w.client.beforeDropped = synctest.Wait // the writer is as fast as can be
		w.client.push(2, 2, 0)
		synctest.Wait()
		gaps, _, _ := w.server.told()
		assert.Len(t, gaps, 1, "though the window is closed")
		w.server.gets(1000, 1000)
		m, ok := w.server.get()
		require.True(t, ok)
		assert.Equal(t, uint64(2), numberOf(t, m))
		assert.Equal(t, uint64(2), m.Epoch)
	})
}

func TestMaxAgeIsAGap(t *testing.T) {
	bubble(t, setup{limits: outbox.Limits{MaxAge: time.Second}}, setup{}, func(t *testing.T, w *world) {
		w.client.push(1, 2, 0)
		time.Sleep(2 * time.Second)
		w.connect(0)
		synctest.Wait()
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{1, 2}}, gaps)
		w.client.push(3, 3, 0)
		m, ok := w.server.get()
		require.True(t, ok)
		assert.Equal(t, uint64(2), m.Epoch)
		assert.Equal(t, uint64(2), w.server.Epoch())
	})
}

func TestAPeerThatTakesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 4}, func(n int, err error) {
			assert.Equal(t, 1, n)
			assert.ErrorIs(t, err, outbox.ErrTooBig)
		})
		push := func(size int) error { return accept(t.Context(), out, number(1, size)) }
		for _, size := range []int{10, 101, 100, 10} {
			require.NoError(t, push(size))
		}
		big := start(t, func() error { return push(101) })
		small := start(t, func() error { return push(100) })
		big.waits()
		small.waits()
		w := newWorld(t, setup{peerMessage: 100}, setup{maxMessage: 100})
		defer w.end()
		w.client.out.Close(errEnd)
		w.client.out = out
		w.client.End = New(Config{Session: w.client.c.Session, Out: out, In: w.client.in, MaxMessage: 100, Epoch: 1})
		require.ErrorIs(t, big.returns(), outbox.ErrTooBig)
		require.NoError(t, small.returns())
		require.ErrorIs(t, push(101), outbox.ErrTooBig)
		w.client.Flow()
		w.connect(0)
		for _, want := range []struct {
			size  int
			epoch uint64
		}{{10, 1}, {100, 2}, {10, 2}, {100, 2}} {
			m, ok := w.server.get()
			require.True(t, ok)
			assert.Len(t, m.Data, want.size)
			assert.Equal(t, want.epoch, m.Epoch)
		}
		w.server.getsNothing()
	})
}
