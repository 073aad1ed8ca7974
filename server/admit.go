package server

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// retrySoon is Retry-After where others have to go first.
const retrySoon = 5 * time.Second

// welcome returns the session that a HELLO asks for, or opens it: one secret
// makes one session, however often and by whichever transport it is asked for.
func (s *Server) welcome(r *http.Request, hello wire.HelloPayload, principal, subprotocol string) (*Session, *refusal) {
	secret := hashSecret(hello.Secret[:])
	if hello.SID != "" {
		if f := s.checkNode(hello.SID); f != nil {
			return nil, f
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sessions.bySID[hello.SID].open(secret, principal)
	}
	s.mu.Lock()
	rec := s.sessions.byHash[secret]
	s.mu.Unlock()
	if rec != nil {
		return s.again(rec, secret, principal)
	}
	n := s.newSession(r, principal, subprotocol)
	n.maxMessage = clampInt(hello.MaxMessage)
	n.record = &record{sid: s.node + "." + randomName(16), secret: secret, principal: principal, session: n}
	n.id = n.record.sid
	return s.admit(n)
}

// again is a HELLO without the session's id, whose secret is known.
func (s *Server) again(rec *record, secret hash, principal string) (*Session, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rec.open(secret, principal)
}

func clampInt(v uint64) int { return int(min(v, uint64(^uint(0)>>1))) }

// admit enters a new session if the limits let it; another one with the same
// secret may have been faster.
func (s *Server) admit(n *Session) (*Session, *refusal) {
	if f := s.overBudget(); f != nil {
		return nil, f
	}
	for first := true; ; first = false {
		same, rivals, f := s.tryAdmit(n, first)
		switch {
		case f != nil:
			return nil, f
		case same != nil:
			return s.again(same, n.record.secret, n.principal)
		case rivals == nil:
			s.opts.Logger.Debug("holdfast: session opened", "session", n.id)
			return n, nil
		case !evictOldest(rivals):
			return nil, &refusal{status: http.StatusTooManyRequests, retryAfter: retrySoon, text: "this principal has too many sessions"}
		}
	}
}

// tryAdmit enters a session, or returns the record that has its secret, or the
// principal's sessions of which one has to give way.
func (s *Server) tryAdmit(n *Session, first bool) (same *record, rivals []*Session, f *refusal) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.record != nil {
		if rec := s.sessions.byHash[n.record.secret]; rec != nil {
			return rec, nil, nil
		}
	}
	if s.closing {
		return nil, nil, shuttingDown()
	}
	if first {
		if wait := s.opens.take(n.addr, now); wait > 0 {
			return nil, nil, &refusal{status: http.StatusTooManyRequests, retryAfter: wait, text: "too many sessions are opened from this address"}
		}
	}
	if limit := s.opts.MaxSessions; limit > 0 && len(s.sessions.all) >= limit {
		return nil, nil, &refusal{status: http.StatusServiceUnavailable, retryAfter: retrySoon, text: "the server is full"}
	}
	if limit := s.opts.MaxSessionsPerAddress; limit > 0 && n.addr != "" && s.sessions.perAddress[n.addr] >= limit {
		return nil, nil, &refusal{status: http.StatusTooManyRequests, retryAfter: retrySoon, text: "this address has too many sessions"}
	}
	own := s.sessions.perPrincipal[n.principal]
	if limit := s.opts.MaxSessionsPerPrincipal; limit > 0 && len(own) >= limit {
		return nil, slices.Collect(maps.Keys(own)), nil
	}
	s.sessions.add(n)
	if n.record != nil {
		s.reaper.watch(n, now.Add(attachTimeout))
	}
	s.arm(now)
	return nil, nil, nil
}

func shuttingDown() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, retryAfter: retrySoon, text: "the server shuts down"}
}
