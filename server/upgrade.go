package server

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// helloTimeout is how long a client that cannot set headers may take for HELLO.
const helloTimeout = 10 * time.Second

// serveGet answers a WebSocket handshake and serves its link.
func (s *Server) serveGet(w http.ResponseWriter, r *http.Request) *refusal {
	if f := checkUpgrade(w, r); f != nil {
		return f
	}
	principal, f := s.authenticate(r)
	if f != nil {
		return f
	}
	offered := tokens(r.Header["Sec-Websocket-Protocol"])
	switch hello := r.Header.Get(headerHello); {
	case hello != "":
		return s.serveHello(w, r, principal, offered, hello)
	case slices.Contains(offered, wslink.SessionSubprotocol):
		return s.serveLateHello(w, r, principal)
	}
	return s.servePlain(w, r, principal, s.chooseSubprotocol(offered))
}

// checkUpgrade refuses what is no handshake. nginx and squid that are not set up
// for WebSocket forward its key, but not the wish to upgrade.
func checkUpgrade(w http.ResponseWriter, r *http.Request) *refusal {
	if hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket") {
		return nil
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	f := refuse(http.StatusUpgradeRequired, "this is a WebSocket endpoint")
	if r.Header.Get("Sec-Websocket-Key") != "" {
		f.diag = "upgrade-stripped"
	}
	return f
}

func hasToken(values []string, want string) bool {
	return slices.ContainsFunc(tokens(values), func(t string) bool { return strings.EqualFold(t, want) })
}

// serveHello serves a link whose handshake brought HELLO. What refuses the
// session is told after the 101; what refuses the request instead of it.
func (s *Server) serveHello(w http.ResponseWriter, r *http.Request, principal string, offered []string, encoded string) *refusal {
	var n *Session
	hello, f := decodeHello(encoded)
	if f == nil {
		n, f = s.welcome(r, hello, principal, s.chooseSubprotocol(offered))
	}
	if f != nil && !f.hasFrame() {
		return f
	}
	var chosen []string
	if n != nil && n.subprotocol != "" {
		chosen = []string{n.subprotocol} // also if the session was opened otherwise
	}
	if f != nil && f.diag != "" {
		w.Header().Set(headerDiag, f.diag)
	}
	l := s.accept(w, r, &wslink.AcceptOptions{Subprotocols: chosen, Session: true})
	if l == nil {
		return nil
	}
	defer s.release(l)
	if f != nil {
		reject(l, f)
		return nil
	}
	n.serveCandidate(l)
	return nil
}

func decodeHello(encoded string) (p wire.HelloPayload, f *refusal) {
	b, err := decodeBase64(encoded)
	if err != nil {
		return p, refuse(http.StatusBadRequest, "HELLO is malformed")
	}
	return parseHello(b)
}

// serveLateHello serves a link whose first message is HELLO.
func (s *Server) serveLateHello(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	l := s.accept(w, r, &wslink.AcceptOptions{Subprotocols: []string{wslink.SessionSubprotocol}, Session: true})
	if l == nil {
		return nil
	}
	defer s.release(l)
	late := time.AfterFunc(helloTimeout, l.Abort)
	_, b, err := l.Read(nil)
	if !late.Stop() || err != nil {
		return nil
	}
	hello, f := parseHello(b)
	var n *Session
	if f == nil {
		n, f = s.welcome(r, hello, principal, "")
	}
	if f != nil {
		reject(l, f)
		return nil
	}
	n.serveCandidate(l)
	return nil
}

// accept finishes the handshake; nil if it failed, which has been answered.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, o *wslink.AcceptOptions) transport.Link {
	o.SkipOrigin, o.WriteTimeout = true, writeTimeout
	l, err := wslink.Accept(w, r, o)
	if err != nil {
		s.opts.Logger.Debug("holdfast: handshake failed", "error", err)
		return nil
	}
	s.mu.Lock()
	stopped := s.stopped
	s.links[l] = struct{}{}
	s.mu.Unlock()
	if stopped {
		l.Abort()
	}
	return l
}

// release frees a link.
func (s *Server) release(l transport.Link) {
	l.Abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}

// reject tells the client why, and closes the link. Nobody reads it.
func reject(l transport.Link, f *refusal) {
	_, err := l.Write(batch(f.frame()))
	if err != nil {
		l.Abort()
		return
	}
	closeUnread(l, 1000)
}

func batch(frames []byte) []transport.Message {
	return []transport.Message{{Type: transport.Binary, Data: frames}}
}
