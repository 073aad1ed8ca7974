package netwatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// pending takes the signals that are waiting; Changes promises 0 or 1.
func pending(c <-chan struct{}) int {
	for n := 0; ; n++ {
		select {
		case _, open := <-c:
			if !open {
				return n
			}
		default:
			return n
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case _, open := <-c:
		return !open
	default:
		return false
	}
}

func TestChangesLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &fakeOS{}
		w := newWatcher(sys)
		check := func(starts, watching int) {
			t.Helper()
			synctest.Wait()
			s, n := sys.counts()
			assert.Equal(t, starts, s, "starts")
			assert.Equal(t, watching, n, "running")
		}
		check(0, 0)
		ctx1, cancel1 := context.WithCancel(t.Context())
		ctx2, cancel2 := context.WithCancel(t.Context())
		c1, c2 := w.Changes(ctx1), w.Changes(ctx2)
		check(1, 1)

		sys.changed()
		sys.changed()
		assert.Equal(t, 1, pending(c1), "coalesced")
		assert.Equal(t, 1, pending(c2))

		cancel1()
		check(1, 1)
		assert.True(t, isClosed(c1))
		sys.changed()
		assert.Equal(t, 1, pending(c2))

		cancel2()
		check(1, 0)
		assert.True(t, isClosed(c2))

		ctx3, cancel3 := context.WithCancel(t.Context())
		c3 := w.Changes(ctx3)
		check(2, 1)
		sys.changed()
		assert.Equal(t, 1, pending(c3))
		cancel3()
		check(2, 0)

		assert.True(t, isClosed(w.Changes(ctx3)), "ctx had ended before")
		check(2, 0)
	})
}

// gate is a system whose stop waits.
type gate struct {
	fakeOS
	stopping, goOn chan struct{}
}

func (g *gate) watch(changed, lost func()) (func(), error) {
	return func() {
		close(g.stopping)
		changed() // what a system still had under way
		<-g.goOn
	}, nil
}

func TestChangesClosesAfterJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{stopping: make(chan struct{}), goOn: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		c := newWatcher(g).Changes(ctx)
		cancel()
		<-g.stopping
		synctest.Wait()
		assert.False(t, isClosed(c), "the watcher is still running")
		close(g.goOn)
		synctest.Wait()
		assert.True(t, isClosed(c))
	})
}

func TestChangesClosesAfterLastTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		ticking, goOn := make(chan struct{}), make(chan struct{})
		w := newWatcher(&fakeOS{})
		w.clock = func() time.Duration {
			if calls.Add(1) == 2 { // the first is the start's
				close(ticking)
				<-goOn
			}
			return 0
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := w.Changes(ctx)
		<-ticking
		cancel()
		synctest.Wait()
		assert.False(t, isClosed(c), "a tick is under way")
		close(goOn)
		synctest.Wait()
		assert.True(t, isClosed(c))
	})
}

func TestChangesConcurrently(t *testing.T) {
	defer goleak.VerifyNone(t)
	sys := &fakeOS{}
	w := newWatcher(sys)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				c := w.Changes(ctx)
				w.signal()
				_, open := <-c
				assert.True(t, open)
				cancel()
				for range c {
				}
			}
		})
	}
	wg.Wait()
	_, watching := sys.counts()
	assert.Zero(t, watching)
	assert.Empty(t, w.subs)
}

func TestChangesOfSystemEnds(t *testing.T) {
	defer goleak.VerifyNone(t)
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		c := System().Changes(ctx)
		cancel()
		for range c {
		}
	}
}

func TestPollingWhereWatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &fakeOS{watchErr: errors.ErrUnsupported}
		sys.setAddrs("192.0.2.1")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newWatcher(sys).Changes(ctx)

		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, pending(c), "nothing changed")

		sys.setAddrs("192.0.2.2")
		time.Sleep(pollTicks*tickEvery - 1)
		synctest.Wait()
		assert.Zero(t, pending(c), "before the next look")
		time.Sleep(1)
		synctest.Wait()
		assert.Equal(t, 1, pending(c))

		sys.mu.Lock()
		sys.hidden = true
		sys.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, pending(c), "what cannot be known has not changed")
	})
}

func TestPollingAfterWatchBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &fakeOS{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newWatcher(sys).Changes(ctx)
		sys.setAddrs("192.0.2.1")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, pending(c), "no polling beside a watch")

		sys.lost()
		assert.Equal(t, 1, pending(c), "something may have been missed")
		time.Sleep(time.Minute)
		synctest.Wait()
		pending(c)
		sys.setAddrs("192.0.2.2")
		time.Sleep(pollTicks * tickEvery)
		synctest.Wait()
		assert.Equal(t, 1, pending(c))
	})
}

func TestResumeFromSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asleep atomic.Int64
		start := time.Now()
		w := newWatcher(&fakeOS{})
		w.clock = func() time.Duration { return time.Since(start) + time.Duration(asleep.Load()) }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := w.Changes(ctx)

		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, pending(c), "awake all the time")

		asleep.Add(int64(tickLate))
		time.Sleep(tickEvery)
		synctest.Wait()
		assert.Zero(t, pending(c), "a late tick is no sleep")

		asleep.Add(int64(tickLate) + 1)
		time.Sleep(tickEvery)
		synctest.Wait()
		assert.Equal(t, 1, pending(c))

		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Zero(t, pending(c), "told once")
	})
}

func TestSleepClockRuns(t *testing.T) {
	before := sleepClock()
	assert.NotZero(t, before)
	assert.GreaterOrEqual(t, sleepClock(), before)
}
