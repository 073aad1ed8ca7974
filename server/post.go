package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// servePost answers a request of a client that polls.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request) *refusal {
	if f := checkType(w, r); f != nil {
		return f
	}
	op := r.Header.Get(headerOp)
	switch op {
	case "open", "poll", "send", "close":
	default:
		return refuse(http.StatusBadRequest, headerOp+" is none of open, poll, send and close")
	}
	principal, f := s.authenticate(r)
	if f != nil {
		return f
	}
	if op == "open" {
		return s.serveOpen(w, r, principal)
	}
	n, f := s.find(r.Header.Get(headerSession), principal)
	if op == "close" {
		return s.serveClose(w, n, f)
	}
	if f != nil {
		return f
	}
	attachment, ok := parseNumber(r.Header.Get(headerAttachment))
	if !ok || attachment == 0 || attachment > wire.MaxSeq {
		return refuse(http.StatusBadRequest, headerAttachment+" is malformed")
	}
	if op == "poll" {
		return n.servePoll(w, r, attachment)
	}
	return n.serveSend(w, r, attachment)
}

// serveOpen answers HELLO with WELCOME.
func (s *Server) serveOpen(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	body, f := readBody(w, r)
	if f != nil {
		return f
	}
	hello, f := parseHello(body)
	if f != nil {
		return f
	}
	n, f := s.welcome(r, hello, principal, s.chooseSubprotocol(tokens(r.Header[headerSubprotocol])))
	if f != nil {
		return f
	}
	if n.subprotocol != "" {
		w.Header().Set(headerSubprotocol, n.subprotocol)
	}
	answerFrames(w, n.welcome())
	return nil
}

// parseHello reads the one frame that opens a link.
func parseHello(b []byte) (p wire.HelloPayload, f *refusal) {
	frame, size, err := wire.Parse(b)
	if err == nil && (frame.Type != wire.Hello || size != len(b)) {
		return p, refuse(http.StatusBadRequest, "HELLO alone opens a link")
	}
	if err == nil {
		p, err = wire.ParseHello(frame.Payload)
	}
	if err != nil {
		return p, refuse(http.StatusBadRequest, "HELLO is malformed")
	}
	return p, nil
}

// serveClose ends a session at once. It does no harm to ask again.
func (s *Server) serveClose(w http.ResponseWriter, n *Session, f *refusal) *refusal {
	if f != nil && (f.status != http.StatusGone || f.reject.RecvNext == 0) {
		return f
	}
	if n != nil {
		n.abort(errAborted)
	}
	answerFrames(w, nil)
	return nil
}

// serveSend takes frames, as far as they fit, and acknowledges them at once.
func (s *Session) serveSend(w http.ResponseWriter, r *http.Request, attachment uint64) *refusal {
	body, f := readBody(w, r)
	if f != nil {
		return f
	}
	att, f := s.reach(attachment, body)
	if f != nil {
		return f
	}
	err := att.Receive(body)
	ack := att.Poll() // before the session ends with what was received
	s.received(err)
	ended := s.completed()
	switch {
	case err != nil && !held(err):
		return s.faulty(err)
	case isClosed(att.Gone()) && !ended:
		return s.replaced()
	}
	answerFrames(w, ack)
	return nil
}

// chooseSubprotocol picks the first of the server's that is offered.
func (s *Server) chooseSubprotocol(offered []string) string {
	for _, own := range s.opts.Subprotocols {
		for _, o := range offered {
			if o == own {
				return own
			}
		}
	}
	return ""
}

// tokens splits the values of a header that is a comma list.
func tokens(values []string) (list []string) {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t != "" {
				list = append(list, t)
			}
		}
	}
	return list
}

// parseNumber reads a number in its shortest decimal form.
func parseNumber(v string) (uint64, bool) {
	n, err := strconv.ParseUint(v, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == v
}

const (
	defaultHang = 20 * time.Second
	maxHang     = time.Minute
)

// parseHang reads how long a poll may hang, in milliseconds.
func parseHang(v string) (time.Duration, bool) {
	if v == "" {
		return defaultHang, true
	}
	ms, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(ms, uint64(maxHang.Milliseconds()))) * time.Millisecond, true
}
