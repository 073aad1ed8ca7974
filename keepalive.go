package holdfast

import "time"

// changeTimeout is how long a link may take to answer after the network changed.
const changeTimeout = 3 * time.Second

// liveness decides when to ping and when a link is dead. It has no clock; the
// supervisor owns it.
type liveness struct {
	interval, timeout time.Duration // a negative interval: only probes

	pinged time.Time     // when the ping was asked for that nothing has answered; else zero
	within time.Duration // that it is to be answered
	change bool          // the network changed, which is why it was asked for
}

type lifeVerdict int

const (
	alive lifeVerdict = iota
	askForLife
	dead
)

// check judges a link by when it was last heard. paused says that it is not
// being read; heard counts from the end of the last such pause. next is when to
// check again, 0 for never.
func (l *liveness) check(now, heard time.Time, paused bool) (v lifeVerdict, next time.Duration) {
	if paused { // a consumer that has stopped is not a dead peer
		l.pinged, l.change = time.Time{}, false
		return alive, max(l.interval, l.timeout)
	}
	if !l.pinged.IsZero() {
		if left := l.pinged.Add(l.within).Sub(now); heard.Before(l.pinged) {
			if left <= 0 {
				return dead, 0
			}
			return alive, left
		}
		l.pinged, l.change = time.Time{}, false
	}
	if l.interval < 0 {
		return alive, 0
	}
	if idle := now.Sub(heard); idle < l.interval {
		return alive, l.interval - idle
	}
	l.pinged, l.within = now, l.timeout
	return askForLife, l.timeout
}

// probe asks for a sign of life because the network changed; heard as for check.
// It returns when to check.
func (l *liveness) probe(now, heard time.Time) time.Duration {
	if l.pinged.IsZero() || !heard.Before(l.pinged) {
		l.pinged, l.within = now, changeTimeout
	}
	// A question that is open is not put off by the next one.
	left := min(l.pinged.Add(l.within).Sub(now), changeTimeout)
	l.within = now.Add(left).Sub(l.pinged)
	l.change = true
	return max(left, 0)
}
