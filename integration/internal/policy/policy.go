// Package policy has the ways of spacing attempts that are compared: the default of
// Holdfast, and those that it is not.
package policy

import (
	"math/rand/v2"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// Policy says how long a client waits before each attempt.
type Policy struct {
	Name string
	// Initial bounds the first delay; each further bound is twice as long, up to
	// Max. Where both are the same the delay is fixed.
	Initial, Max time.Duration
	// Jitter draws each delay between 0 and its bound, as Holdfast does. Without
	// it the delay is the bound.
	Jitter bool
}

// Default is that of holdfast.RetryPolicy.
var Default = Policy{"full jitter (default)", time.Second, 30 * time.Second, true}

// All are Default and what it is compared with.
var All = []Policy{
	{"fixed 1 s", time.Second, time.Second, false},
	{"exponential", time.Second, 30 * time.Second, false},
	Default,
}

// Bound is that of the delay n, from 0.
func (p Policy) Bound(n int) time.Duration {
	d := p.Initial
	for ; n > 0 && d < p.Max; n-- {
		d *= 2
	}
	return min(d, p.Max)
}

// Delay is the delay n, from 0, for a u drawn from [0, 1).
func (p Policy) Delay(n int, u float64) time.Duration {
	if !p.Jitter {
		return p.Bound(n)
	}
	return time.Duration(u * float64(p.Bound(n)))
}

// Retry is the policy as an option of a Conn, without a cap: for Default it is
// the product's own.
func (p Policy) Retry() holdfast.RetryPolicy {
	r := holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, InitialDelay: p.Initial, MaxDelay: p.Max}
	if !p.Jitter {
		r.New = func() holdfast.BackOff { return &backOff{policy: p} }
	}
	return r
}

// backOff is a policy without jitter as a source of delays.
type backOff struct {
	policy Policy
	n      int
}

func (b *backOff) NextBackOff() time.Duration {
	d := b.policy.Delay(b.n, rand.Float64())
	b.n++
	return d
}

func (b *backOff) Reset() { b.n = 0 }
