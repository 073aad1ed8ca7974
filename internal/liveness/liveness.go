// Package liveness decides when a link is asked for a sign of life and when it
// is dead. It has no clock.
package liveness

import "time"

// changeTimeout is how long a link may take to answer after the network changed.
const changeTimeout = 3 * time.Second

// Liveness is the verdict on one link. It belongs to one goroutine.
type Liveness struct {
	// Interval is how long nothing is heard before life is asked for, a
	// negative one: only by Probe. Timeout is how long the answer may take.
	Interval, Timeout time.Duration

	pinged time.Time     // when the ping was asked for that nothing has answered; else zero
	within time.Duration // that it is to be answered
	change bool          // the network changed, which is why it was asked for
}

// Verdict is what Check says.
type Verdict int

// The verdicts. AskForLife wants a ping now.
const (
	Alive Verdict = iota
	AskForLife
	Dead
)

// Changed says that life was asked for because the network changed.
func (l *Liveness) Changed() bool { return l.change }

// Check judges a link by when it was last heard. paused says that it is not
// being read; heard counts from the end of the last such pause. next is when to
// check again, 0 for never.
func (l *Liveness) Check(now, heard time.Time, paused bool) (v Verdict, next time.Duration) {
	if paused { // a consumer that has stopped is not a dead peer
		l.pinged, l.change = time.Time{}, false
		return Alive, max(l.Interval, l.Timeout)
	}
	if !l.pinged.IsZero() {
		if left := l.pinged.Add(l.within).Sub(now); heard.Before(l.pinged) {
			if left <= 0 {
				return Dead, 0
			}
			return Alive, left
		}
		l.pinged, l.change = time.Time{}, false
	}
	if l.Interval < 0 {
		return Alive, 0
	}
	if idle := now.Sub(heard); idle < l.Interval {
		return Alive, l.Interval - idle
	}
	l.pinged, l.within = now, l.Timeout
	return AskForLife, l.Timeout
}

// Probe asks for a sign of life because the network changed; heard as for Check.
// It returns when to check.
func (l *Liveness) Probe(now, heard time.Time) time.Duration {
	if l.pinged.IsZero() || !heard.Before(l.pinged) {
		l.pinged, l.within = now, changeTimeout
	}
	// A question that is open is not put off by the next one.
	left := min(l.pinged.Add(l.within).Sub(now), changeTimeout)
	l.within = now.Add(left).Sub(l.pinged)
	l.change = true
	return max(left, 0)
}
