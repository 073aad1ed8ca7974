package holdfast

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/verdict"
	"github.com/holdfast-ws/holdfast/transport"
)

// flakyWithin is how soon a WebSocket dies that may be cut on its way.
const flakyWithin = 30 * time.Second

var errUpgrade = errors.New("WebSocket works again")

// path is the way to an endpoint as verdicts are remembered for it; nil where
// there is no fallback to decide for.
func (s *supervisor) path(ep *endpoint) *verdict.Key {
	if !s.opts.canFallBack(ep) {
		return nil
	}
	key := s.c.path(ep, s.network)
	return &key
}

// canFallBack says that WebSocket is raced against a fallback there.
func (o *Options) canFallBack(ep *endpoint) bool { return len(o.Fallback) > 0 && !ep.http }

// onFallback says that another transport than the endpoint's own is in use.
func (s *supervisor) onFallback() bool { return s.link.transport != s.link.endpoint.transport.Name() }

// fellBack tells that the fallback carries the connection, and why. What is left
// of the race goes on as the first probe.
func (s *supervisor) fellBack(a *attempt, resumed bool) {
	if !s.onFallback() {
		return
	}
	why := a.blocked
	switch {
	case why != nil:
		s.strike(a.link.endpoint, why)
	case a.rest != nil:
		why = errStillTrying
	default:
		why = errRemembered
	}
	s.note(Event{Kind: EventFellBack, Resumed: resumed, Err: s.blocked(a.link.endpoint, why, s.attempts)})
	s.probe, s.verified = a.rest, false
}

// blocked explains why WebSocket gave way to a fallback that was welcomed.
func (s *supervisor) blocked(ep *endpoint, err error, attempt int) *DialError {
	return explain(err, ep, s.opts, circumstances{transport: ep.transport.Name(), attempt: attempt, welcomed: true})
}

// strike takes down that WebSocket failed beside the fallback.
func (s *supervisor) strike(ep *endpoint, err error) {
	strike(*s.path(ep), err, explain(err, ep, s.opts, circumstances{}).Class)
}

// restartProbes sets the alarm for the next try of WebSocket.
func (s *supervisor) restartProbes(next *alarm) {
	if s.onFallback() && s.probe == nil {
		next.set(s.probes.Next())
	} else {
		next.stop()
	}
}

// probeWebSocket tries WebSocket while the fallback carries on.
func (s *supervisor) probeWebSocket() {
	if s.probe == nil {
		ep := s.link.endpoint
		s.verified = true
		s.probe = s.c.open(s.ctx, &guard{}, ep, ep.transport, s.sessionFor(ep), s.lastErr, true)
	}
}

// sessionFor is what a link beside the present one is opened for.
func (s *supervisor) sessionFor(ep *endpoint) *clientSession {
	if s.session != nil {
		return s.session
	}
	return newSession(ep) // of a plain link: not used
}

// replace makes another link of the same kind, because the server wants one.
func (s *supervisor) replace() {
	if s.session == nil {
		return
	}
	if s.probe != nil {
		s.wanted = true
		return
	}
	s.wanted = false
	ep := s.link.endpoint
	s.verified = true
	s.probe = s.c.open(s.ctx, &guard{}, ep, s.link.by, s.session, s.lastErr, false)
}

// probed judges a link that was opened beside the present one. ended says that
// the present one is gone.
func (s *supervisor) probed(next *alarm) (in input, ended bool) {
	p := s.probe
	s.probe = nil
	ep := s.link.endpoint
	if p.err == nil && !s.verified {
		s.probe, s.verified = p.verifying(s.ctx, s.c), true
		return 0, false
	}
	err := p.err
	if err == nil && s.session == nil { // there is no going on: the messages begin anew
		p.candidate.despite = s.link.despite
		s.drop(&CloseError{Code: StatusAbnormalClosure, Err: errUpgrade})
		s.ready = p.candidate
		return inputRedial, true
	}
	if err == nil {
		err = s.switchTo(p.candidate)
	}
	if err != nil && s.ctx.Err() == nil {
		beside := s.onFallback() && p.transport == ep.transport.Name() // not one in place of another poll link
		if beside {
			s.strike(ep, err)
		}
		with := circumstances{transport: p.transport}
		with.welcomed = beside && evident(explain(err, ep, s.opts, with).Class)
		e := explain(err, ep, s.opts, with)
		s.emit(Event{Kind: EventAttemptFailed, Err: e, Endpoint: ep.name, Transport: p.transport})
	}
	if s.wanted {
		s.replace()
	}
	s.restartProbes(next)
	return 0, false
}

// switchTo takes a link into use in place of the present one, whose session goes
// on: what that has not carried to the end is sent again.
func (s *supervisor) switchTo(cand *candidate) error {
	old := s.link
	switch {
	case cand.session != s.session: // a plain one
		cand.discard()
		return cand.failed(transport.ErrNoSession)
	case cand.welcome.SID != s.session.sid: // opened at the same time, at another server
		cand.discard()
		return cand.failed(errOtherSession)
	}
	s.forgetGoAway()
	l, err := s.c.attach(cand, s.epoch)
	if err != nil {
		cand.discard()
		return cand.failed(err)
	}
	l.flow()
	l.up, l.despite = old.up, old.despite
	kind := EventConnected
	if s.onFallback() && l.transport == l.endpoint.transport.Name() {
		kind = EventUpgraded
	}
	s.link = l
	s.publish()
	old.abort()
	s.emit(Event{Kind: kind, Resumed: true})
	return nil
}

// forgetGoAway forgets what the present link was told, as it is at its end.
func (s *supervisor) forgetGoAway() {
	s.wanted = false
	select {
	case <-s.c.goneAway:
	default:
	}
}

// endProbe gives up what is opened beside the link.
func (s *supervisor) endProbe() {
	s.probe.abandon()
	s.probe = nil
}

// watchProof sets the alarm for when the WebSocket in use has lived.
func (s *supervisor) watchProof(proven *alarm) {
	if s.opts.canFallBack(s.link.endpoint) && !s.onFallback() {
		proven.set(time.Until(s.link.since.Add(flakyWithin)))
	} else {
		proven.stop()
	}
}

// judge takes down a WebSocket that died early without a word, and not of a
// change of the network.
func (s *supervisor) judge(e *CloseError, changed bool) {
	l := s.link
	var closed linkClosedError
	if e.Remote || changed || errors.As(e, &closed) {
		return
	}
	if key := s.path(l.endpoint); key != nil && !s.onFallback() && time.Since(l.since) < flakyWithin {
		verdict.Process().Died(*key, time.Now())
	}
}

// peerClosed is closed when the peer has closed the session; never on a plain
// link.
func (l *live) peerClosed() <-chan struct{} {
	if l.session == nil {
		return nil
	}
	return l.session.end.PeerClosed()
}

// over says that a session has ended with its link.
func (l *live) over(e *CloseError) bool {
	var refused *pump.Rejected
	if errors.As(e, &refused) && refused.Status == http.StatusGone {
		return true
	}
	return isClosed(l.peerClosed())
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// peerClosed answers the peer's CLOSE. Where it ends the Conn, what was accepted
// is sent first.
func (s *supervisor) peerClosed() input {
	l := s.link
	end := l.session.end
	code, reason := end.PeerClose()
	e := &CloseError{Code: StatusCode(code), Reason: reason, Remote: true}
	s.endProbe()
	if e.decision(l.endpoint.stable) == DecisionStop {
		if s.opts.Retry.Decide == nil { // else the Conn may go on
			s.c.out.BeginClose(e)
		}
		end.Close(code, "")
	} else {
		end.Answer()
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.CloseTimeout)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-end.Done():
			if !l.Info().Answered {
				_ = l.Link.Close(ctx, uint16(StatusNormalClosure), "")
			}
		case <-l.heard:
		case err := <-l.failed:
			l.failed <- err // for drain
		case <-ctx.Done():
		}
	}()
	select {
	case <-over:
	case req := <-s.c.closing:
		cancel()
		<-over
		return s.closeRequested(req)
	}
	if s.ctx.Err() != nil { // CloseNow, whose request is on its way
		return s.closeRequested(<-s.c.closing)
	}
	return s.lost(e, false)
}

// sessionClosed decides what follows from a session that the peer had closed
// while no link was there to tell.
func (s *supervisor) sessionClosed(ep *endpoint, e *CloseError) input {
	s.lastErr = e
	in := s.failed(ep, e, e.decision(ep.stable), 0, finished(e))
	s.note(Event{Kind: EventAttemptFailed, Attempt: s.attempts, Err: e, Endpoint: ep.name, Transport: ep.transport.Name()})
	if in == inputFailed {
		s.note(Event{Kind: EventWaiting, Attempt: s.attempts, Delay: s.delay})
	}
	return in
}
