// Package debugpage is a web page that shows every Conn and Session of the
// process, and what has happened to each.
//
// Access is the mounting program's to guard: the page shows endpoints, addresses,
// close reasons, error texts and traffic counts of everybody that the process is
// connected with, to whoever may fetch it. Serve it on an address that is not
// public, or behind the program's own authentication:
//
//	mux.Handle("/debug/holdfast", requireAdmin(debugpage.Handler(nil)))
//
// It is like net/http/pprof, but importing it has no effect: nothing is served or
// recorded before Handler is called. The path is yours, with a slash at its end or
// without. All links of the page are queries of its own path; what comes behind
// a path that ends with a slash is the page too.
//
// # What it shows
//
// A table of all that live: state, transport, endpoint without secrets, round
// trip and the last 60 of them, send buffer, counts, age and last error; and
// below it the 50 that ended last. Each has a page with a picture of its last 200
// events: states and transports as bands over time, events as marks, and the same
// as a table. Words filter, with a state, a transport and a kind; any column
// sorts. The page refreshes by itself, which can be turned off. It works without
// JavaScript, loads nothing from elsewhere, and forbids with its
// Content-Security-Policy what it does not need. It changes nothing, and answers
// GET and HEAD only.
//
// Events and round trips are recorded from the first call of Handler on, in
// bounded memory: 50,000 events and 50,000 members of the process at most, less
// than 64 MiB; 1,000 quiet connections take less than 1 MiB. Beyond it the events
// are forgotten of whoever has been quiet for longest. What an ended Conn or Session
// has left is forgotten when 50 others have ended.
//
// # JSON
//
// The same URL answers with a Report as JSON to a request that accepts
// application/json rather than text/html, or that has format=json in its query.
// The other fields of the query are those of the page:
//
//	id         one Member with its Events, also if it has ended; alone
//	q          words that a Member's texts contain, all of them, in any case
//	state      a holdfast.State, or "not-connected"
//	transport  "websocket", "longpoll", "plainpoll", ...; "none": between links
//	kind       "conn" or "session"
//	sort       "state" (trouble first; the default), "id", "kind", "transport", "endpoint",
//	           "rtt", "queue", "sent", "received", "connects", "age", "error"; with "-" before it downwards
//	page, per  the page, from 1, and how many Members it has: 100, 1,000 at most
//
// A value that cannot be is answered with 400 and names the field.
package debugpage

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// Options configure the page. The zero value, and nil, mean the defaults. Handler
// copies them.
type Options struct {
	// Title heads the page, so that processes are told apart: "Holdfast" by default.
	Title string
	// Refresh is how often the page refreshes by itself, in whole seconds: 5 s by
	// default. A negative one is never.
	Refresh time.Duration
	// ShowPrincipals shows whose each session is. That is what the server's
	// Authenticate returned: personal data, as a rule, and it must not be a
	// credential then.
	ShowPrincipals bool
}

const defaultRefresh = 5 * time.Second

// handler is one page.
type handler struct {
	opts Options
	rec  *recorder
}

// Handler returns the page. The first call begins the recording of events, for
// the rest of the process's life. It panics with a *holdfast.OptionError if
// Refresh is positive and under a second.
func Handler(opts *Options) http.Handler { return newHandler(opts, recording()) }

// recording is the process's recorder.
var recording = sync.OnceValue(func() *recorder {
	r := newRecorder()
	r.start()
	return r
})

func newHandler(opts *Options, rec *recorder) *handler {
	h := &handler{rec: rec}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.Title == "" {
		h.opts.Title = "Holdfast"
	}
	switch r := h.opts.Refresh; {
	case r == 0:
		h.opts.Refresh = defaultRefresh
	case r > 0 && r < time.Second:
		panic(&holdfast.OptionError{Field: "Refresh", Err: fmt.Errorf("%v is less than a second", r)})
	}
	return h
}

// policy allows what the page has: its own style sheet, script and icon, the
// script's requests, and forms that ask for the page.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		answer(w, r, http.StatusMethodNotAllowed, textType, []byte("the page is for GET and HEAD\n"))
		return
	}
	values := r.URL.Query()
	if name := values.Get("asset"); name != "" {
		serveAsset(w, r, name)
		return
	}
	head.Set("Vary", "Accept")
	v, err := parseView(values, h.opts.Refresh)
	if err != nil {
		answer(w, r, http.StatusBadRequest, textType, []byte(err.Error()+"\n"))
		return
	}
	asJSON := v.format == "json" || v.format == "" && prefersJSON(r.Header["Accept"])
	switch now := time.Now(); {
	case v.id != 0:
		h.serveMember(w, r, v, now, asJSON)
	case asJSON:
		answerJSON(w, r, http.StatusOK, h.report(v, now))
	default:
		page := pages.Get().(*page)
		page.list(h, v, h.gather(v), now)
		answer(w, r, http.StatusOK, htmlType, page.b)
		page.free()
	}
}

func (h *handler) serveMember(w http.ResponseWriter, r *http.Request, v *view, now time.Time, asJSON bool) {
	d, ok := h.find(v.id)
	status := http.StatusOK
	if !ok {
		status = http.StatusNotFound
	}
	switch {
	case asJSON && ok:
		answerJSON(w, r, status, h.memberReport(d, now))
	case asJSON:
		answer(w, r, status, textType, []byte(unknownMember(v.id)+"\n"))
	default:
		page := pages.Get().(*page)
		if ok {
			page.detail(h, v, d, now)
		} else {
			page.unknown(h, v)
		}
		answer(w, r, status, htmlType, page.b)
		page.free()
	}
}

func unknownMember(id uint64) string {
	return fmt.Sprintf("id: %d is nobody's, or of one that has ended and is forgotten", id)
}

const (
	htmlType = "text/html; charset=utf-8"
	jsonType = "application/json"
	textType = "text/plain; charset=utf-8"
)

// answer writes a whole answer.
func answer(w http.ResponseWriter, r *http.Request, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone has no use for it
	}
}

// prefersJSON says that Accept values JSON higher than HTML (RFC 9110, section
// 12.5.1), or as high and before it.
func prefersJSON(accept []string) bool {
	var json, html float64
	first := ""
	for _, header := range accept {
		for part := range strings.SplitSeq(header, ",") {
			name, params, _ := strings.Cut(part, ";")
			q := quality(params)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case jsonType:
				json = q
			case "text/html":
				html = q
			default:
				continue
			}
			if first == "" {
				first = strings.ToLower(strings.TrimSpace(name))
			}
		}
	}
	return json > html || json == html && json > 0 && first == jsonType
}

// quality is the q of a media range's parameters, 1 by default.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}
