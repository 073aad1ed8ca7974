package outbox

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessagesLeaveInTheOrderOfAcceptance(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a b c")
		b.stats(3, 3, 0)
		assert.Equal(t, "a b c", b.write())
		b.stats(0, 0, 3)
		b.push("dd e")
		b.stats(2, 3, 3)
		assert.Equal(t, "dd e", b.write())
		b.stats(0, 0, 5)
		b.prove()
		b.stats(0, 0, 0)
		s := b.Stats()
		assert.Equal(t, Stats{Sent: 5, SentBytes: 6}, s)
	})
}

func TestBounds(t *testing.T) {
	for name, limits := range map[string]Limits{
		"bytes":    {MaxBytes: 6, WhenFull: Fail},
		"messages": {MaxMessages: 3, WhenFull: Fail},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, limits, func(t *testing.T, b *box) {
				b.push("aa bb cc")
				require.ErrorIs(t, b.Push(t.Context(), text("d"), nil), ErrFull)
				b.stats(3, 6, 0)
				b.take()
				require.ErrorIs(t, b.Push(t.Context(), text("d"), nil), ErrFull, "in the writer's hands they still count")
				b.Written(1)
				b.push("dd")
				require.ErrorIs(t, b.Push(t.Context(), text("e"), nil), ErrFull)
				b.stats(3, 6, 1)
				assert.Equal(t, "bb cc dd", b.write())
			})
			limits.Keep = true
			bubble(t, limits, func(t *testing.T, b *box) {
				b.push("aa bb cc")
				b.write()
				require.ErrorIs(t, b.Push(t.Context(), text("d"), nil), ErrFull, "kept messages count")
				b.stats(0, 0, 3)
				b.prove()
				b.push("dd ee ff")
				require.ErrorIs(t, b.Push(t.Context(), text("g"), nil), ErrFull)
			})
		})
	}
}

func TestEmptyMessagesAreBoundedByCount(t *testing.T) {
	bubble(t, Limits{MaxMessages: 2, WhenFull: Fail}, func(t *testing.T, b *box) {
		require.NoError(t, b.Push(t.Context(), text(""), nil))
		require.NoError(t, b.Push(t.Context(), text(""), nil))
		require.ErrorIs(t, b.Push(t.Context(), text(""), nil), ErrFull)
	})
}

func TestLargerThanTheBufferIsTakenWhenItIsEmpty(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{MaxBytes: 4, WhenFull: Fail, Keep: keep}, func(t *testing.T, b *box) {
			b.push("a")
			require.ErrorIs(t, b.Push(t.Context(), text("enormous"), nil), ErrFull)
			b.write()
			b.prove()
			b.push("enormous")
			b.stats(1, 8, 0)
			require.ErrorIs(t, b.Push(t.Context(), text(""), nil), ErrFull, "it has the buffer to itself")
			assert.Equal(t, "enormous", b.write())
			b.prove()
			b.push("b")
		})
	}
}

func TestBlockedSendersAreServedInTheirOrder(t *testing.T) {
	bubble(t, Limits{MaxBytes: 4}, func(t *testing.T, b *box) {
		b.push("aa bb")
		large := b.send(t.Context(), "ccc")
		small := b.send(t.Context(), "d")
		last := b.send(t.Context(), "ee")
		b.take()
		b.Written(1) // room for d, not for ccc, which is first
		large.waits()
		small.waits()
		b.write()
		large.succeeds()
		small.succeeds()
		last.waits()
		assert.Equal(t, "ccc d", b.write())
		last.succeeds()
		assert.Equal(t, "ee", b.write())
	})
}

func TestNobodyOvertakesABlockedSender(t *testing.T) {
	bubble(t, Limits{MaxBytes: 4}, func(t *testing.T, b *box) {
		b.push("aaa")
		blocked := b.send(t.Context(), "bb")
		later := b.send(t.Context(), "c") // would fit
		later.waits()
		b.write()
		blocked.succeeds()
		later.succeeds()
		assert.Equal(t, "bb c", b.write())
	})
}

func TestEndedContextQueuesNothing(t *testing.T) {
	for _, how := range []WhenFull{Block, Fail, DropOldest} {
		bubble(t, Limits{MaxMessages: 1, WhenFull: how}, func(t *testing.T, b *box) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, b.Push(ctx, text("a"), nil), context.Canceled)
			b.stats(0, 0, 0)
			b.push("b")
			require.ErrorIs(t, b.Push(ctx, text("c"), nil), context.Canceled)
			assert.Equal(t, "b", b.write())
			assert.Empty(t, b.dropped())
		})
	}
}

func TestContextEndsWhileBlocked(t *testing.T) {
	bubble(t, Limits{MaxBytes: 4}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		b.push("aaa")
		large := b.send(ctx, "bb")
		small := b.send(t.Context(), "c")
		small.waits()
		cancel()
		require.ErrorIs(t, large.returns(), context.Canceled)
		small.succeeds() // it fits beside aaa
		b.stats(2, 4, 0)
		assert.Equal(t, "aaa c", b.write())
	})
}

func TestFullBufferFails(t *testing.T) {
	bubble(t, Limits{MaxMessages: 1, WhenFull: Fail}, func(t *testing.T, b *box) {
		b.push("a")
		w := NewWaiter()
		require.ErrorIs(t, b.Push(t.Context(), text("b"), w), ErrFull)
		b.stats(1, 1, 0)
		assert.Equal(t, "a", b.write())
		b.push("c")
		assert.Equal(t, "c", b.write())
		b.prove()
		b.flush(t.Context()).succeeds() // a refused message is not a lost one
	})
}

func TestDropOldest(t *testing.T) {
	bubble(t, Limits{MaxBytes: 4, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a")
		sync := b.sync(t.Context(), "b")
		b.push("c d")
		b.push("ee")
		assert.Equal(t, []string{"2 " + ErrDropped.Error()}, b.dropped())
		sync.loses(Loss{Count: 1, Err: ErrDropped})
		b.stats(3, 4, 0)
		assert.Equal(t, uint64(2), b.Stats().Dropped)
		b.push("enormous")
		assert.Equal(t, []string{"2 " + ErrDropped.Error(), "3 " + ErrDropped.Error()}, b.dropped())
		assert.Equal(t, "enormous", b.write())
		b.prove()
		b.flush(t.Context()).loses(Loss{Count: 4, Err: ErrDropped}) // a, c, d, ee: b was told
		b.flush(t.Context()).succeeds()
	})
}

func TestDropOldestSparesWhatIsBeingWritten(t *testing.T) {
	bubble(t, Limits{MaxMessages: 2, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a b")
		assert.Equal(t, "a b", b.take())
		first, second := b.send(t.Context(), "c"), b.send(t.Context(), "d")
		first.waits()
		second.waits()
		ctx, cancel := context.WithCancel(t.Context())
		third := b.send(ctx, "e")
		cancel()
		require.ErrorIs(t, third.returns(), context.Canceled)
		b.Written(2)
		first.succeeds()
		second.succeeds()
		assert.Empty(t, b.dropped())
		assert.Equal(t, "c d", b.write())
	})
}

func TestDropOldestTakesWhatIsBehindTheWriter(t *testing.T) {
	bubble(t, Limits{MaxMessages: 2, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a")
		assert.Equal(t, "a", b.take())
		b.push("b c d")
		assert.Len(t, b.dropped(), 2)
		b.Written(1)
		assert.Equal(t, "d", b.write())
	})
}

func TestDropOldestAfterAWriteThatFailed(t *testing.T) {
	bubble(t, Limits{MaxMessages: 2, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a b")
		b.take()
		blocked := b.send(t.Context(), "c")
		blocked.waits()
		b.Written(0)
		blocked.succeeds() // nobody may ever take them again
		assert.Equal(t, []string{"1 " + ErrDropped.Error()}, b.dropped())
		b.LinkDown(errLink)
		assert.Equal(t, "b c", b.write())
	})
}

func TestDropOldestWithKeep(t *testing.T) {
	bubble(t, Limits{MaxMessages: 3, WhenFull: DropOldest, Keep: true}, func(t *testing.T, b *box) {
		sync := b.sync(t.Context(), "a")
		b.push("b")
		b.write()
		b.push("c d")
		sync.loses(Loss{Maybe: true, Count: 1, Err: ErrDropped}) // written, and not to be sent again
		b.stats(2, 2, 1)
		b.push("e f")
		b.stats(3, 3, 0)
		assert.Equal(t, uint64(3), b.Stats().Dropped)
		assert.Equal(t, "d e f", b.write())
		b.prove()
		b.flush(t.Context()).loses(Loss{Maybe: true, Count: 2, Err: ErrDropped})
		b.flush(t.Context()).succeeds()
	})
}

func TestDropOldestWithKeepOnceTheWriterIsDone(t *testing.T) {
	bubble(t, Limits{MaxMessages: 2, WhenFull: DropOldest, Keep: true}, func(t *testing.T, b *box) {
		b.push("a b")
		b.take()
		blocked := b.send(t.Context(), "c")
		blocked.waits()
		b.Written(2)
		blocked.succeeds() // without a pong
		b.stats(1, 1, 1)
		assert.Equal(t, []string{"1 " + ErrDropped.Error()}, b.dropped())
	})
}
