package server

import (
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast/internal/deque"
	members "github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

// maxTombstones bounds the ended sessions that are remembered; beyond it the
// oldest is forgotten before its time.
const maxTombstones = 1 << 16

// registry knows the sessions, and those that have ended. The server's lock
// guards it.
type registry struct {
	bySID  map[string]*record
	byHash map[hash]*record
	all    map[*Session]struct{} // that have not ended, plain ones too
	graves deque.Deque[*record]  // ended, the oldest first

	perAddress   map[string]int
	perPrincipal map[string]map[*Session]struct{}
}

// record is what is known of a session, also when it has ended.
type record struct {
	sid       string
	secret    hash
	principal string
	session   *Session  // nil when it has ended
	grave     tombstone // then
	until     time.Time // that is remembered
}

// tombstone says how a session ended.
type tombstone struct {
	code     uint16 // 0: without a close
	reason   string
	recvNext uint64
}

func newRegistry() registry {
	return registry{bySID: map[string]*record{}, byHash: map[hash]*record{}, all: map[*Session]struct{}{},
		perAddress: map[string]int{}, perPrincipal: map[string]map[*Session]struct{}{}}
}

// gone is the answer for a session that is none any more.
func (t tombstone) gone() *refusal {
	return &refusal{status: http.StatusGone, text: "the session has ended",
		reject: wire.RejectPayload{Code: t.code, Reason: t.reason, RecvNext: t.recvNext}}
}

// add enters a session; a plain one has no record.
func (r *registry) add(s *Session) {
	r.all[s] = struct{}{}
	s.obs.member = members.Add(s)
	if s.record != nil {
		r.bySID[s.record.sid] = s.record
		r.byHash[s.record.secret] = s.record
	}
	if s.addr != "" {
		r.perAddress[s.addr]++
	}
	if s.principal != "" {
		if r.perPrincipal[s.principal] == nil {
			r.perPrincipal[s.principal] = map[*Session]struct{}{}
		}
		r.perPrincipal[s.principal][s] = struct{}{}
	}
}

// remove takes a session out, and remembers how it ended if it ever began.
func (r *registry) remove(s *Session, t tombstone, until time.Time) {
	if _, ok := r.all[s]; !ok {
		return
	}
	delete(r.all, s)
	if r.perAddress[s.addr]--; r.perAddress[s.addr] <= 0 {
		delete(r.perAddress, s.addr)
	}
	if own := r.perPrincipal[s.principal]; own != nil {
		if delete(own, s); len(own) == 0 {
			delete(r.perPrincipal, s.principal)
		}
	}
	rec := s.record
	if rec == nil {
		return
	}
	rec.session, rec.grave, rec.until = nil, t, until
	if t.recvNext == 0 { // nothing was ever received or sent
		r.forget(rec)
		return
	}
	r.graves.Push(rec)
	for r.graves.Len() > maxTombstones {
		r.forget(r.graves.Pop())
	}
}

// exhume forgets the graves whose time is over.
func (r *registry) exhume(now time.Time) {
	for r.graves.Len() > 0 && !(*r.graves.At(0)).until.After(now) {
		r.forget(r.graves.Pop())
	}
}

func (r *registry) forget(rec *record) {
	delete(r.bySID, rec.sid)
	if r.byHash[rec.secret] == rec {
		delete(r.byHash, rec.secret)
	}
}

// find returns the session that a request names with its credential.
func (s *Server) find(credential, principal string) (*Session, *refusal) {
	sid, secret, ok := parseCredential(credential)
	if !ok {
		return nil, refuse(http.StatusBadRequest, headerSession+" is malformed")
	}
	if f := s.checkNode(sid); f != nil {
		return nil, f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.bySID[sid].open(secret, principal)
}

// checkNode refuses what another Server has to answer.
func (s *Server) checkNode(sid string) *refusal {
	node, ok := nodeOf(sid)
	switch {
	case !ok:
		return refuse(http.StatusBadRequest, "the session's id is malformed")
	case node != s.node:
		return &refusal{status: http.StatusMisdirectedRequest, diag: "other-node", text: "the session is another server's"}
	}
	return nil
}

// open gives the session to whom it belongs. A nil record is nobody's.
func (rec *record) open(secret hash, principal string) (*Session, *refusal) {
	switch {
	case rec == nil:
		return nil, tombstone{}.gone()
	case !rec.secret.equal(secret) || rec.principal != principal:
		return nil, refuse(http.StatusForbidden, "the session is somebody else's")
	case rec.session == nil:
		return nil, rec.grave.gone()
	}
	return rec.session, nil
}
