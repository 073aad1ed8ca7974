package outbox

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAtMostOnceLosesWhatHasNoReceipt(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("proven")
		b.write()
		b.prove()
		b.push("a b")
		sync := b.sync(t.Context(), "c")
		b.push("d e")
		b.take()
		b.Written(4)
		assert.Equal(t, 4, b.LinkDown(errLink))
		sync.loses(Loss{Maybe: true, Count: 1, Err: errLink})
		b.stats(1, 1, 0)
		assert.Equal(t, uint64(4), b.Stats().Unknown)
		assert.Equal(t, "e", b.write(), "never sent twice")
		b.prove()
		b.flush(t.Context()).loses(Loss{Maybe: true, Count: 3, Err: errLink}) // c's caller was told
		b.flush(t.Context()).succeeds()
		assert.Equal(t, 0, b.LinkDown(errLink))
	})
}

func TestLossesOfSeveralLinksAreToldTogether(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		for _, s := range []string{"a b", "c", "d e f"} {
			b.push(s)
			b.write()
			b.LinkDown(errLink)
		}
		assert.Equal(t, uint64(6), b.Stats().Unknown)
		b.flush(t.Context()).loses(Loss{Maybe: true, Count: 6, Err: errLink})
		b.flush(t.Context()).succeeds()
	})
}

func TestEveryFlushThatWaitedLearnsOfTheLoss(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		first := b.flush(t.Context())
		sync := b.sync(t.Context(), "b")
		second := b.flush(t.Context())
		b.push("c")
		b.write()
		b.ping()
		b.push("d")
		third := b.flush(t.Context())
		b.LinkDown(errLink)
		sync.loses(Loss{Maybe: true, Count: 1, Err: errLink})
		// One of them tells of c too, and none may say that all was read.
		for want, c := range map[int]*call{1: first, 2: second} {
			var loss *Loss
			require.ErrorAs(t, c.returns(), &loss)
			assert.True(t, loss.Maybe)
			assert.GreaterOrEqual(t, loss.Count, want)
			require.ErrorIs(t, loss, errLink)
		}
		third.waits() // for d
		b.write()
		b.Pong(b.ping())
		third.loses(Loss{Maybe: true, Count: 3, Err: errLink})
		b.flush(t.Context()).succeeds()
	})
}

func TestFlushLearnsOfALostSynchronousMessage(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		sync := b.sync(t.Context(), "a")
		flush := b.flush(t.Context())
		b.write()
		b.LinkDown(errLink)
		sync.loses(Loss{Maybe: true, Count: 1, Err: errLink})
		flush.loses(Loss{Maybe: true, Count: 1, Err: errLink})
		b.flush(t.Context()).succeeds()
	})
}

func TestLossAfterAGivenUpWaitIsToldByTheNextFlush(t *testing.T) {
	bubble(t, Limits{MaxMessages: 1, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		sync := b.sync(ctx, "a")
		b.write()
		cancel()
		sync.loses(Loss{Maybe: true, Count: 1, Err: context.Canceled})
		b.LinkDown(errLink)
		b.flush(t.Context()).loses(Loss{Maybe: true, Count: 1, Err: errLink})

		ctx, cancel = context.WithCancel(t.Context())
		sync = b.sync(ctx, "b")
		b.take()
		cancel()
		sync.loses(Loss{Maybe: true, Count: 1, Err: context.Canceled})
		b.Written(0)
		b.push("c")
		b.write()
		b.prove()
		b.flush(t.Context()).loses(Loss{Count: 1, Err: ErrDropped})
	})
}

func TestKeepSendsAgain(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.prove()
		b.push("b")
		sync := b.sync(t.Context(), "c")
		flush := b.flush(t.Context())
		b.push("d e f")
		b.take()
		b.Written(4)
		b.RequestPing()
		old := b.ping()
		b.push("g")
		b.stats(2, 2, 4)
		assert.Equal(t, 0, b.LinkDown(errLink))
		b.stats(6, 6, 0)
		assert.Zero(t, b.Stats().Unknown)
		sync.waits()
		assert.Equal(t, "b c d e f g", b.take(), "in order, ahead of what was queued")
		b.Written(1)
		b.stats(5, 5, 1)
		b.LinkDown(errLink)
		assert.Equal(t, "b c d e f g", b.take())
		b.Written(3)
		b.Pong(old)
		b.stats(3, 3, 3)
		flush.waits()
		b.Pong(b.ping())
		sync.succeeds()
		flush.succeeds()
		b.stats(3, 3, 0)
		assert.Equal(t, "e f g", b.write())
		b.prove()
		b.stats(0, 0, 0)
		assert.Equal(t, uint64(1+4+1+3+3), b.Stats().Sent)
	})
}

func TestPingBeforeAnythingIsSentAgainProvesNothing(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a b")
		b.write()
		b.LinkDown(errLink)
		b.RequestPing()
		id := b.ping()
		b.write()
		b.Pong(id)
		b.stats(0, 0, 2)
	})
}

func TestKeepHoldsItsBoundsThroughTheEndOfALink(t *testing.T) {
	bubble(t, Limits{Keep: true, MaxMessages: 2}, func(t *testing.T, b *box) {
		b.push("a b")
		b.write()
		blocked := b.send(t.Context(), "c")
		b.LinkDown(errLink)
		blocked.waits()
		b.write()
		blocked.waits()
		b.Pong(b.ping())
		blocked.succeeds()
		assert.Equal(t, "c", b.write())
	})
}

func TestLinkDownOfAnIdleLink(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		assert.Equal(t, 0, b.LinkDown(errLink))
		b.push("a")
		flush := b.flush(t.Context())
		b.RequestPing()
		assert.Equal(t, 0, b.LinkDown(errLink))
		assert.False(t, b.PingRequested(), "it was asked of the old link")
		flush.waits()
		assert.Equal(t, "a", b.write())
		b.Pong(b.ping())
		flush.succeeds()
	})
}

func TestLinkDownEndsTheTimerOfKeptMessages(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.LinkDown(errLink)
		assert.Nil(t, b.receipts.timer)
		assert.False(t, b.receipts.due)
	})
}
