package server

import (
	"net/http"
	"strings"
)

// What pages of other origins may send and see (the Fetch standard's CORS
// protocol).
var (
	corsRequestHeaders = strings.Join([]string{
		"Authorization", "Content-Type", "Idempotency-Key",
		headerAttachment, headerHang, headerOp, headerPoll, headerSession, headerSubprotocol,
	}, ", ")
	corsAnswerHeaders = strings.Join([]string{
		headerAttachment, headerDiag, headerSubprotocol, headerVersion, "Retry-After",
	}, ", ")
)

// corsMaxAge is how many seconds a browser may remember the answer to OPTIONS;
// browsers take two hours at most.
const corsMaxAge = "7200"

const allowedMethods = "GET, POST, OPTIONS"

// allowOrigin lets the page that asks see the answer; its origin is allowed.
func allowOrigin(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", corsAnswerHeaders)
	}
}

// serveOptions answers a preflight, and OPTIONS as such.
func serveOptions(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(headerVersion, versionNumber)
	h.Set("Allow", allowedMethods)
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Del("Access-Control-Expose-Headers")
		h.Set("Access-Control-Allow-Methods", "POST")
		h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}
