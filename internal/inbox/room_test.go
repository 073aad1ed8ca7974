package inbox

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

func TestBoundIsTheLimitPlusOneMessage(t *testing.T) {
	bubble(t, 3*(Overhead+1), func(t *testing.T, b *box) {
		for range 2 {
			b.room(nil).hasRoom(true)
			b.put("a")
		}
		b.room(nil).hasRoom(true)
		b.put(strings.Repeat("x", 1000)) // whatever its size
		reader := b.room(nil)
		reader.waits()
		assert.Equal(t, int64(1002), b.Stats().QueuedBytes)
		b.receive(t.Context()).gets("a")
		b.receive(t.Context()).gets("a")
		reader.waits()
		b.receive(t.Context()).gets(strings.Repeat("x", 1000))
		reader.hasRoom(true)
	})
}

func TestLimitIsReachedExactly(t *testing.T) {
	bubble(t, 2*(Overhead+1), func(t *testing.T, b *box) {
		b.put("a b")
		b.room(nil).waits()
		b.receive(t.Context()).gets("a")
	})
	bubble(t, 2*(Overhead+1)+1, func(t *testing.T, b *box) {
		b.put("a b")
		b.room(nil).hasRoom(true)
	})
}

func TestEmptyMessagesAreBounded(t *testing.T) {
	bubble(t, 10*Overhead, func(t *testing.T, b *box) {
		for range 10 {
			b.room(nil).hasRoom(true)
			b.Put(transport.Message{})
		}
		b.room(nil).waits()
		_, err := b.Receive(t.Context())
		require.NoError(t, err)
	})
}

func TestAWaitingReceiverTakesNoRoom(t *testing.T) {
	bubble(t, 1, func(t *testing.T, b *box) {
		waiting := b.receive(t.Context())
		b.put("a")
		waiting.gets("a")
		b.room(nil).hasRoom(true)
	})
}

func TestPauseIsToldOnce(t *testing.T) {
	bubble(t, 2*Overhead, func(t *testing.T, b *box) {
		start := time.Now()
		paused := func(want bool, since time.Duration) {
			t.Helper()
			now, resumed := b.Paused()
			assert.Equal(t, want, now)
			if since == 0 {
				assert.True(t, resumed.IsZero())
			} else {
				assert.Equal(t, since, resumed.Sub(start))
			}
		}
		b.room(nil).hasRoom(true)
		paused(false, 0)
		b.put("a b c d")
		assert.Zero(t, b.pauses.Load(), "the reader does not wait yet")
		reader := b.room(nil)
		reader.waits()
		assert.Equal(t, int32(1), b.pauses.Load())
		paused(true, 0)
		b.receive(t.Context()).gets("a")
		b.receive(t.Context()).gets("b") // still full
		b.Queue.room <- struct{}{}       // a late signal
		reader.waits()
		assert.Equal(t, int32(1), b.pauses.Load())
		time.Sleep(time.Second)
		b.receive(t.Context()).gets("c")
		reader.hasRoom(true)
		paused(false, time.Second)
		b.put("e f")
		time.Sleep(time.Second)
		reader = b.room(nil)
		reader.waits()
		assert.Equal(t, int32(2), b.pauses.Load())
		paused(true, time.Second)
		for range 3 {
			_, err := b.Receive(t.Context())
			require.NoError(t, err)
		}
		reader.hasRoom(true)
		paused(false, 2*time.Second)
	})
}

func TestRoomStops(t *testing.T) {
	bubble(t, 1, func(t *testing.T, b *box) {
		b.put("a")
		stop := make(chan struct{})
		reader := b.room(stop)
		reader.waits()
		close(stop)
		reader.hasRoom(false)
		now, _ := b.Paused()
		assert.False(t, now, "there is no reader that could be paused")

		b.put("b") // the next link's reader
		reader = b.room(nil)
		reader.waits()
		assert.Equal(t, int32(2), b.pauses.Load())
		b.receive(t.Context()).gets("a")
		b.receive(t.Context()).gets("b")
		reader.hasRoom(true)
	})
}

func TestRoomWithAStoppedReaderAndNothingToWaitFor(t *testing.T) {
	bubble(t, 1, func(t *testing.T, b *box) {
		stop := make(chan struct{})
		close(stop)
		b.room(stop).hasRoom(true) // the reader goes on while the link is being closed
	})
}

func TestDrainForgetsWhatFindsNoRoom(t *testing.T) {
	bubble(t, 2*Overhead, func(t *testing.T, b *box) {
		b.put("a b")
		reader := b.room(nil)
		reader.waits()
		b.Drain()
		reader.hasRoom(true)
		b.put("c")
		b.room(nil).hasRoom(true)
		assert.Equal(t, uint64(2), b.Stats().Received)
		b.receive(t.Context()).gets("a")
		b.put("d")
		b.put("e")
		b.receive(t.Context()).gets("b")
		b.receive(t.Context()).waits() // d and e would come after a gap
		assert.Equal(t, int32(1), b.pauses.Load())
	})
}

// Drain and the end of writing come together, and the reader must go on: it
// reads the peer's answer to the close.
func TestDrainWinsOverStop(t *testing.T) {
	for range 100 {
		bubble(t, 1, func(t *testing.T, b *box) {
			stop := make(chan struct{})
			b.onPause = func() { // before the reader waits
				b.Drain()
				close(stop)
			}
			b.put("a")
			b.room(stop).hasRoom(true)
		})
	}
}
