package server

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/liveness"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// replaceTimeout is how long a link goes on after its client was asked for
// another one.
const replaceTimeout = 30 * time.Second

// errOld is how a link ends that its client has not replaced.
var errOld = &holdfast.CloseError{Code: holdfast.StatusGoingAway}

// serveCandidate serves a link of the session: at first it is a candidate, that
// may be probed with PING, and ATTACH makes it the session's.
func (s *Session) serveCandidate(l transport.Link) {
	if !s.enroll(l) {
		reject(l, s.gone())
		return
	}
	late := time.AfterFunc(attachTimeout, l.Abort)
	p, rest, f := s.awaitAttach(l)
	onTime := late.Stop()
	s.strike(l)
	switch {
	case f != nil:
		reject(l, f)
		return
	case rest == nil || !onTime:
		return
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		reject(l, s.gone())
		return
	}
	att, f := s.attach(p, transportWebSocket)
	s.mu.Unlock()
	if f != nil {
		reject(l, f)
		return
	}
	s.serveLink(l, att, rest)
}

// enroll makes a link a candidate; false if the session has ended.
func (s *Session) enroll(l transport.Link) bool {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return false
	}
	tooMany := s.place.addCandidate(l)
	s.mu.Unlock()
	if tooMany != nil {
		tooMany.Abort()
	}
	return true
}

func (s *Session) strike(l transport.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place.removeCandidate(l)
}

// awaitAttach sends WELCOME and waits for ATTACH. rest is what came with it, nil
// if the link has failed.
func (s *Session) awaitAttach(l transport.Link) (p wire.AttachPayload, rest []byte, f *refusal) {
	if _, err := l.Write(batch(s.welcome())); err != nil {
		return p, nil, nil
	}
	for {
		_, b, err := l.Read(nil)
		if err != nil {
			return p, nil, nil
		}
		for len(b) > 0 {
			frame, n, err := wire.Parse(b)
			switch {
			case err != nil:
				return p, nil, violated(err)
			case frame.Type == wire.Ping && len(frame.Payload) <= session.MaxPing:
				pong := wire.Append(nil, wire.Frame{Type: wire.Pong, Payload: frame.Payload})
				if _, err := l.Write(batch(pong)); err != nil {
					return p, nil, nil
				}
			case frame.Type.Known():
				p, f = parseAttach(b)
				return p, b, f
			}
			b = b[n:]
		}
	}
}

// linkEnd is how a link ends.
type linkEnd struct {
	last bool     // after what is still to be said, as the session is complete
	f    *refusal // after this
	code uint16   // that closes the WebSocket; 0: without a word
	why  error    // the session has lost the link
}

// serveLink serves the session over its WebSocket link until that, or the
// session, ends. A goroutine serves each direction.
func (s *Session) serveLink(l transport.Link, att *pump.Attachment, first []byte) {
	s.srv.opts.Logger.Debug("holdfast: link attached", "session", s.id, "attachment", att.Number())
	var wg sync.WaitGroup
	stop, read, wrote := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	wg.Go(func() {
		err := att.Receive(first)
		if err == nil {
			err = att.Read(l)
		}
		read <- err
		readOn(l)
	})
	wg.Go(func() {
		defer close(wrote)
		wrote <- att.Write(l, stop)
	})
	end := s.supervise(l, att, read, wrote)

	stuck := time.AfterFunc(closeTimeout, l.Abort)
	if end.code == 0 {
		l.Abort()
	}
	close(stop)
	for range wrote {
	}
	if end.last {
		if frames := att.Next(nil, answerRoom); len(frames) > 0 {
			_, _ = l.Write(batch(frames)) // a client that misses it asks again
		}
		s.completed()
	}
	s.detach(att, end.why)
	if end.f != nil {
		_, _ = l.Write(batch(end.f.frame()))
	}
	stuck.Stop()
	if end.code != 0 {
		closeLink(l, end.code)
	}
	l.Abort()
	wg.Wait()
	s.completed() // what has been acknowledged by this link, after it was replaced
}

// supervise watches a link and the session that it carries.
func (s *Session) supervise(l transport.Link, att *pump.Attachment, read, wrote <-chan error) linkEnd {
	keepalive := s.srv.opts.Keepalive
	life := liveness.Liveness{Interval: keepalive.Interval, Timeout: keepalive.Timeout}
	lifeTimer := newStoppedTimer()
	defer lifeTimer.Stop()
	alive := func() bool {
		verdict, next := life.Check(time.Now(), l.LastRead(), false)
		if verdict == liveness.AskForLife {
			s.out.RequestPing()
		}
		if next > 0 {
			lifeTimer.Reset(next)
		}
		return verdict != liveness.Dead
	}
	alive()
	age := newStoppedTimer()
	defer age.Stop()
	if s.srv.opts.MaxLinkAge > 0 {
		age.Reset(s.srv.opts.MaxLinkAge)
	}
	old := false
	peerClosed := s.end.PeerClosed()
	for {
		select {
		case err := <-read:
			s.received(err)
			return s.readFailure(err)
		case err := <-wrote:
			if isClosed(att.Gone()) {
				return s.goneLink()
			}
			return linkEnd{why: cause(err, read)}
		case <-att.Gone():
			return s.goneLink()
		case <-peerClosed:
			peerClosed = nil
			s.received(nil)
		case <-s.end.Done():
			return linkEnd{last: true, code: uint16(holdfast.StatusNormalClosure)}
		case <-lifeTimer.C:
			if !alive() {
				return linkEnd{why: holdfast.ErrNoPong}
			}
		case <-age.C:
			if old {
				return linkEnd{code: uint16(holdfast.StatusGoingAway), why: errOld}
			}
			old = true
			att.GoAway(wire.GoAwayReauthorize)
			age.Reset(replaceTimeout)
		}
	}
}

// goneLink ends a link that has been replaced, or whose session has ended.
func (s *Session) goneLink() linkEnd {
	return linkEnd{f: s.replaced(), code: uint16(holdfast.StatusNormalClosure)}
}

// readFailure ends a link for what reading it has come to.
func (s *Session) readFailure(err error) linkEnd {
	var v *session.Violation
	switch {
	case errors.As(err, &v), errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrShort):
		f := s.faulty(err)
		return linkEnd{f: f, code: cmp.Or(f.reject.Code, uint16(holdfast.StatusNormalClosure)), why: err}
	}
	return linkEnd{why: err} // the link has failed, or a frame is missing: the next link has it all
}

// detach leaves the session without this link, unless it has another one.
func (s *Session) detach(att *pump.Attachment, why error) {
	att.Detach()
	if s.completed() { // the client did not wait for the last acknowledgement
		return
	}
	now := time.Now()
	s.mu.Lock()
	if s.place.att == att && s.place.linked {
		s.place.linked, s.place.since, s.place.grace = false, now, 0
		s.place.lost = true
		if !s.ended {
			s.obs.lost(closeError(why), now)
		}
	}
	s.mu.Unlock()
	s.srv.opts.Logger.Debug("holdfast: link detached", "session", s.id, "attachment", att.Number())
	if s.srv.isClosing() {
		s.expire(now, true)
	}
}

func newStoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// readOn reads until the link ends, as its Close needs it.
func readOn(l transport.Link) {
	var buf []byte
	for {
		_, b, err := l.Read(buf[:0])
		if err != nil {
			return
		}
		buf = b
	}
}

// closeUnread closes a link that nobody reads.
func closeUnread(l transport.Link, code uint16) {
	var wg sync.WaitGroup
	wg.Go(func() { readOn(l) })
	closeLink(l, code)
	wg.Wait()
}

func closeLink(l transport.Link, code uint16) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = l.Close(ctx, code, "")
}
