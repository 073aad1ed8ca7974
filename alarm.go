package holdfast

import "time"

// alarm is a timer that takes no memory before it is set for the first time.
// The zero value is one that is not set.
type alarm struct{ timer *time.Timer }

// set has it ring after d, and not at the time set before.
func (a *alarm) set(d time.Duration) {
	if a.timer == nil {
		a.timer = time.NewTimer(d)
	} else {
		a.timer.Reset(d)
	}
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// rings is nil before the first set.
func (a *alarm) rings() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}
