package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/redact"
	members "github.com/holdfast-ws/holdfast/internal/registry"
)

// errPollLate is how a client that polls is lost.
var errPollLate = &holdfast.CloseError{Code: holdfast.StatusAbnormalClosure, Err: errors.New("the next poll has not come in time")}

// Stats returns a snapshot of the session, in the terms of a Conn. State is
// StateConnecting before the first link, StateConnected with one, StateWaiting
// between links, StateClosing from the begin of a close by either side on, and
// StateClosed. Transport and ConnectedSince are those of the link; a client that
// polls has one until its next poll is Keepalive.Timeout late. Endpoint is the URL
// that the session was opened at as this server saw it (behind a proxy its host or
// scheme may be others), without query values. RTT is that of the last ping over
// WebSocket: polling measures none.
//
// Connects counts all links, those too that took over from one that still was
// there, and the returns of a client that polls; Attempts and
// ConsecutiveFailures are 0. Epoch is the Message.Epoch of what comes next. Unknown counts
// messages of a plain session that its link may have lost. LastError is how the
// last link was lost, or the session if that was not by this side's close. The
// counts and queues are as Stats says of a Conn's session, and 0 before the first
// link.
func (s *Session) Stats() holdfast.Stats {
	now := time.Now()
	s.mu.Lock()
	s.noteAway(now)
	out, in := s.out, s.in
	s.mu.Unlock()
	limits := s.srv.opts.SendBuffer
	st := holdfast.Stats{Endpoint: endpoint(s.req), QueueLimit: limits.MaxMessages, QueueBytesLimit: int64(limits.MaxBytes)}
	o := &s.obs
	o.mu.Lock()
	st.State, st.Transport, st.ConnectedSince = o.state, o.transport, o.since
	st.Epoch, st.RTT, st.Connects, st.LastError = o.epoch, o.rtt, o.links, o.lastErr
	o.mu.Unlock()
	if out == nil {
		return st
	}
	sent, received := out.Stats(), in.Stats()
	st.MessagesSent, st.BytesSent, st.Dropped, st.Unknown = sent.Sent, sent.SentBytes, sent.Dropped, sent.Unknown
	st.Queued, st.QueuedBytes, st.Unacknowledged = sent.Queued, sent.QueuedBytes, sent.Unacknowledged
	st.MessagesReceived, st.BytesReceived = received.Received, received.ReceivedBytes
	st.ReceiveQueued, st.ReceiveQueuedBytes = received.Queued, received.QueuedBytes
	return st
}

// endpoint is the URL of the request that opened a session.
func endpoint(r *http.Request) string {
	host := r.Host[strings.LastIndexByte(r.Host, '@')+1:]
	u := url.URL{Scheme: "ws", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if r.Method == http.MethodPost {
		u.Scheme = "http"
	}
	if r.TLS != nil {
		u.Scheme += "s"
	}
	return redact.URL(&u)
}

// noteAway notices that a client that polls has not come back. The session's lock
// is held.
func (s *Session) noteAway(now time.Time) {
	if p := &s.place; !s.ended && p.att != nil && !p.lost && !p.attached(now) {
		p.lost = true
		s.obs.lost(errPollLate, p.idleSince())
	}
}

// watchAway notices it in time, where somebody watches. The session's lock is
// held.
func (s *Session) watchAway() {
	switch p := &s.place; {
	case !members.Watched():
	case p.away == nil:
		p.away = time.AfterFunc(p.grace, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.noteAway(time.Now())
		})
	default:
		p.away.Reset(p.grace)
	}
}
