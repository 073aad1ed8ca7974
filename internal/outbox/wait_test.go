package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// both runs f without and with Keep.
func both(t *testing.T, l Limits, f func(t *testing.T, b *box)) {
	t.Helper()
	for name, keep := range map[string]bool{"at most once": false, "keep": true} {
		t.Run(name, func(t *testing.T) {
			l.Keep = keep
			bubble(t, l, f)
		})
	}
}

func TestWaitEndsWithTheProof(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		sync := b.sync(t.Context(), "b")
		flush := b.flush(t.Context())
		sync.waits()
		b.take()
		b.Written(1)
		b.noPing()
		b.write()
		sync.waits()
		id := b.ping()
		b.push("c")
		b.write()
		flush.waits()
		b.Pong(id)
		sync.succeeds()
		flush.succeeds()
		b.stats(0, 0, 1)
	})
}

func TestFlushOfNothingSucceeds(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		b.flush(t.Context()).succeeds()
		b.push("a")
		b.write()
		b.prove()
		b.flush(t.Context()).succeeds()
		assert.Empty(t, b.waiters)
	})
}

func TestWaitForTheProofIsBounded(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		sync := b.sync(t.Context(), "a")
		time.Sleep(time.Hour) // until it is written and asked for, only ctx bounds it
		sync.waits()
		b.write()
		time.Sleep(time.Hour)
		sync.waits()
		flush := b.flush(t.Context())
		b.ping()
		time.Sleep(pongTimeout - 1)
		sync.waits()
		flush.waits()
		time.Sleep(1)
		sync.loses(Loss{Maybe: true, Count: 1, Err: errNoPong})
		flush.loses(Loss{Maybe: true, Count: 1, Err: errNoPong})
		assert.Empty(t, b.waiters)
		b.stats(0, 0, 1)
	})
}

func TestTimeoutCountsFromThePingThatCovers(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.RequestPing()
		b.ping() // before the Wait: it does not count
		time.Sleep(pongTimeout - 1)
		first := b.flush(t.Context())
		b.ping()
		time.Sleep(pongTimeout / 2)
		b.push("b")
		second := b.flush(t.Context())
		b.write()
		b.ping()
		time.Sleep(pongTimeout / 2)
		first.loses(Loss{Maybe: true, Count: 1, Err: errNoPong})
		second.waits()
		time.Sleep(pongTimeout/2 - 1)
		second.waits()
		time.Sleep(1)
		second.loses(Loss{Maybe: true, Count: 2, Err: errNoPong})
	})
}

func TestTimeoutBeginsAnewOnTheNextLink(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		sync := b.sync(t.Context(), "a")
		b.write()
		b.ping()
		time.Sleep(pongTimeout - 1)
		b.LinkDown(errLink)
		time.Sleep(time.Hour)
		sync.waits()
		assert.Equal(t, "a", b.write())
		sync.waits()
		id := b.ping()
		time.Sleep(pongTimeout - 1)
		sync.waits()
		b.Pong(id)
		sync.succeeds()

		sync = b.sync(t.Context(), "b")
		b.write()
		b.ping()
		b.LinkDown(errLink)
		b.write()
		b.ping()
		time.Sleep(pongTimeout)
		sync.loses(Loss{Maybe: true, Count: 1, Err: errNoPong})
	})
}

func TestEndedContextWithdrawsWhatIsQueued(t *testing.T) {
	both(t, Limits{MaxMessages: 3}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		b.push("a")
		sync := b.sync(ctx, "bb")
		b.push("c")
		blocked := b.send(t.Context(), "d")
		blocked.waits()
		cancel()
		sync.loses(Loss{Count: 1, Err: context.Canceled})
		blocked.succeeds()
		b.stats(3, 3, 0)
		assert.Equal(t, "a c d", b.write())
		b.prove()
		b.stats(0, 0, 0)
		b.flush(t.Context()).succeeds() // its caller knows
		assert.Zero(t, b.Stats().Dropped)
	})
}

func TestEndedContextAfterTheWriterHasIt(t *testing.T) {
	maybe := Loss{Maybe: true, Count: 1, Err: context.Canceled}
	both(t, Limits{}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		sync := b.sync(ctx, "a")
		b.take()
		cancel()
		sync.loses(maybe) // taken
		b.Written(0)
		assert.Equal(t, "a", b.write())
		b.prove()

		ctx, cancel = context.WithCancel(t.Context())
		sync = b.sync(ctx, "b")
		b.write()
		cancel()
		sync.loses(maybe) // written
		b.prove()

		ctx, cancel = context.WithCancel(t.Context())
		sync = b.sync(ctx, "c")
		b.take()
		b.Written(0) // back in the queue, and not a byte has left
		cancel()
		sync.loses(Loss{Count: 1, Err: context.Canceled})
		b.stats(0, 0, 0)
		assert.True(t, b.idle())
	})
}

func TestEndedContextOfAMessageThatIsQueuedAgain(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		sync := b.sync(ctx, "a")
		b.write()
		b.LinkDown(errLink)
		cancel()
		sync.loses(Loss{Maybe: true, Count: 1, Err: context.Canceled})
		assert.Equal(t, "a", b.write(), "it may have been read, so it stays")
	})
}

func TestEndedContextLeavesWhatAFlushWaitsFor(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		b.push("a b")
		b.take()
		b.Written(1)
		flush := b.flush(ctx)
		b.push("c")
		cancel()
		flush.loses(Loss{Maybe: true, Count: 2, Err: context.Canceled})
		assert.Equal(t, "b c", b.write())
	})
}

func TestLossBeforeAFlushIsToldByTheNextThatEnds(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.LinkDown(errLink)
		ctx, cancel := context.WithCancel(t.Context())
		b.push("b")
		flush := b.flush(ctx)
		cancel()
		flush.loses(Loss{Maybe: true, Count: 1, Err: context.Canceled}) // of b
		b.write()
		b.prove()
		b.flush(t.Context()).loses(Loss{Maybe: true, Count: 1, Err: errLink}) // of a
		b.flush(t.Context()).succeeds()
	})
}

// A Flush must not wait for messages that were withdrawn or dropped, nor for later ones.
func TestFlushOfMessagesThatAreGone(t *testing.T) {
	t.Run("all is written but what was withdrawn", func(t *testing.T) {
		both(t, Limits{}, func(t *testing.T, b *box) {
			ctx, cancel := context.WithCancel(t.Context())
			b.push("a")
			b.write()
			sync := b.sync(ctx, "b")
			flush := b.flush(t.Context())
			sync.waits()
			cancel()
			require.Error(t, sync.returns())
			flush.waits()
			assert.False(t, b.idle(), "a ping is due for a")
			b.Pong(b.ping())
			flush.succeeds()
		})
	})
	t.Run("and more follows", func(t *testing.T) {
		both(t, Limits{}, func(t *testing.T, b *box) {
			ctx, cancel := context.WithCancel(t.Context())
			b.push("a")
			b.write()
			sync := b.sync(ctx, "b")
			flush := b.flush(t.Context())
			b.RequestPing()
			id := b.ping() // before b is gone
			cancel()
			require.Error(t, sync.returns())
			b.push("c")
			b.write()
			b.Pong(id)
			flush.succeeds()
			b.stats(0, 0, 1)
		})
	})
	t.Run("by age", func(t *testing.T) {
		both(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
			b.push("a")
			b.write()
			b.push("b")
			flush := b.flush(t.Context())
			b.noPing()
			time.Sleep(age)
			synctest.Wait()
			assert.False(t, b.idle())
			b.Pong(b.ping())
			flush.loses(Loss{Count: 1, Err: ErrStale})
		})
	})
	t.Run("between two pings", func(t *testing.T) {
		both(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
			b.push("a")
			b.write()
			b.RequestPing()
			first := b.ping()
			b.RequestPing()
			b.ping()
			b.push("b")
			flush := b.flush(t.Context())
			time.Sleep(age)
			b.push("c")
			b.write()
			b.Pong(first)
			flush.loses(Loss{Count: 1, Err: ErrStale})
			b.stats(0, 0, 1)
		})
	})
}

func TestCountIgnoresNumbersThatAreGone(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		sync := b.sync(ctx, "a")
		b.push("b")
		flush := b.flush(t.Context())
		cancel()
		require.Error(t, sync.returns())
		b.push("c")
		b.write()
		b.FailWaiters(errNoPong)
		flush.loses(Loss{Maybe: true, Count: 1, Err: errNoPong}) // neither a nor c
	})
}

func TestFailWaiters(t *testing.T) {
	both(t, Limits{MaxMessages: 4}, func(t *testing.T, b *box) {
		written := b.sync(t.Context(), "a")
		b.write()
		b.ping()
		taken := b.sync(t.Context(), "b")
		b.take()
		queued := b.sync(t.Context(), "c")
		flush := b.flush(t.Context())
		b.push("d")
		blocked := b.send(t.Context(), "e")
		b.FailWaiters(errNoPong)
		written.loses(Loss{Maybe: true, Count: 1, Err: errNoPong})
		taken.loses(Loss{Maybe: true, Count: 1, Err: errNoPong})
		queued.loses(Loss{Count: 1, Err: errNoPong})
		flush.loses(Loss{Maybe: true, Count: 2, Err: errNoPong}) // c was taken back
		blocked.succeeds()
		b.Written(1)
		assert.Equal(t, "d e", b.write())
		b.FailWaiters(errNoPong) // nobody waits
		b.prove()
		b.flush(t.Context()).succeeds()
	})
}

func TestManyWaiters(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		var calls []*call
		for range 3000 {
			w := NewWaiter()
			require.NoError(t, b.Push(t.Context(), text("a"), w))
			c := &call{t: t, done: make(chan struct{})}
			calls = append(calls, c)
			go func() {
				c.err = b.Wait(t.Context(), w, pongTimeout, errNoPong)
				close(c.done)
			}()
		}
		b.take()
		b.Written(100)
		b.FailWaiters(errNoPong)
		for i, c := range calls {
			c.loses(Loss{Maybe: i < 100, Count: 1, Err: errNoPong})
		}
		b.stats(0, 0, 100)
	})
}
