package holdfast

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// policy returns p with the defaults.
func policy(p RetryPolicy) RetryPolicy { return (&Options{Retry: p}).withDefaults().Retry }

func fixed(f float64) func() float64 { return func() float64 { return f } }

func delays(t *testing.T, r *retry, n int) (list []time.Duration) {
	t.Helper()
	for range n {
		d, ok := r.next(DecisionRetry, 0)
		require.True(t, ok)
		list = append(list, d)
	}
	return list
}

func seconds(list ...float64) (d []time.Duration) {
	for _, s := range list {
		d = append(d, time.Duration(s*float64(time.Second)))
	}
	return d
}

func TestDelaysDoubleUpToTheMaximum(t *testing.T) {
	for _, c := range []struct {
		policy RetryPolicy
		bounds []time.Duration
	}{
		{RetryPolicy{}, seconds(1, 2, 4, 8, 16, 30, 30, 30)},
		{RetryPolicy{InitialDelay: 3 * time.Second, MaxDelay: 10 * time.Second}, seconds(3, 6, 10, 10)},
		{RetryPolicy{InitialDelay: time.Second, MaxDelay: time.Second}, seconds(1, 1, 1)},
		{RetryPolicy{InitialDelay: 20 * time.Second}, seconds(20, 30, 30)},
		{RetryPolicy{InitialDelay: time.Minute}, seconds(60, 60)},
		{RetryPolicy{MaxDelay: time.Millisecond}, seconds(0.001, 0.001)},
		{RetryPolicy{InitialDelay: 3, MaxDelay: 100}, []time.Duration{3, 6, 12, 24, 48, 96, 100, 100}},
	} {
		r := newRetry(policy(c.policy), fixed(1)) // the bound itself, which is never drawn
		assert.Equal(t, c.bounds, delays(t, r, len(c.bounds)), "%+v", c.policy)
	}
}

func TestDelaysHaveFullJitter(t *testing.T) {
	assert.Equal(t, seconds(0, 0, 0), delays(t, newRetry(policy(RetryPolicy{}), fixed(0)), 3))
	assert.Equal(t, seconds(0.25, 0.5, 1, 2, 4, 7.5, 7.5), delays(t, newRetry(policy(RetryPolicy{}), fixed(0.25)), 7))

	r := newRetry(policy(RetryPolicy{MaxRetries: Unlimited, MaxDelay: time.Second}), nil)
	var low, high int
	for _, d := range delays(t, r, 1000) {
		require.True(t, 0 <= d && d < time.Second, d)
		if d < time.Second/10 {
			low++
		}
		if d > 9*time.Second/10 {
			high++
		}
	}
	assert.InDelta(t, 100, low, 60)
	assert.InDelta(t, 100, high, 60)
}

func TestDelaysGoOnAfterHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetry(policy(RetryPolicy{MaxRetries: Unlimited}), fixed(1))
		for range 1000 {
			d, ok := r.next(DecisionRetry, 0)
			require.True(t, ok)
			time.Sleep(d + time.Minute)
		}
	})
}

func TestRetrySlowly(t *testing.T) {
	for jitter, want := range map[float64]time.Duration{0: 15 * time.Second, 0.5: 22500 * time.Millisecond, 1: 30 * time.Second} {
		d, ok := newRetry(policy(RetryPolicy{}), fixed(jitter)).next(DecisionRetrySlowly, 0)
		assert.True(t, ok)
		assert.Equal(t, want, d)
	}
	r := newRetry(policy(RetryPolicy{MaxDelay: 3, New: func() BackOff { return &script{list: []time.Duration{time.Hour, 7}} }}), fixed(1))
	d, _ := r.next(DecisionRetrySlowly, 0)
	assert.Equal(t, time.Duration(3), d, "New or not")
	assert.Equal(t, []time.Duration{7}, delays(t, r, 1), "its delay has been used up")
}

func TestRetryAfterIsAFloor(t *testing.T) {
	for _, d := range []Decision{DecisionRetry, DecisionRetrySlowly} {
		r := newRetry(policy(RetryPolicy{}), fixed(0.5))
		delay, ok := r.next(d, 5*time.Minute)
		assert.True(t, ok)
		assert.Equal(t, 5*time.Minute, delay)
	}
	r := newRetry(policy(RetryPolicy{}), fixed(1))
	delay, _ := r.next(DecisionRetry, 10*time.Millisecond)
	assert.Equal(t, time.Second, delay, "no ceiling")
	r = newRetry(policy(RetryPolicy{New: func() BackOff { return &script{list: []time.Duration{time.Second}} }}), fixed(1))
	delay, _ = r.next(DecisionRetry, time.Minute)
	assert.Equal(t, time.Minute, delay)
}

func TestMaxRetriesIsExact(t *testing.T) {
	for limit, want := range map[int]int{1: 1, 2: 2, 3: 3, 10: 10, 0: 10, NoRetry: 0, Unlimited: 1000} {
		r := newRetry(policy(RetryPolicy{MaxRetries: limit}), fixed(0))
		retries := 0
		for retries < 1000 {
			if _, ok := r.next(DecisionRetry, 0); !ok {
				break
			}
			retries++
		}
		assert.Equal(t, want, retries, limit)
		if limit == Unlimited {
			continue
		}
		assert.Equal(t, want+1, r.failures)
		r.reset()
		_, ok := r.next(DecisionRetrySlowly, time.Minute)
		assert.Equal(t, want > 0, ok, "after a reset")
	}
}

func TestResetStartsTheDelaysAnew(t *testing.T) {
	r := newRetry(policy(RetryPolicy{}), fixed(1))
	assert.Equal(t, seconds(1, 2, 4), delays(t, r, 3))
	r.reset()
	assert.Zero(t, r.failures)
	assert.Equal(t, seconds(1, 2, 4), delays(t, r, 3))
}

// script is a BackOff that returns a list.
type script struct {
	list   []time.Duration
	resets int
}

func (s *script) Reset() { s.resets++ }

func (s *script) NextBackOff() time.Duration {
	d := s.list[0]
	s.list = s.list[1:]
	return d
}

func TestDelaysOfOnesOwn(t *testing.T) {
	s := &script{list: []time.Duration{7 * time.Hour, 0, time.Second, backoff.Stop, time.Second, -7}}
	made := 0
	r := newRetry(policy(RetryPolicy{MaxRetries: Unlimited, New: func() BackOff {
		made++
		return s
	}}), fixed(0.5))
	assert.Equal(t, seconds(7*3600, 0, 1), delays(t, r, 3), "unjittered, and over MaxDelay")
	_, ok := r.next(DecisionRetry, 0)
	assert.False(t, ok, "Stop")
	resets := s.resets
	r.reset()
	assert.Equal(t, resets+1, s.resets)
	assert.Equal(t, seconds(1), delays(t, r, 1))
	_, ok = r.next(DecisionRetrySlowly, time.Minute)
	assert.False(t, ok, "any negative delay, whatever else is asked for")
	assert.Equal(t, 1, made)
}

func TestCapHoldsForDelaysOfOnesOwn(t *testing.T) {
	r := newRetry(policy(RetryPolicy{MaxRetries: 2, New: func() BackOff { return &backoff.ZeroBackOff{} }}), nil)
	assert.Equal(t, seconds(0, 0), delays(t, r, 2))
	_, ok := r.next(DecisionRetry, 0)
	assert.False(t, ok)
}

func TestBackOffOfTheLibraryFits(t *testing.T) {
	r := newRetry(policy(RetryPolicy{New: func() BackOff {
		return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
	}}), nil)
	assert.Equal(t, seconds(1, 1), delays(t, r, 2))
	_, ok := r.next(DecisionRetry, 0)
	assert.False(t, ok)
	r.reset()
	assert.Equal(t, seconds(1), delays(t, r, 1))
}

func TestNewThatMakesNothing(t *testing.T) {
	assert.NotPanics(t, func() {
		r := newRetry(policy(RetryPolicy{New: func() BackOff { return nil }}), fixed(1))
		_, _ = r.next(DecisionRetry, 0)
		r.reset()
	})
}

// What README and RetryPolicy.MaxRetries say of the default cap.
func TestDefaultDelaysAddUp(t *testing.T) {
	sum := func(jitter float64) (all time.Duration) {
		r := newRetry((&Options{}).withDefaults().Retry, func() float64 { return jitter })
		for {
			d, ok := r.next(DecisionRetry, 0)
			if !ok {
				return all
			}
			all += d
		}
	}
	assert.Equal(t, 181*time.Second, sum(1))
	assert.Equal(t, 90500*time.Millisecond, sum(0.5))
}
