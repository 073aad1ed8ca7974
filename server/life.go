package server

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

const (
	// attachTimeout is how long a session waits for its first ATTACH, and a
	// candidate link for its own.
	attachTimeout = 15 * time.Second
	// receiveBuffer bounds what waits for Receive, in bytes, and with it the window.
	receiveBuffer = 1 << 20
)

// newSession makes a session without queues: those come with its first link.
func (s *Server) newSession(r *http.Request, principal, subprotocol string) *Session {
	parent := context.WithoutCancel(r.Context())
	n := &Session{srv: s, principal: principal, subprotocol: subprotocol, addr: s.clientAddr(r),
		done: make(chan struct{}), dueIndex: -1, maxMessage: math.MaxInt, place: place{since: time.Now()}}
	n.obs.session, n.obs.epoch = n, 1
	n.ctx, n.cancel = context.WithCancelCause(parent)
	n.req = r.WithContext(parent)
	n.req.Body, n.req.Header = http.NoBody, maps.Clone(r.Header)
	for _, secret := range []string{headerHello, headerSession} {
		n.req.Header.Del(secret)
	}
	return n
}

// makeQueues readies the session for its first link.
func (s *Session) makeQueues() {
	b := s.srv.opts.SendBuffer
	s.out = outbox.New(outbox.Limits{
		MaxBytes: b.MaxBytes, MaxMessages: b.MaxMessages, MaxAge: b.MaxAge, WhenFull: outbox.WhenFull(b.WhenFull),
	}, s.dropped)
	s.in = inbox.New(receiveBuffer, func() {
		if s.plain != nil {
			s.out.FailWaiters(holdfast.ErrReceiveBufferFull)
		}
	})
}

// dropped hears of messages that gave way in the send buffer.
func (s *Session) dropped(n int, err error) {
	if s.end != nil {
		s.end.Dropped()
	}
	s.obs.dropped(n, err)
	s.srv.opts.Logger.Debug("holdfast: messages dropped", "session", s.id, "count", n, "error", err)
}

// begin starts the handler.
func (s *Session) begin() bool {
	if !s.srv.enter() {
		return false
	}
	go s.run()
	return true
}

// welcome is the answer to HELLO.
func (s *Session) welcome() []byte {
	p := wire.WelcomePayload{SID: s.id, RecvNext: 1, Window: receiveBuffer,
		MaxMessage: uint64(s.srv.opts.MaxMessageSize), ResumeTTL: s.srv.opts.ResumeTTL}
	s.mu.Lock()
	if s.end != nil {
		p.RecvNext, p.Window = s.end.RecvNext()
	} else {
		s.place.since = time.Now()
	}
	s.mu.Unlock()
	return wire.Append(nil, wire.Frame{Type: wire.Welcome, Payload: p.Append(nil)})
}

// attach makes a link the session's, and with the first one begins the handler.
// The session's lock is held.
func (s *Session) attach(p wire.AttachPayload, transport string) (*pump.Attachment, *refusal) {
	first := s.end == nil
	if first {
		if s.srv.isClosing() {
			return nil, shuttingDown()
		}
		s.makeQueues()
		s.end = pump.New(pump.Config{
			Session: session.Config{MaxMessage: s.srv.opts.MaxMessageSize, Window: receiveBuffer},
			Out:     s.out, In: s.in, MaxMessage: s.maxMessage, Epoch: 1,
			OnGap: s.obs.gap, OnPong: s.obs.measured,
		})
		s.end.Flow()
		s.end.RecvNext() // grants the window that WELCOME has told
	}
	att, err := s.end.Attached(p, transport == transportLongPoll)
	switch {
	case errors.Is(err, session.ErrStale):
		return nil, s.stale()
	case err != nil:
		if first {
			s.out, s.in, s.end = nil, nil, nil
		}
		return nil, violated(err)
	}
	now := time.Now()
	s.noteAway(now)
	kind := s.arrival(transport)
	s.place.supersede(nil)
	s.place.att, s.place.transport, s.place.linked, s.place.lost = att, transport, transport == transportWebSocket, false
	s.place.k, s.place.since, s.place.grace = 0, now, 0
	if transport == transportLongPoll {
		s.place.grace = defaultHang + s.srv.opts.Keepalive.Timeout
		s.watchAway()
	}
	s.obs.linked(kind, !first, transport, now)
	if first && !s.begin() {
		return nil, shuttingDown()
	}
	return att, nil
}

// arrival is what a link is that becomes the session's: of those that take over
// from one that is still there some change the transport. The session's lock is
// held.
func (s *Session) arrival(transport string) holdfast.EventKind {
	switch p := &s.place; {
	case p.att == nil || p.lost || p.transport == transport:
		return holdfast.EventConnected
	case transport == transportWebSocket:
		return holdfast.EventUpgraded
	}
	return holdfast.EventFellBack
}

// stale is the answer to an attachment that is not the present one. The
// session's lock is held.
func (s *Session) stale() *refusal {
	return &refusal{status: http.StatusConflict, text: "another attachment is the session's link",
		reject: wire.RejectPayload{Attachment: s.place.number()}}
}

// violated is the answer to frames that break the protocol.
func violated(err error) *refusal {
	f := refuse(http.StatusBadRequest, "the frames break the protocol")
	f.reject.Code = uint16(holdfast.StatusProtocolError)
	var v *session.Violation
	if errors.As(err, &v) {
		f.reject.Code = v.Code
	}
	return f
}

// received follows each batch of frames: err is what the session said to it. It
// ends the session where no later link could do better.
func (s *Session) received(err error) {
	var v *session.Violation
	if errors.As(err, &v) && v.Code == uint16(holdfast.StatusMessageTooBig) {
		s.srv.opts.Logger.Warn("holdfast: a message over MaxMessageSize", "session", s.id)
		s.finish(tombstone{code: v.Code}, &holdfast.CloseError{Code: holdfast.StatusMessageTooBig, Err: holdfast.ErrMessageTooBig})
		return
	}
	if isClosed(s.end.PeerClosed()) {
		s.peerClosed()
	}
}

// unattached says that the session has no link, and since when.
func (s *Session) unattached(now time.Time) (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.plain != nil || s.place.attached(now) {
		return time.Time{}, false
	}
	return s.place.idleSince(), true
}

// look ends the session if its time is over, and says when to look again. A link
// that is lost after that gives it ResumeTTL, which is not earlier.
func (s *Session) look(now time.Time) time.Time {
	if s.expire(now, s.srv.isClosing()) {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteAway(now)
	at := now.Add(s.srv.opts.ResumeTTL)
	if !s.place.attached(now) {
		at = s.deadline()
	}
	if !s.closing.IsZero() {
		if end := s.closing.Add(s.srv.opts.ResumeTTL); end.Before(at) {
			at = end
		}
	}
	return at
}

// deadline is when a session without a link ends. The session's lock is held.
func (s *Session) deadline() time.Time {
	if s.place.att == nil {
		return s.place.since.Add(attachTimeout)
	}
	return s.place.idleSince().Add(s.srv.opts.ResumeTTL)
}

// expire ends the session if it has had no link for its time, or for any time
// if it has to give way, or if it has been closing for its time.
func (s *Session) expire(now time.Time, giveWay bool) bool {
	s.mu.Lock()
	closing := !s.closing.IsZero()
	over := closing && !now.Before(s.closing.Add(s.srv.opts.ResumeTTL))
	if !over && !s.place.attached(now) {
		over = giveWay || !now.Before(s.deadline())
	}
	if s.ended || s.plain != nil || !over {
		s.mu.Unlock()
		return false
	}
	switch {
	case closing:
		return s.finishLocked(s.grave, s.closeErr)
	case giveWay:
		return s.finishLocked(tombstone{reason: errEvicted.Err.Error()}, errEvicted)
	}
	return s.finishLocked(tombstone{reason: errExpired.Err.Error()}, errExpired)
}

// abort ends the session at once.
func (s *Session) abort(err error) {
	if s.plain != nil {
		s.plain.abort()
		return
	}
	s.mu.Lock()
	s.finishLocked(s.grave, err)
}

// finish ends the session: the handler's calls return err from now on, and a
// tombstone answers the client.
func (s *Session) finish(t tombstone, err error) bool {
	s.mu.Lock()
	return s.finishLocked(t, err)
}

// finishLocked is finish with the session's lock, which it releases.
func (s *Session) finishLocked(t tombstone, err error) bool {
	if s.ended {
		s.mu.Unlock()
		return false
	}
	s.noteAway(time.Now())
	if s.place.away != nil {
		s.place.away.Stop()
	}
	s.ended = true
	att, candidates := s.place.att, s.place.candidates
	s.place.candidates = nil
	s.mu.Unlock()

	for _, l := range candidates {
		l.Abort()
	}
	if att != nil {
		att.Detach()
		att.Next(nil, 0) // takes nothing, but waits for whoever was taking
		t.recvNext, _ = s.end.RecvNext()
		s.left = s.out.Close(err)
		s.in.Close(err)
	}
	s.final, s.why = t, err
	s.cancel(err)
	s.obs.close(err)
	s.srv.bury(s, t)
	close(s.done)
	s.srv.opts.Logger.Debug("holdfast: session ended", "session", s.id, "reason", err)
	return true
}

// held is how many bytes the session's buffers hold.
func (s *Session) held() int64 {
	s.mu.Lock()
	out, in := s.out, s.in
	s.mu.Unlock()
	if out == nil {
		return 0
	}
	st := out.Stats()
	n := st.QueuedBytes + int64(in.Held())
	if st.Sent > 0 { // of what is not acknowledged only the count is known
		n += min(int64(st.Unacknowledged)*int64(st.SentBytes/st.Sent), int64(s.srv.opts.SendBuffer.MaxBytes))
	}
	return n
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
