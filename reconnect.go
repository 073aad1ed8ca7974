package holdfast

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// Unlimited as RetryPolicy.MaxRetries never gives up.
	Unlimited = -1
	// NoRetry as RetryPolicy.MaxRetries ends the Conn at the first failure.
	NoRetry = -2
)

// RetryPolicy says how often and how fast a Conn tries again. The zero value
// means the defaults.
//
// A failure is a failed attempt or the loss of a link. They are counted until
// a link that had been up for StableAfter is lost, which starts the count
// anew. So MaxRetries 3 makes 4 dials against a server that refuses, and
// 3 more after the loss of a stable link. Time offline, losses that a change
// of the network caused, and Conn.Reconnect cost nothing.
type RetryPolicy struct {
	// MaxRetries bounds the retries after a first failure. 0 means 10, which
	// with the default delays gives up after 90 s on average, 181 s at most,
	// beside the time that the attempts take. Unlimited and NoRetry are the
	// only negatives.
	MaxRetries int
	// InitialDelay bounds the first delay, 1 s by default, or MaxDelay if that
	// is shorter; each further bound is twice as long, up to MaxDelay, 30 s by
	// default, or InitialDelay if that is longer. Retry n, from 0, waits
	// a random time between 0 and min(MaxDelay, InitialDelay·2ⁿ) ("full
	// jitter"). The server's Retry-After, up to 5 minutes, is a floor under it.
	InitialDelay, MaxDelay time.Duration
	// StableAfter is how long a link must have been up for its loss to reset
	// the count, 10 s by default.
	StableAfter time.Duration
	// New makes the source of delays in place of those above, unjittered;
	// any backoff.BackOff of github.com/cenkalti/backoff/v4 fits. Its Stop, or
	// any negative delay, ends the Conn like the cap, which still holds.
	// DecisionRetrySlowly and Retry-After still have the last word. nil means
	// the defaults.
	New func() BackOff
	// Decide overrides what the tables say of err, a *DialError or
	// *CloseError. It runs on the Conn's own goroutine: it must not block, nor
	// call Close.
	Decide func(err error, d Decision) Decision
}

// BackOff is a source of delays, reset when a stable link is lost. It runs on the
// Conn's own goroutine: it must not block, nor call Close.
type BackOff interface {
	// NextBackOff returns the next delay; a negative one ends the Conn.
	NextBackOff() time.Duration
	// Reset starts anew: a stable link was lost.
	Reset()
}

// retry counts consecutive failures and draws delays. The supervisor owns it.
type retry struct {
	policy   RetryPolicy
	failures int
	delays   BackOff
	custom   bool           // from policy.New
	jitter   func() float64 // in [0, 1)
}

func newRetry(p RetryPolicy, jitter func() float64) *retry {
	if jitter == nil {
		jitter = rand.Float64
	}
	r := &retry{policy: p, jitter: jitter}
	if p.New != nil {
		r.delays = p.New()
	}
	if r.custom = r.delays != nil; r.custom {
		return r
	}
	r.delays = backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.InitialDelay),
		backoff.WithMaxInterval(p.MaxDelay),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0), // its jitter is drawn from a global source, and is not full
		backoff.WithMaxElapsedTime(0),      // its default gives up after 15 minutes
	)
	return r
}

// reset starts the count anew: a stable link was lost.
func (r *retry) reset() {
	r.failures = 0
	r.delays.Reset()
}

// next counts a failure and returns the delay before the next attempt; false
// means that there is none.
func (r *retry) next(d Decision, floor time.Duration) (time.Duration, bool) {
	r.failures++
	if r.policy.MaxRetries != Unlimited && r.failures > max(r.policy.MaxRetries, 0) { // NoRetry is negative
		return 0, false
	}
	delay := r.delays.NextBackOff()
	if delay < 0 { // backoff.Stop: not a delay, a timer would fire at once
		return 0, false
	}
	if !r.custom {
		delay = time.Duration(r.jitter() * float64(delay))
	}
	if d == DecisionRetrySlowly {
		half := r.policy.MaxDelay / 2
		delay = half + time.Duration(r.jitter()*float64(r.policy.MaxDelay-half))
	}
	return max(delay, floor), true
}
