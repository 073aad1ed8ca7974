package outbox

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (b *box) drained() bool {
	synctest.Wait()
	return isClosed(b.Drained())
}

func TestBeginCloseRefusesAndDrains(t *testing.T) {
	both(t, Limits{MaxMessages: 2}, func(t *testing.T, b *box) {
		b.push("a b")
		blocked := b.send(t.Context(), "c")
		sync := b.sync(t.Context(), "d")
		b.BeginClose(errEnd)
		require.ErrorIs(t, blocked.returns(), errEnd)
		require.ErrorIs(t, sync.returns(), errEnd)
		require.ErrorIs(t, b.Push(t.Context(), text("e"), nil), errEnd)
		b.BeginClose(errLink) // the first counts
		require.ErrorIs(t, b.Push(t.Context(), text("e"), nil), errEnd)
		assert.False(t, b.drained())
		b.take()
		assert.False(t, b.drained(), "not before it is written")
		b.Written(1)
		assert.False(t, b.drained())
		b.write()
		assert.True(t, b.drained())
		b.BeginClose(errEnd)
		b.Proven()
		assert.Zero(t, b.Close(errEnd))
		assert.Zero(t, b.Close(errEnd))
	})
}

func TestBeginCloseOfAnEmptyQueue(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		assert.False(t, b.drained())
		b.BeginClose(errEnd)
		assert.True(t, b.drained())
	})
}

func TestWaitersGoOnWhileItDrains(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		sync := b.sync(t.Context(), "a")
		b.BeginClose(errEnd)
		flush := b.flush(t.Context())
		b.write()
		sync.waits()
		b.Pong(b.ping())
		sync.succeeds()
		flush.succeeds()
	})
}

func TestDrainedByADrop(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		b.BeginClose(errEnd)
		<-b.Drained() // after MaxAge
		b.stats(0, 0, 0)
	})
}

func TestNotDrainedWhenMessagesAreQueuedAgain(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.BeginClose(errEnd)
		assert.True(t, b.drained())
		b.LinkDown(errLink)
		assert.False(t, b.drained())
		b.write()
		assert.True(t, b.drained())
	})
}

func TestLeftAtClose(t *testing.T) {
	t.Run("at most once", func(t *testing.T) {
		bubble(t, Limits{}, func(t *testing.T, b *box) {
			b.push("proven")
			b.write()
			b.prove()
			b.push("lost")
			b.write()
			b.LinkDown(errLink)
			b.push("a bb ccc dddd")
			b.take()
			b.Written(1)
			b.RequestPing()
			b.Pong(b.ping())
			b.take()
			b.Written(1)
			assert.Equal(t, Left{Messages: 2, Bytes: 7, MaybeSent: 1}, b.Close(errEnd))
			b.stats(0, 0, 0)
			assert.Zero(t, b.Close(errEnd), "once")
		})
	})
	t.Run("keep", func(t *testing.T) {
		bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
			b.push("a bb ccc dddd")
			b.take()
			b.Written(3)
			b.LinkDown(errLink)
			b.take()
			b.Written(1)
			assert.Equal(t, Left{Messages: 1, Bytes: 4, MaybeSent: 3}, b.Close(errEnd))
			b.stats(0, 0, 0)
		})
	})
	t.Run("nothing", func(t *testing.T) {
		both(t, Limits{}, func(t *testing.T, b *box) {
			b.push("a")
			b.write()
			b.prove()
			assert.Zero(t, b.Close(errEnd))
			b.flush(t.Context()).succeeds()
		})
	})
}

func TestCloseTellsAllWhoWait(t *testing.T) {
	both(t, Limits{MaxMessages: 3}, func(t *testing.T, b *box) {
		written := b.sync(t.Context(), "a")
		first := b.flush(t.Context())
		b.write()
		queued := b.sync(t.Context(), "b")
		b.push("c")
		second := b.flush(t.Context())
		if !b.limits.Keep {
			b.push("d") // a, which is written, has no place any more
		}
		blocked := b.send(t.Context(), "e")
		blocked.waits()
		b.Close(errEnd)
		written.loses(Loss{Maybe: true, Count: 1, Err: errEnd})
		queued.loses(Loss{Count: 1, Err: errEnd})
		first.loses(Loss{Maybe: true, Count: 1, Err: errEnd})
		second.loses(Loss{Maybe: true, Count: 3, Err: errEnd})
		require.ErrorIs(t, blocked.returns(), errEnd)
		require.ErrorIs(t, b.Push(t.Context(), text("f"), nil), errEnd)
	})
}

func TestCloseNamesItsCauseWhateverWasLostBefore(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a b")
		b.write()
		b.LinkDown(errLink)
		b.push("c")
		flush := b.flush(t.Context())
		b.Close(errEnd)
		flush.loses(Loss{Maybe: true, Count: 3, Err: errEnd})
	})
}

func TestFlushOfQueuedMessagesAtClose(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a b")
		flush := b.flush(t.Context())
		b.Close(errEnd)
		flush.loses(Loss{Count: 2, Err: errEnd}) // they certainly did not leave
	})
}

func TestFlushAfterCloseDoesNotLie(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.push("b")
		b.Close(errEnd)
		for range 3 {
			b.flush(t.Context()).loses(Loss{Maybe: true, Count: 2, Err: errEnd})
		}
		assert.Empty(t, b.waiters, "nothing gathers")
	})
}

func TestLateCallsAfterClose(t *testing.T) {
	both(t, Limits{MaxAge: age, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.RequestPing()
		id := b.ping()
		b.Close(errEnd)
		_, ok := b.Pong(id)
		assert.False(t, ok)
		b.FailWaiters(errNoPong)
		b.RequestPing()
		b.Proven()
		b.stats(0, 0, 0)
		assert.True(t, b.drained())
	})
}
