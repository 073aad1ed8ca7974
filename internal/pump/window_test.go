package pump

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
)

func TestWindowClosesAndReopens(t *testing.T) {
	for name, window := range map[string]int{"of a few messages": 2000, "of a part of one": 300, "of nothing": 1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, setup{}, setup{window: window, maxMessage: 500}, func(t *testing.T, w *world) {
				w.connect(time.Millisecond)
				w.client.push(1, 50, 500)
				time.Sleep(time.Second)
				held := w.server.in.Held()
				assert.LessOrEqual(t, held, max(window, 500+inbox.Overhead))
				queued := w.client.out.Stats().Queued
				time.Sleep(time.Hour)
				assert.Equal(t, queued, w.client.out.Stats().Queued, "nobody takes anything")
				for n := uint64(1); n <= 50; n++ {
					w.server.gets(n, n)
					time.Sleep(10 * time.Millisecond) // a slow receiver
				}
			})
		})
	}
}

// A receiver that waits takes each message as it comes: nothing is ever held, and
// the window is open at once.
func TestWindowWithAReceiverThatWaits(t *testing.T) {
	bubble(t, setup{}, setup{window: 1000, maxMessage: 900}, func(t *testing.T, w *world) {
		w.connect(time.Millisecond)
		got := start(t, func() error { w.server.gets(1, 100); return nil })
		began := time.Now()
		w.client.push(1, 100, 900)
		<-got.done
		assert.Equal(t, 2*time.Millisecond*99+time.Millisecond, time.Since(began), "no ACK waits for the timer")
	})
}

func TestAcknowledgementsAreDelayed(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.connect(0)
		synctest.Wait()
		w.client.push(1, 3, 0)
		w.server.gets(1, 3)
		unacked := func() int {
			synctest.Wait()
			return w.client.out.Stats().Unacknowledged
		}
		time.Sleep(ackDelay - 1)
		assert.Equal(t, 3, unacked())
		time.Sleep(1)
		assert.Zero(t, unacked())

		w.client.push(4, 3+63, 0)
		assert.Equal(t, 63, unacked())
		w.client.push(67, 67, 0)
		assert.Zero(t, unacked(), "64 messages are acknowledged at once")

		w.client.push(68, 68, 64<<10)
		assert.Zero(t, unacked(), "and so are 64 KiB")

		w.client.push(69, 69, 0)
		assert.Equal(t, 1, unacked())
		w.server.push(1, 1, 0)
		assert.Zero(t, unacked(), "data acknowledges")
		w.server.gets(4, 69)
	})
}

func TestDetachStopsTheAckTimer(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(0)
		synctest.Wait()
		w.client.push(1, 1, 0)
		synctest.Wait()
		timer := func() *time.Timer {
			w.server.End.mu.Lock()
			defer w.server.End.mu.Unlock()
			return w.server.ackTimer
		}
		first := timer()
		require.NotNil(t, first)
		c.cut()
		assert.Nil(t, timer())
		assert.False(t, first.Stop(), "it is stopped already")

		time.Sleep(ackDelay / 2)
		w.connect(0)
		synctest.Wait()
		w.client.push(2, 2, 0)
		synctest.Wait()
		require.NotNil(t, timer())
		time.Sleep(ackDelay - 1)
		synctest.Wait()
		assert.Equal(t, 1, w.client.out.Stats().Unacknowledged, "its own time counts")
		time.Sleep(1)
		synctest.Wait()
		assert.Zero(t, w.client.out.Stats().Unacknowledged)
		assert.Nil(t, timer())
	})
}

// A WELCOME grants room that the peer does not know of if the candidate comes to
// nothing.
func TestWindowReopensAfterACandidateThatCameToNothing(t *testing.T) {
	for taken := range 9 {
		bubble(t, setup{}, setup{window: 1000, maxMessage: 61}, func(t *testing.T, w *world) {
			w.connect(0)
			synctest.Wait()
			w.client.push(1, 40, 61)
			synctest.Wait()
			require.Positive(t, w.client.out.Stats().Queued)
			w.server.gets(1, uint64(taken))
			w.server.RecvNext()
			w.server.gets(uint64(taken)+1, 40)
		})
	}
}

// Messages of an earlier session do not take the room of OnConnect's answers.
func TestAnswersToOnConnectHaveTheWindowToThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{window: 1000, maxMessage: 500}, setup{})
		defer w.end()
		w.server.Flow()
		for n := range uint64(3) {
			w.client.in.Put(number(100+n, 500))
		}
		w.client.in.Hold()
		w.server.push(1, 8, 500)
		w.connect(time.Millisecond)
		for n := uint64(1); n <= 4; n++ {
			m, err := w.client.in.TakeHeld(t.Context())
			require.NoError(t, err)
			require.Equal(t, n, numberOf(t, m))
		}
		w.client.in.Release(false)
		w.client.gets(100, 102)
		w.client.gets(5, 8)
	})
}

// What Release gives to receivers that wait makes room.
func TestReleaseReopensTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{window: 1000, maxMessage: 500}, setup{})
		defer w.end()
		w.server.Flow()
		w.client.in.Hold()
		got := start(t, func() error { w.client.gets(1, 8); return nil })
		w.connect(time.Millisecond)
		w.server.push(1, 8, 500)
		time.Sleep(time.Second)
		w.client.in.Release(false)
		time.Sleep(time.Second)
		require.NoError(t, got.returns())
	})
}
