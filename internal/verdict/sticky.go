package verdict

import "time"

// stickyWithin is how close together two lost sessions have to lie.
const stickyWithin = time.Minute

// Sticky finds out that a balancer does not lead the requests of one session
// to one server. The zero value is ready for use, by one goroutine at a time.
type Sticky struct {
	last time.Time // zero if none was lost
}

// Lost tells that a session was lost to 421 (another node answered) though the
// cookies were kept. It reports whether that was the second one within a
// minute: the balancer is not sticky then. One lost session is no reason: a
// restarted server is another node too.
func (s *Sticky) Lost(now time.Time) (notSticky bool) {
	notSticky = !s.last.IsZero() && now.Sub(s.last) <= stickyWithin
	s.last = now
	return notSticky
}
