package server

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/transport"
)

// Server is an http.Handler for one URL. It answers the handshakes of WebSocket
// clients and the requests of those that poll, and calls a function for each
// session. Shut it down before, or together with, the http.Server: that knows
// nothing of WebSocket connections.
type Server struct {
	handle func(context.Context, *Session) error
	opts   *Options
	node   string // begins each session's id, so that servers know their own

	warnProxy sync.Once
	budget    budget

	mu       sync.Mutex // taken after a session's
	sessions registry
	reaper   reaper
	opens    rate
	links    map[transport.Link]struct{} // every WebSocket link
	active   int                         // requests, handlers, reapers
	closing  bool                        // no new sessions
	stopped  bool                        // nothing at all
	quiet    chan struct{}               // closed when, closing, nothing is active and no session left
}

// New returns a Server. handle is called for each session, in a goroutine of its
// own, when the session's first link is there. Its ctx has the values of the
// request that opened the session, and ends when the session does. When handle
// returns, the session is closed after all that it has sent: nil closes with
// 1000, a *holdfast.CloseError with its code and reason, and any other error, or a
// panic, is logged and closes with 1011. What arrives after that is dropped.
// Until ResumeTTL is over a client that lost its link may still come back for
// what was sent.
//
// New panics with a *holdfast.OptionError if handle is nil, a duration or size
// is negative that must not be, ResumeTTL is over a year, OpenRate is not a
// number, SendBuffer.WhenFull is not one of its values, an origin pattern is
// malformed, or a subprotocol is not a token, stands there twice, or is
// "holdfast.v1".
func New(handle func(ctx context.Context, s *Session) error, opts *Options) *Server {
	if handle == nil {
		panic(errNilHandle)
	}
	o := opts.withDefaults()
	if err := o.validate(); err != nil {
		panic(err)
	}
	return &Server{
		handle: handle, opts: o, node: randomName(8),
		budget: budget{limit: bufferBudget}, sessions: newRegistry(), opens: rate{perSecond: o.OpenRate},
		links: map[transport.Link]struct{}{}, quiet: make(chan struct{}),
	}
}

// ServeHTTP answers one request; that of a WebSocket client for as long as its
// connection lives.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		shuttingDown().write(w)
		return
	}
	defer s.leave()
	f := s.checkRequest(w, r)
	if f == nil {
		switch r.Method {
		case http.MethodPost:
			f = s.servePost(w, r)
		case http.MethodGet:
			f = s.serveGet(w, r)
		case http.MethodOptions:
			serveOptions(w, r)
		}
	}
	if f != nil {
		f.write(w)
	}
}

// checkRequest refuses what nobody is to ask.
func (s *Server) checkRequest(w http.ResponseWriter, r *http.Request) *refusal {
	if !s.originAllowed(r) {
		w.Header().Add("Vary", "Origin")
		return refuse(http.StatusForbidden, "this origin is not allowed")
	}
	allowOrigin(w.Header(), r)
	switch r.Method {
	case http.MethodPost:
		boundBody(w)
	case http.MethodGet, http.MethodOptions:
	default:
		w.Header().Set("Allow", allowedMethods)
		return refuse(http.StatusMethodNotAllowed, "the method is not supported here")
	}
	return nil
}

// authenticate says who makes the request.
func (s *Server) authenticate(r *http.Request) (principal string, f *refusal) {
	if s.opts.Authenticate == nil {
		return "", nil
	}
	principal, err := s.opts.Authenticate(r)
	if err == nil {
		return principal, nil
	}
	switch code(err) {
	case holdfast.StatusForbidden:
		return "", refuse(http.StatusForbidden, "forbidden")
	case holdfast.StatusTryAgainLater:
		return "", &refusal{status: http.StatusServiceUnavailable, retryAfter: retrySoon, text: "try again later"}
	}
	return "", refuse(http.StatusUnauthorized, "unauthorized")
}

// enter counts something that Shutdown waits for; false when it is over.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.active++
	return true
}

// retain is enter for what belongs to a session that has not ended, or to
// something that was counted.
func (s *Server) retain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active++
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.checkQuiet()
}

// checkQuiet notices that Shutdown has nothing to wait for any more.
func (s *Server) checkQuiet() {
	if !s.closing || s.active > 0 || len(s.sessions.all) > 0 {
		return
	}
	s.stopped = true
	s.arm(time.Now())
	select {
	case <-s.quiet:
	default:
		close(s.quiet)
	}
}

// Shutdown closes every session with 1012 (StatusServiceRestart) after all that
// it has sent, opens no new ones (503), and waits until the clients have
// answered and the handlers have returned. Sessions without a link end at once. When
// ctx ends first, everything else does too, without waiting for handlers, and
// the error is ctx's. It is not to be called by a handler.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.checkQuiet()
	all := slices.Collect(maps.Keys(s.sessions.all))
	s.mu.Unlock()
	for _, n := range all {
		n.beginClose(uint16(holdfast.StatusServiceRestart), "", errShutdown)
		n.expire(time.Now(), true)
	}
	select {
	case <-s.quiet:
		return nil
	default:
	}
	select {
	case <-s.quiet:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.stopped = true
	all = slices.Collect(maps.Keys(s.sessions.all))
	links := slices.Collect(maps.Keys(s.links))
	s.arm(time.Now())
	s.mu.Unlock()
	for _, n := range all {
		n.abort(errShutdown)
	}
	for _, l := range links {
		l.Abort()
	}
	return ctx.Err()
}

// bury takes a session that has ended out, and lets its tombstone answer.
func (s *Server) bury(n *Session, t tombstone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.reaper.forget(n)
	s.sessions.remove(n, t, now.Add(s.opts.ResumeTTL))
	s.arm(now)
	s.checkQuiet()
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}
