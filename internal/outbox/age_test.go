package outbox

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

const age = 5 * time.Second

// stale is what onDrop hears of n stale messages.
func stale(n string) string { return n + " " + ErrStale.Error() }

func TestMaxAgeDropsOnTimeWhileNothingElseHappens(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a b")
		time.Sleep(time.Second)
		b.push("c")
		time.Sleep(age - time.Second - 1)
		synctest.Wait()
		b.stats(3, 3, 0)
		time.Sleep(1)
		synctest.Wait()
		b.stats(1, 1, 0)
		assert.Equal(t, []string{stale("2")}, b.dropped())
		assert.Equal(t, uint64(2), b.Stats().Dropped)
		time.Sleep(time.Second - 1)
		synctest.Wait()
		b.stats(1, 1, 0)
		time.Sleep(1)
		synctest.Wait()
		b.stats(0, 0, 0)
		assert.Equal(t, []string{stale("2"), stale("1")}, b.dropped())
		b.flush(t.Context()).loses(Loss{Count: 3, Err: ErrStale})
		b.flush(t.Context()).succeeds()

		b.push("d") // the timer starts anew
		time.Sleep(age)
		synctest.Wait()
		b.stats(0, 0, 0)
	})
}

func TestMaxAgeIsToldToThoseWhoWait(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		sync := b.sync(t.Context(), "b")
		flush := b.flush(t.Context())
		flush.waits()
		time.Sleep(age)
		sync.loses(Loss{Count: 1, Err: ErrStale})
		flush.loses(Loss{Count: 2, Err: ErrStale}) // nil would say that the peer has read b
		b.flush(t.Context()).succeeds()
	})
}

func TestMaxAgeMakesRoom(t *testing.T) {
	bubble(t, Limits{MaxAge: age, MaxMessages: 1}, func(t *testing.T, b *box) {
		b.push("a")
		blocked := b.send(t.Context(), "b")
		time.Sleep(age - 1)
		blocked.waits()
		time.Sleep(1)
		blocked.succeeds()
		time.Sleep(age - 1) // b's age counts from its acceptance
		synctest.Wait()
		b.stats(1, 1, 0)
		time.Sleep(1)
		synctest.Wait()
		b.stats(0, 0, 0)
	})
}

func TestMaxAgeSparesWhatIsWritten(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a b")
		b.take()
		b.push("c")
		time.Sleep(2 * age)
		synctest.Wait()
		assert.Equal(t, []string{stale("1")}, b.dropped(), "c; a and b are in the writer's hands")
		b.Written(2)
		time.Sleep(2 * age)
		synctest.Wait()
		b.stats(0, 0, 2)
		assert.Len(t, b.dropped(), 1)
	})
}

func TestMaxAgeOfALaterMessageOnceTheFirstIsWritten(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		time.Sleep(time.Second)
		b.write()
		b.push("b")
		time.Sleep(age - 1)
		synctest.Wait()
		b.stats(1, 1, 1)
		time.Sleep(1)
		synctest.Wait()
		b.stats(0, 0, 1)
	})
}

func TestMaxAgeAfterAWriteThatFailed(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		time.Sleep(1)
		b.push("b")
		b.take()
		time.Sleep(age - 1)
		synctest.Wait()
		b.stats(2, 2, 0)
		b.Written(0)
		synctest.Wait()
		assert.Equal(t, []string{stale("1")}, b.dropped())
		time.Sleep(1)
		synctest.Wait()
		b.stats(0, 0, 0)
	})
}

func TestMaxAgeAfterAWriteThatFailedWhileOthersWait(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		b.take()
		time.Sleep(age)
		synctest.Wait()
		b.push("b") // the timer runs for b
		b.Written(0)
		synctest.Wait()
		b.stats(1, 1, 0)
		assert.Equal(t, []string{stale("1")}, b.dropped())
	})
}

func TestMaxAgeCountsOnForMessagesThatAreQueuedAgain(t *testing.T) {
	bubble(t, Limits{MaxAge: age, Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		time.Sleep(age - 1)
		b.push("b")
		sync := b.sync(t.Context(), "c")
		b.take()
		b.Written(0)
		b.LinkDown(errLink)
		synctest.Wait()
		b.stats(3, 3, 0)
		time.Sleep(1)
		synctest.Wait()
		b.stats(2, 2, 0)
		assert.Equal(t, []string{stale("1")}, b.dropped())
		time.Sleep(age - 1)
		sync.loses(Loss{Count: 1, Err: ErrStale})
		b.flush(t.Context()).loses(Loss{Maybe: true, Count: 2, Err: ErrStale}) // a may have been read
	})
}

func TestMaxAgeOfAMessageThatIsQueuedAgainTooLate(t *testing.T) {
	bubble(t, Limits{MaxAge: age, Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		time.Sleep(age)
		synctest.Wait()
		b.push("b") // the timer runs for b
		b.LinkDown(errLink)
		synctest.Wait()
		b.stats(1, 1, 0)
		assert.Equal(t, "b", b.write())
	})
}

func TestMaxAgeGivesNothingStaleToTheWriter(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		b.Queue.expiry.Stop() // as if the timer were late
		time.Sleep(age)
		b.push("b")
		assert.Equal(t, "b", b.write())
		assert.Equal(t, []string{stale("1")}, b.dropped())
	})
}

func TestMaxAgeEndsWithTheQueue(t *testing.T) {
	bubble(t, Limits{MaxAge: age}, func(t *testing.T, b *box) {
		b.push("a")
		b.Close(errEnd)
		time.Sleep(2 * age)
		synctest.Wait()
		assert.Empty(t, b.dropped())
		assert.Zero(t, b.Stats().Dropped)
	})
}
