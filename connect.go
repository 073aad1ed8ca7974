package holdfast

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-ws/holdfast/internal/verdict"
)

// connect is StateConnecting.
func (s *supervisor) connect() input {
	forced := s.forced
	s.forced = false
	if s.ready == nil && !forced && s.offline() { // what is open is proof of a way
		s.note(Event{Kind: EventOffline, Err: errOffline})
		return inputOffline
	}
	return s.dial(forced)
}

// dial makes one attempt, in StateConnecting or as a probe in StateOffline.
// forced: being offline does not end it.
func (s *supervisor) dial(forced bool) input {
	ep := s.endpoints[s.at]
	ready := s.ready
	if s.ready = nil; ready != nil {
		ep = ready.endpoint
	}
	s.attempts++
	s.c.mu.Lock()
	s.c.attempts++
	s.c.mu.Unlock()
	s.emit(Event{Kind: EventConnecting, Attempt: s.attempts})
	s.countGaps()
	key := s.path(ep)
	a := s.c.start(s.ctx, &attempt{session: s.session, ready: ready, sticky: &s.sticky, number: s.attempts, last: s.lastErr}, ep, s.epoch+1,
		key != nil && verdict.Process().Blocked(*key, time.Now()))
	for {
		select {
		case <-a.done:
			s.take(a)
			if s.ctx.Err() != nil { // CloseNow, whose request is on its way
				a.discard()
				return s.closeRequested(<-s.c.closing)
			}
			if a.err != nil {
				return s.attemptFailed(ep, a.err)
			}
			resumed := s.adopt(a.link)
			if ready != nil {
				a.link.despite = ready.despite
			}
			s.fellBack(a, resumed)
			return inputUp
		case <-s.c.reconnect:
			s.force()
			return s.redial(a, inputRedial)
		case _, ok := <-s.changes:
			if !s.heard(ok) {
				continue
			}
			if offline := s.offline(); offline && !forced && s.state == StateConnecting {
				s.note(Event{Kind: EventOffline, Err: errOffline})
				return s.redial(a, inputOffline)
			} else if !offline && s.state == StateOffline {
				return s.redial(a, s.online())
			}
		case req := <-s.c.closing:
			a.abandon()
			return s.closeRequested(req)
		}
	}
}

// redial gives an attempt up for another one, which must not begin before this
// one has ended.
func (s *supervisor) redial(a *attempt, in input) input {
	a.cancel()
	select {
	case <-a.done:
		s.take(a)
		a.discard()
		s.join(a.link)
		return in
	case req := <-s.c.closing:
		a.abandon()
		return s.closeRequested(req)
	}
}

// take takes the session back from an attempt that has ended, and tells what
// became of it.
func (s *supervisor) take(a *attempt) {
	s.session = a.session
	if a.epoch > s.epoch+1 { // it had a gap, which has been told
		s.epoch = a.epoch
	}
	if a.lost > 0 {
		err := a.ended
		if !errors.Is(err, ErrSessionLost) {
			err = fmt.Errorf("%w: %w", ErrSessionLost, err)
		}
		s.note(Event{Kind: EventDropped, Count: a.lost, Err: err})
	}
}

// join waits for code of the user that a plain link runs after its end: the send
// queue has one writer. Close is not held up. nil is fine.
func (s *supervisor) join(l *live) {
	if l == nil || l.session != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		l.join()
		close(ended)
	}()
	select {
	case <-ended:
	case req := <-s.c.closing:
		s.c.closing <- req // there is no other
	}
	s.c.out.Leave(l.writer)
}

// adopt takes a fresh link, and says whether the conversation goes on over it.
func (s *supervisor) adopt(l *live) (resumed bool) {
	s.link = l
	resumed = l.session != nil && l.session.adopted
	if l.session != nil {
		l.session.adopted = true
		s.countGaps()
	} else {
		s.epoch = l.epoch
	}
	if l.despite = s.state == StateOffline; l.despite {
		s.note(Event{Kind: EventOnline})
	}
	s.note(Event{Kind: EventConnected, Attempt: s.attempts, Resumed: resumed})
	if s.epoch > 1 && !resumed {
		s.note(Event{Kind: EventGap})
	}
	s.attempts, s.settling, l.endpoint.floor = 0, nil, time.Time{}
	s.c.in.Release(false)
	s.c.mu.Lock()
	s.c.connects++
	s.c.mu.Unlock()
	if k, ok := s.network.(learner); ok {
		if addr, ok := ipOf(l.Info().RemoteAddr); ok {
			k.Learn(s.opts.target(l.endpoint), addr)
		}
	}
	return resumed
}

// attemptFailed decides what follows from a failed attempt.
func (s *supervisor) attemptFailed(ep *endpoint, err error) input {
	var over *CloseError
	if errors.As(err, &over) { // the session's tombstone
		return s.sessionClosed(ep, over)
	}
	e := explain(err, ep, s.opts, circumstances{transport: ep.transport.Name(), attempt: s.attempts,
		unreachable: s.network.Check(s.ctx, s.opts.target(ep)) == Unreachable})
	s.lastErr = e
	s.note(Event{Kind: EventAttemptFailed, Attempt: s.attempts, Err: e, Endpoint: ep.name, Transport: ep.transport.Name()})
	if (e.Class == ClassOffline || s.state == StateOffline && e.Decision != DecisionStop && e.Decision != DecisionReauthorize) && s.offline() {
		if s.state != StateOffline {
			s.note(Event{Kind: EventOffline, Err: e})
		}
		return inputOffline
	}
	in := s.failed(ep, e, e.Decision, e.RetryAfter, permanent(err) || finished(err))
	if len(s.settling) > 0 && in == inputFailed && e.Decision == DecisionRetry && e.RetryAfter == 0 && e.StatusCode == 0 {
		s.delay = min(s.delay, s.settling[0])
		s.settling = s.settling[1:]
	} else {
		s.settling = nil
	}
	s.onChange = e.onChange
	if in == inputFailed {
		s.note(Event{Kind: EventWaiting, Attempt: s.attempts, Delay: s.delay})
	}
	return in
}
