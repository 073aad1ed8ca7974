package holdfast

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast/internal/liveness"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/verdict"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	quietTime    = 100 * time.Millisecond // after a change of the network
	maxQuietTime = 500 * time.Millisecond
)

// serve is StateConnected: messages flow until the link ends.
func (s *supervisor) serve() input {
	var probe alarm // when WebSocket is to be tried again
	defer probe.stop()
	s.restartProbes(&probe)
	var proven alarm // when WebSocket has lived
	defer proven.stop()
	s.watchProof(&proven)
	life := liveness.Liveness{Interval: s.opts.Keepalive.Interval, Timeout: s.opts.Keepalive.Timeout}
	var check alarm // when life is to be looked at
	defer check.stop()
	var quiet alarm // when the network has been quiet after a change
	defer quiet.stop()
	var changing time.Time // when the changes began
	s.checkLife(&life, &check)
	for {
		select {
		case err := <-s.link.failed:
			if isClosed(s.link.peerClosed()) { // what the peer said before counts
				return s.peerClosed()
			}
			return s.lost(closeError(err), life.Changed() || !changing.IsZero())
		case <-s.link.peerClosed():
			return s.peerClosed()
		case <-probe.rings():
			s.probeWebSocket()
		case <-s.c.goneAway:
			s.replace()
		case <-s.probe.over():
			before := s.link
			in, ended := s.probed(&probe)
			if ended {
				return in
			}
			if s.link != before {
				s.watchProof(&proven)
				life = liveness.Liveness{Interval: s.opts.Keepalive.Interval, Timeout: s.opts.Keepalive.Timeout}
				s.checkLife(&life, &check)
			}
		case <-proven.rings():
			verdict.Process().Worked(*s.path(s.link.endpoint), time.Now())
			s.probes.Reset()
		case <-check.rings():
			if !s.checkLife(&life, &check) {
				return s.lost(&CloseError{Code: StatusAbnormalClosure, Err: ErrNoPong}, life.Changed())
			}
		case _, ok := <-s.changes:
			if !s.heard(ok) {
				continue
			}
			now := time.Now()
			if changing.IsZero() {
				changing = now
			}
			quiet.set(min(quietTime, max(0, maxQuietTime-now.Sub(changing))))
		case <-quiet.rings():
			changing = time.Time{}
			s.emit(Event{Kind: EventNetworkChanged})
			if in, ended := s.networkChanged(); ended {
				return in
			}
			s.probes.Reset()
			s.restartProbes(&probe)
			if !s.link.pingless.Load() {
				s.c.out.RequestPing()
				_, heard := s.life()
				check.set(life.Probe(time.Now(), heard))
			}
		case <-s.c.reconnect:
			s.drop(&CloseError{Code: StatusAbnormalClosure, Err: errReconnect})
			s.force()
			return inputRedial
		case req := <-s.c.closing:
			return s.closeRequested(req)
		}
	}
}

// life says whether the link is being read, and when it was last heard or began
// to be read again.
func (s *supervisor) life() (paused bool, heard time.Time) {
	paused, heard = s.c.in.Paused()
	if last := s.link.LastRead(); last.After(heard) {
		heard = last
	}
	return paused, heard
}

// checkLife pings when it is time and says when to look again; false means that the link
// is dead.
func (s *supervisor) checkLife(life *liveness.Liveness, check *alarm) bool {
	paused, heard := s.life()
	if s.link.pingless.Load() { // no sign of life can be asked for
		return true
	}
	verdict, next := life.Check(time.Now(), heard, paused)
	if verdict == liveness.AskForLife {
		s.c.out.RequestPing()
	}
	if next > 0 {
		check.set(next)
	}
	return verdict != liveness.Dead
}

// networkChanged judges the link after a change; ended says that it is gone.
func (s *supervisor) networkChanged() (in input, ended bool) {
	if k, ok := s.network.(addrKeeper); ok {
		if addr, ok := ipOf(s.link.Info().LocalAddr); ok && !k.HasAddr(addr) {
			s.drop(&CloseError{Code: StatusAbnormalClosure, Err: errNetworkChange})
			return inputRedial, true
		}
	}
	// A network that was wrong before is not believed against a link that lives.
	if !s.link.despite && s.network.Check(s.ctx, s.opts.target(s.link.endpoint)) == Unreachable {
		s.drop(&CloseError{Code: StatusAbnormalClosure, Err: errOffline})
		if s.offline() {
			s.note(Event{Kind: EventOffline, Err: errOffline})
			return inputOffline, true
		}
		return inputRedial, true
	}
	return 0, false
}

// lost decides what follows from the end of the link. changed: the network
// caused it.
func (s *supervisor) lost(e *CloseError, changed bool) input {
	ep := s.link.endpoint
	s.judge(e, changed)
	stray := s.strayed(e)
	if stray != nil {
		e = &CloseError{Code: e.Code, Err: stray}
	}
	stable := s.drop(e)
	switch {
	case e.Remote: // the peer has spoken
	case changed:
		return inputRedial
	case e.Code == StatusAbnormalClosure && s.offline():
		s.note(Event{Kind: EventOffline, Err: e})
		return inputOffline
	}
	final := finished(e) || errors.Is(e, ErrMessageTooBig)
	decision := e.decision(ep.stable)
	switch {
	case stray != nil:
		decision = stray.Decision
	case errors.Is(e, errUsedElsewhere):
		decision = DecisionStop
	}
	at := s.at
	in := s.failed(ep, e, decision, 0, final)
	if in == inputFailed {
		if stable && !ep.retired {
			s.at = at // the same one first
		}
		s.note(Event{Kind: EventWaiting, Delay: s.delay})
	}
	return in
}

// strayed returns what there is to say when requests of a link reach another server
// than the one that welcomed it, though the cookies are kept. One link may have lost
// its server to a restart; a second within a minute has a balancer that is not
// sticky.
func (s *supervisor) strayed(e *CloseError) *DialError {
	var refused *pump.Rejected
	if !errors.As(e, &refused) || refused.Status != http.StatusMisdirectedRequest || s.c.jar == nil || !s.strays.Lost(time.Now()) {
		return nil
	}
	ep := s.link.endpoint
	err := &transport.Error{Phase: PhaseHandshake, StatusCode: refused.Status, URL: ep.url, Err: transport.ErrNotSticky}
	return explain(err, ep, s.opts, circumstances{transport: s.link.transport})
}

// drop ends the link for the reason e and accounts for what was on its way. It
// says whether the link was stable.
func (s *supervisor) drop(e *CloseError) (stable bool) {
	l := s.link
	s.endProbe()
	s.forgetGoAway()
	l.abort()
	s.join(l)
	unknown := 0
	switch {
	case l.session == nil:
		unknown = s.c.out.LinkDown(e)
	case l.over(e):
		s.countGaps()
		unknown = s.c.endSession(l.session, e)
		s.session = nil
	}
	s.lastErr = e
	stable = time.Since(l.up) >= s.opts.Retry.StableAfter
	if stable {
		s.retry.reset()
		l.endpoint.stable, l.endpoint.reauthorized = true, false
	}
	s.note(Event{Kind: EventDisconnected, Count: unknown, Err: e})
	s.link = nil
	return stable
}

// drain is StateClosing: what was accepted is sent, then the link is closed. It
// is bounded by CloseTimeout, the caller's context and CloseNow.
func (s *supervisor) drain() input {
	s.end = ErrClosed
	l := s.link
	if l == nil {
		s.why = cmp.Or(s.lastErr, errNotConnected)
		return inputStop
	}
	defer func() { s.link, s.closedOn = nil, l }()
	s.endProbe()
	if s.ctx.Err() != nil { // CloseNow
		s.why = ErrClosed
		l.abort()
		return inputStop
	}
	ctx, cancel := context.WithTimeout(s.closing.ctx, s.opts.CloseTimeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	s.c.in.Drain()
	select {
	case <-s.c.out.Drained():
		if s.why = l.close(ctx, s.closing.code, s.closing.reason); s.why == nil {
			s.c.out.Proven()
		}
	case err := <-l.failed: // a link is not replaced for the sake of closing
		s.why = closeError(err)
	case <-ctx.Done():
	}
	switch {
	case s.ctx.Err() != nil: // CloseNow
		s.why = ErrClosed
	case ctx.Err() != nil:
		s.why = ctx.Err()
	}
	l.abort()
	return inputStop
}
