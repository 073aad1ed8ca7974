package outbox

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const maxMessage = 10

// session is both, in a session.
func session(t *testing.T, l Limits, f func(t *testing.T, b *box)) {
	t.Helper()
	both(t, l, func(t *testing.T, b *box) {
		b.UseAcks(maxMessage)
		f(t, b)
	})
}

// tryTake takes a group.
func (b *box) tryTake() []Entry { return b.TryTake(nil, maxGroupBytes) }

// sendAll takes a group and sends all of it.
func (b *box) sendAll() []Entry {
	group := b.tryTake()
	b.Written(len(group))
	return group
}

// woken says that the writer has something to do, and takes the token.
func (b *box) woken() bool {
	select {
	case <-b.Ready():
		return true
	default:
		return false
	}
}

func TestSessionKeepsUntilAcknowledged(t *testing.T) {
	session(t, Limits{MaxMessages: 3}, func(t *testing.T, b *box) {
		b.push("a bb ccc")
		blocked := b.send(t.Context(), "d")
		assert.Equal(t, []Entry{{text("a"), 1, 0}, {text("bb"), 2, 0}, {text("ccc"), 3, 0}}, b.sendAll())
		b.stats(0, 0, 3)
		blocked.waits()
		b.Acknowledge(2)
		b.stats(1, 1, 1)
		blocked.succeeds()
		b.Acknowledge(1) // late
		b.stats(1, 1, 1)
		b.Relink() // nothing is queued again: the session sends it again
		b.stats(1, 1, 1)
		assert.Equal(t, []Entry{{text("d"), 4, 0}}, b.sendAll())
		b.Acknowledge(4)
		b.stats(0, 0, 0)
		assert.Equal(t, uint64(4), b.Stats().Sent)
	})
}

func TestSessionMarksWhatWasDropped(t *testing.T) {
	session(t, Limits{MaxMessages: 3, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a b c d e")
		assert.Equal(t, []Entry{{text("c"), 3, 2}, {text("d"), 4, 0}, {text("e"), 5, 0}}, b.tryTake())
		b.Written(1)
		b.push("f g") // d and e give way, c does not
		assert.Equal(t, []Entry{{text("f"), 6, 5}, {text("g"), 7, 0}}, b.tryTake())
		assert.Zero(t, b.Dropped())
		b.Written(2)
		b.push("h")
		assert.Equal(t, uint64(3), b.Dropped(), "nothing else was left")
	})
}

func TestSessionMarksWhatWasDroppedBehindTheWriters(t *testing.T) {
	session(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		b.tryTake()
		b.push("b")
		time.Sleep(age)
		synctest.Wait()
		assert.Zero(t, b.TakeSkip(), "a is before it")
		b.push("c")
		b.Written(1)
		assert.Equal(t, []Entry{{text("c"), 3, 2}}, b.sendAll(), "b's place is before c")
		assert.Zero(t, b.TakeSkip())

		b.push("d")
		time.Sleep(age)
		synctest.Wait()
		assert.True(t, b.woken())
		assert.Equal(t, uint64(4), b.TakeSkip())
		assert.Zero(t, b.TakeSkip(), "once")
	})
}

func TestWithdrawalLeavesNoMarkButHandsItOn(t *testing.T) {
	session(t, Limits{MaxMessages: 2, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		b.push("a b")
		sync := b.sync(ctx, "c") // in place of a
		b.sendAll()
		sync.waits()
		b.Acknowledge(3)
		sync.succeeds()
		sync = b.sync(ctx, "d")
		for b.woken() {
		}
		cancel()
		sync.loses(Loss{Count: 1, Err: context.Canceled})
		assert.True(t, b.woken(), "CLOSE may have waited behind it")
		assert.Zero(t, b.TakeSkip())

		ctx, cancel = context.WithCancel(t.Context())
		b.push("e f")
		sync = b.sync(ctx, "g") // in place of e
		b.tryTake()
		b.Written(1) // f
		cancel()
		sync.loses(Loss{Count: 1, Err: context.Canceled})
		assert.Zero(t, b.TakeSkip(), "it went with f")

		ctx, cancel = context.WithCancel(t.Context())
		b.Acknowledge(7)
		b.push("h i")
		sync = b.sync(ctx, "j") // in place of h
		other := b.sync(ctx, "k")
		cancel()
		require.Error(t, sync.returns())
		require.Error(t, other.returns())
		assert.Equal(t, uint64(9), b.TakeSkip(), "h and i")
	})
}

func TestSessionGivesNothingStaleToTheWriter(t *testing.T) {
	session(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		b.Queue.expiry.Stop() // as if the timer were late
		time.Sleep(age)
		b.push("b")
		assert.Equal(t, []Entry{{text("b"), 2, 1}}, b.tryTake())
		assert.Empty(t, b.dropped(), "whoever takes may hold a lock")
		b.Written(1)
		assert.Equal(t, []string{stale("1")}, b.dropped())
	})
}

func TestSessionWithAPeerThatTakesLess(t *testing.T) {
	long := strings.Repeat("x", maxMessage+1)
	both(t, Limits{MaxMessages: 4}, func(t *testing.T, b *box) {
		b.push("a")
		sync := b.sync(t.Context(), long)
		b.push("c " + long)
		blocked, next := b.send(t.Context(), long), b.send(t.Context(), "d")
		b.UseAcks(maxMessage)
		sync.loses(Loss{Count: 1, Err: ErrTooBig})
		require.ErrorIs(t, blocked.returns(), ErrTooBig)
		next.succeeds()
		require.ErrorIs(t, b.Push(t.Context(), text(long), nil), ErrTooBig)
		assert.Equal(t, []string{"2 " + ErrTooBig.Error()}, b.dropped())
		assert.Equal(t, []Entry{{text("a"), 1, 0}, {text("c"), 3, 2}, {text("d"), 5, 4}}, b.sendAll())
		b.flush(t.Context()).waits()
		b.Acknowledge(5)
	})
}

func TestSessionWaitersAskOnceALink(t *testing.T) {
	session(t, Limits{}, func(t *testing.T, b *box) {
		sync := b.sync(t.Context(), "a")
		flush := b.flush(t.Context())
		b.noPing()
		b.sendAll()
		id := b.ping()
		b.noPing()
		time.Sleep(time.Hour) // the peer is slow, which is no failure
		sync.waits()
		for b.woken() {
		}
		b.Relink()
		assert.True(t, b.woken())
		_, ok := b.Pong(id)
		assert.False(t, ok, "of the link before")
		id = b.ping()
		time.Sleep(time.Second)
		rtt, ok := b.Pong(id)
		assert.True(t, ok)
		assert.Equal(t, time.Second, rtt)
		sync.waits() // that the peer has read it is not enough
		flush.waits()
		b.Acknowledge(1)
		sync.succeeds()
		flush.succeeds()
		b.noPing()
	})
}

func TestEndAcks(t *testing.T) {
	session(t, Limits{}, func(t *testing.T, b *box) {
		acked := b.sync(t.Context(), "a")
		sent := b.sync(t.Context(), "b")
		b.push("c")
		flush := b.flush(t.Context())
		b.sendAll()
		b.ping()
		b.Acknowledge(1)
		acked.succeeds()
		queued := b.sync(t.Context(), "d")
		late := b.flush(t.Context())
		time.Sleep(time.Hour)
		unknown := b.EndAcks(errLink)
		queued.waits() // it goes to the next session
		if !b.limits.Keep {
			assert.Equal(t, 2, unknown)
			assert.Equal(t, uint64(2), b.Stats().Unknown)
			sent.loses(Loss{Maybe: true, Count: 1, Err: errLink})
			flush.loses(Loss{Maybe: true, Count: 2, Err: errLink})
			late.waits()
			b.stats(1, 1, 0)
		} else {
			assert.Zero(t, unknown)
			sent.waits()
			flush.waits()
			b.stats(3, 3, 0)
		}
		b.UseAcks(maxMessage)
		group := b.sendAll()
		assert.Equal(t, uint64(4), group[len(group)-1].Seq)
		assert.Len(t, group, 1+2-unknown)
		b.ping()
		b.Acknowledge(4)
		queued.succeeds()
		if b.limits.Keep {
			sent.succeeds()
			flush.succeeds()
			late.succeeds()
		} else {
			late.loses(Loss{Maybe: true, Count: 2, Err: errLink}) // of those that it waited for
		}
		b.flush(t.Context()).succeeds()
	})
}

func TestEndAcksForgetsTheMarks(t *testing.T) {
	session(t, Limits{MaxMessages: 2, WhenFull: DropOldest}, func(t *testing.T, b *box) {
		b.push("a b c")
		assert.Equal(t, []Entry{{text("b"), 2, 1}, {text("c"), 3, 0}}, b.sendAll())
		b.EndAcks(errLink)
		b.UseAcks(maxMessage)
		for _, e := range b.sendAll() {
			assert.Zero(t, e.Skip, "the next session begins anew")
		}
		b.push("d e f")
		b.sendAll()
		b.push("g")
		assert.NotZero(t, b.Dropped())
		b.EndAcks(errLink)
		assert.Zero(t, b.Dropped())
		b.push("h i")
		b.write()
		b.push("j") // in place of h, on a plain link
		b.LinkDown(errLink)
		b.UseAcks(maxMessage)
		assert.Zero(t, b.Dropped())
	})
}

func TestCloseInASession(t *testing.T) {
	session(t, Limits{}, func(t *testing.T, b *box) {
		sent, flush := b.sync(t.Context(), "a"), b.flush(t.Context())
		b.sendAll()
		queued := b.sync(t.Context(), "bb")
		assert.Equal(t, Left{Messages: 1, Bytes: 2, MaybeSent: 1}, b.Close(errEnd))
		sent.loses(Loss{Maybe: true, Count: 1, Err: errEnd})
		queued.loses(Loss{Count: 1, Err: errEnd})
		flush.loses(Loss{Maybe: true, Count: 1, Err: errEnd})
		b.Acknowledge(2) // late
		b.Relink()
		assert.Zero(t, b.EndAcks(errLink))
		assert.Empty(t, b.tryTake())
	})
}
