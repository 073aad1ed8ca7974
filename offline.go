package holdfast

import (
	"errors"
	"time"
)

const probeInterval = 30 * time.Second // between dials while offline: watchers lie

// afterOnline are the delays of the first attempts after being offline, while
// routes and name servers settle.
var afterOnline = []time.Duration{250 * time.Millisecond, 750 * time.Millisecond, time.Second}

var errOffline = errors.New("holdfast: this host is offline: it has no way to the server")

// stayOffline is StateOffline.
func (s *supervisor) stayOffline() input {
	probe := time.NewTimer(probeInterval)
	defer probe.Stop()
	for {
		select {
		case <-probe.C:
			probe.Reset(probeInterval)
			if s.floor() > 0 {
				continue
			}
			if in := s.dial(true); in != inputOffline {
				return in
			}
			for _, e := range s.pending { // the state stays, so no step tells it
				s.emit(e)
			}
			s.pending = nil
			s.publish()
		case _, ok := <-s.changes:
			if s.heard(ok) && !s.offline() {
				return s.online()
			}
		case <-s.c.reconnect:
			s.force()
			return inputRedial
		case req := <-s.c.closing:
			return s.closeRequested(req)
		}
	}
}

// online ends StateOffline: by a dial, or by what is left of a Retry-After.
func (s *supervisor) online() input {
	s.settling = afterOnline
	s.note(Event{Kind: EventOnline})
	if left := s.floor(); left > 0 {
		s.delay, s.onChange = left, false
		s.note(Event{Kind: EventWaiting, Delay: left})
		return inputFailed
	}
	return inputDial
}

// offline says that there is no way to the present endpoint, nor to another one,
// which is then the present one.
func (s *supervisor) offline() bool {
	for i := range s.endpoints {
		at := (s.at + i) % len(s.endpoints)
		if ep := s.endpoints[at]; !ep.retired && s.network.Check(s.ctx, s.opts.target(ep)) != Unreachable {
			s.at = at
			return false
		}
	}
	return true
}
