package inbox

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/transport"
)

// notified counts the calls of what NotifyAt is given; it looks at the queue, as
// it may.
func (b *box) notifyAt(level int) (there bool, calls *atomic.Int32) {
	calls = &atomic.Int32{}
	there = b.NotifyAt(level, func() {
		assert.LessOrEqual(b.t, b.Held(), level)
		calls.Add(1)
	})
	return there, calls
}

func TestHeldCountsEachMessageWithItsOverhead(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		assert.Zero(t, b.Held())
		b.put("a bbb")
		assert.Equal(t, 2*Overhead+4, b.Held())
		b.receive(t.Context()).gets("a")
		assert.Equal(t, Overhead+3, b.Held())
		b.receive(t.Context()).gets("bbb")
		waiting := b.receive(t.Context())
		b.put("c")
		waiting.gets("c")
		assert.Zero(t, b.Held())
		b.put("d")
		b.Close(errEnd)
		assert.Equal(t, Overhead+1, b.Held())
		b.put("late")
		assert.Equal(t, Overhead+1, b.Held())
	})
}

func TestHeldIsOnlyWhatIsHeldForOnConnect(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("a b")
		b.Hold()
		assert.Zero(t, b.Held(), "a receiver that is behind does not keep the answers away")
		b.put("c")
		assert.Equal(t, Overhead+1, b.Held())
		b.receive(t.Context()).gets("a")
		assert.Equal(t, Overhead+1, b.Held())
		b.Release(false)
		assert.Equal(t, 2*(Overhead+1), b.Held())
	})
}

func TestNotifyAt(t *testing.T) {
	const each = Overhead + 1
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		there, calls := b.notifyAt(0)
		assert.True(t, there)
		b.put("a b c d")
		there, level := b.notifyAt(4 * each)
		assert.True(t, there)
		there, replaced := b.notifyAt(3 * each)
		assert.False(t, there)
		there, level2 := b.notifyAt(2 * each)
		assert.False(t, there)
		b.receive(t.Context()).gets("a")
		assert.Zero(t, level2.Load())
		b.receive(t.Context()).gets("b")
		assert.Equal(t, int32(1), level2.Load())
		b.receive(t.Context()).gets("c")
		assert.Equal(t, int32(1), level2.Load(), "once")
		there, off := b.notifyAt(0)
		assert.False(t, there)
		there = b.NotifyAt(-1, nil)
		assert.False(t, there)
		b.receive(t.Context()).gets("d")
		for _, c := range []*atomic.Int32{calls, level, replaced, off} {
			assert.Zero(t, c.Load())
		}
	})
}

func TestNotifyAtFallsBetweenTwoMessages(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("aaaaaaaaaa " + strings.Repeat("b", 100))
		there, calls := b.notifyAt(Overhead + 50)
		assert.False(t, there)
		b.receive(t.Context())
		assert.Zero(t, calls.Load())
		b.receive(t.Context())
		assert.Equal(t, int32(1), calls.Load())
	})
}

func TestNotifyAtHearsOfHoldAndRelease(t *testing.T) {
	for name, forget := range map[string]bool{"to receivers": false, "to nobody": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1<<20, func(t *testing.T, b *box) {
				b.Hold()
				receivers := []*call{b.receive(t.Context()), b.receive(t.Context())}
				b.put("a b")
				_, calls := b.notifyAt(0)
				b.Release(forget)
				assert.Equal(t, int32(1), calls.Load())
				if forget {
					b.put("a b")
				}
				receivers[0].gets("a")
				receivers[1].gets("b")
			})
		})
	}
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("a")
		_, calls := b.notifyAt(0)
		b.Hold()
		assert.Equal(t, int32(1), calls.Load())
	})
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.Hold()
		b.put("a b")
		_, calls := b.notifyAt(Overhead + 1)
		b.Release(false) // nobody takes them
		assert.Zero(t, calls.Load())
		b.receive(t.Context()).gets("a")
		assert.Equal(t, int32(1), calls.Load())
	})
}

// Whatever happens, NotifyAt is never late: when Held is at the level, it has
// been called.
func TestNotifyAtIsNeverMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			q := New(1<<20, func() {})
			level, called := -1, true
			t.Repeat(map[string]func(*rapid.T){
				"Put": func(t *rapid.T) {
					q.Put(transport.Message{Data: make([]byte, rapid.IntRange(0, 100).Draw(t, "size"))})
				},
				"Receive": func(t *rapid.T) {
					if q.Stats().Queued > 0 {
						go q.Receive(t.Context())
					}
				},
				"TakeHeld": func(t *rapid.T) { go q.TakeHeld(t.Context()) },
				"Hold":     func(*rapid.T) { q.Hold() },
				"EndHeld":  func(*rapid.T) { q.EndHeld(errEnd) },
				"Release":  func(t *rapid.T) { q.Release(rapid.Bool().Draw(t, "forget")) },
				"NotifyAt": func(t *rapid.T) {
					level = rapid.IntRange(-1, 500).Draw(t, "level")
					called = false
					if q.NotifyAt(level, func() { called = true }) {
						called = true
					}
				},
				"": func(t *rapid.T) {
					synctest.Wait()
					require.True(t, called || level < 0 || q.Held() > level, "at %d, held %d", level, q.Held())
				},
			})
			q.EndHeld(errEnd)
			q.Release(true)
			q.Close(errEnd)
			synctest.Wait()
		})
	})
}
