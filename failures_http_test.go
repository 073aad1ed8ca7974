package holdfast_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// status refuses with a status and header fields, given in turn.
func status(code int, fields ...string) func(*testing.T, *holdfast.Options) string {
	h := http.Header{"Set-Cookie": {"session=" + planted}, "Www-Authenticate": {`Basic realm="` + planted + `"`}}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return answering(holdfasttest.Refuse{Status: code, Header: h, Body: "you asked with " + planted})
}

// authorized is a row's make with Authorize.
func authorized(makeIt func(*testing.T, *holdfast.Options) string) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, o *holdfast.Options) string {
		o.Authorize = func(_ context.Context, r *http.Request, _ error) error {
			r.Header.Set("Authorization", "Bearer "+planted)
			return nil
		}
		return makeIt(t, o)
	}
}

func TestFailuresHTTPStatus(t *testing.T) {
	const handshake = holdfast.PhaseHandshake
	explain(t, []failure{
		{cause: "400", make: status(400), phase: handshake, status: 400,
			class: holdfast.ClassRejected, decision: holdfast.DecisionRetry, hint: []string{"400 Bad Request", "look at headers, subprotocols and query"}},
		{cause: "401", make: status(401), phase: handshake, status: 401,
			class: holdfast.ClassUnauthorized, decision: holdfast.DecisionStop, hint: []string{"401 Unauthorized", "set Options.Authorize"}},
		{cause: "401 with Authorize", make: authorized(status(401)), phase: handshake, status: 401,
			class: holdfast.ClassUnauthorized, decision: holdfast.DecisionReauthorize, hint: []string{"have they expired?", "expired"}},
		{cause: "403", make: status(403), phase: handshake, status: 403,
			class: holdfast.ClassUnauthorized, decision: holdfast.DecisionStop, hint: []string{"403 Forbidden", "check credentials, the Origin header"}},
		{cause: "403 with Authorize", make: authorized(status(403)), phase: handshake, status: 403,
			class: holdfast.ClassUnauthorized, decision: holdfast.DecisionReauthorize, hint: []string{"do they have the right", "the right"}},
		{cause: "404", make: status(404), phase: handshake, status: 404,
			class: holdfast.ClassNotFound, decision: holdfast.DecisionStop, hint: []string{"nothing at /stream", "check the path of the URL"}},
		{cause: "405", make: status(405), phase: handshake, status: 405,
			class: holdfast.ClassRejected, decision: holdfast.DecisionRetry, hint: []string{"does not take GET at /stream", "check the path"}},
		{cause: "407 without a proxy that is known", make: status(407), phase: handshake, status: 407,
			class: holdfast.ClassProxyAuth, decision: holdfast.DecisionStop, hint: []string{"name it with user and password in Options.Proxy"}},
		{cause: "408", make: status(408), phase: handshake, status: 408,
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"408 Request Timeout", "overloaded, or the way to it is slow"}},
		{cause: "410", make: status(410), phase: handshake, status: 410,
			class: holdfast.ClassNotFound, decision: holdfast.DecisionRetrySlowly, hint: []string{"gone for good", "look for its successor"}},
		{cause: "426", make: status(426, "Upgrade", "websocket"), phase: handshake, status: 426,
			class: holdfast.ClassRejected, decision: holdfast.DecisionRetry, hint: []string{"no usable WebSocket upgrade", "not meant for this path"}},
		{cause: "429", make: status(429, "Retry-After", "7"), phase: handshake, status: 429, retryAfter: 7 * time.Second,
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"too many requests", "connect more rarely", "wait 7s"}},
		{cause: "429, for longer than can be asked", make: status(429, "Retry-After", "86400"), phase: handshake, status: 429, retryAfter: 5 * time.Minute,
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"connect more rarely", "wait 5m"}},
		{cause: "500", make: status(500), phase: handshake, status: 500,
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"failed inside", "its own log knows why"}},
		{cause: "501", make: status(501), phase: handshake, status: 501,
			class: holdfast.ClassRejected, decision: holdfast.DecisionRetry, hint: []string{"cannot do WebSocket here", "check the URL"}},
		{cause: "502", make: status(502, "Server", "nginx"), phase: handshake, status: 502,
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{`the server ("nginx") answered 502 Bad Gateway`, "the application behind it does not answer"}},
		{cause: "503, with a date", phase: handshake, status: 503, retryAfter: 90 * time.Second, // by the server's clock
			make:  status(503, "Date", "Mon, 04 May 2026 12:00:00 GMT", "Retry-After", "Mon, 04 May 2026 12:01:30 GMT"),
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"overloaded or in maintenance", "wait 1m30s"}},
		{cause: "503, with a date by this host's clock", phase: handshake, status: 503, retryAfter: 5 * time.Minute,
			make:  status(503, "Retry-After", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat)),
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"overloaded or in maintenance", "wait 5m"}},
		{cause: "504", make: status(504), phase: handshake, status: 504,
			class: holdfast.ClassOverloaded, decision: holdfast.DecisionRetry, hint: []string{"504 Gateway Timeout", "the application behind it does not answer"}},
	})
}

func TestFailuresHTTPSomeoneElseAnswers(t *testing.T) {
	const handshake = holdfast.PhaseHandshake
	intercepted := func(f failure) failure {
		f.phase, f.class, f.decision = handshake, holdfast.ClassIntercepted, holdfast.DecisionRetry
		return f
	}
	explain(t, []failure{
		intercepted(failure{cause: "200 with HTML", make: status(200, "Content-Type", "text/html; charset=utf-8"), status: 200,
			hint: []string{"the server answered 200 text/html to /stream: is the path right? a captive portal or proxy may be answering in its place"}}),
		intercepted(failure{cause: "200 with JSON", make: status(200, "Content-Type", "application/json"), status: 200,
			hint: []string{"200 application/json", "is that a WebSocket endpoint?", "removed the Upgrade header"}}),
		intercepted(failure{cause: "302 to another host", make: portal, status: 200,
			hint: []string{"a redirect led to localhost:", "/login", "captive portal", "use its target as the URL"}}),
		intercepted(failure{cause: "302 to nowhere", make: status(302), status: 302,
			hint: []string{"a redirect that was not followed", "use its target as the URL if it is right"}}),
		intercepted(failure{cause: "302 from TLS to plain HTTP", make: downgrade, status: 302,
			hint: []string{"a redirect led from TLS to plain HTTP", "captive portal"}}),
		intercepted(failure{cause: "511", make: status(511, "Content-Type", "text/html"), status: 511,
			hint: []string{"captive portal wants a login", "open a web page in a browser"}}),
		intercepted(failure{cause: "101 with the wrong Accept", status: 101,
			make: answering(holdfasttest.Accept{Header: http.Header{"Sec-Websocket-Accept": {"bm90IHRoZSBhbnN3ZXIgISE="}}}),
			hint: []string{"not with a valid WebSocket upgrade", "something on the way changes headers"}}),
		intercepted(failure{cause: "101 with the wrong Upgrade", status: 101,
			make: answering(holdfasttest.Accept{Header: http.Header{"Upgrade": {"h2c"}}}),
			hint: []string{"not with a valid WebSocket upgrade"}}),
		intercepted(failure{cause: "101 with the wrong Connection", status: 101,
			make: answering(holdfasttest.Accept{Header: http.Header{"Connection": {"keep-alive"}}}),
			hint: []string{"not with a valid WebSocket upgrade"}}),
		intercepted(failure{cause: "101 with a subprotocol that was not offered", status: 101,
			make: answering(holdfasttest.Accept{Subprotocol: "chat"}),
			hint: []string{"the server chose a subprotocol that was not offered"}}),
		intercepted(failure{cause: "101 with an extension that was not offered", status: 101,
			make: answering(holdfasttest.Accept{Header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}}),
			hint: []string{"not with a valid WebSocket upgrade"}}),
		intercepted(failure{cause: "101 with a huge header", status: 101,
			make: answering(holdfasttest.Accept{Header: http.Header{"Upgrade": {strings.Repeat("x", 100_000)}}}),
			hint: []string{"not with a valid WebSocket upgrade"}}),
		intercepted(failure{cause: "a status that is none", status: 999,
			make: answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 999 " + planted + "\r\nContent-Length: 0\r\n\r\n")}),
			hint: []string{"status 999", "may not be a web server"}}),
		{cause: "no HTTP", phase: handshake, class: holdfast.ClassUnknown, decision: holdfast.DecisionRetry,
			make: answering(holdfasttest.Raw{Bytes: []byte("-ERR unknown command '" + planted + "'\r\n")}),
			hint: []string{"could not be read as HTTP", "check the port, and ws:// against wss://"}},
		{cause: "a reason phrase that repeats the request", phase: handshake, status: 418, class: holdfast.ClassRejected, decision: holdfast.DecisionRetry,
			make: answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 418 GET /stream?token=" + planted + "\r\nContent-Length: 0\r\n\r\n")}),
			hint: []string{"see its documentation for what it expects at /stream"}},
	})
}

// portal leads to a login page on another host, as hotels do.
func portal(t *testing.T, _ *holdfast.Options) string {
	page := holdfasttest.NewServer(listen(t))
	t.Cleanup(page.Close)
	page.OnRequest(func(_ int, r *http.Request) holdfasttest.Reply {
		assert.Empty(t, r.Header.Get("Authorization"), "a portal learns no credentials")
		return holdfasttest.Refuse{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<title>Log in</title>"}
	})
	login := "http://localhost:" + portOf(page) + "/login?session=" + planted
	return status(302, "Location", login)(t, nil)
}

func downgrade(t *testing.T, o *holdfast.Options) string {
	s := holdfasttest.NewTLSServer(listen(t), nil)
	t.Cleanup(s.Close)
	s.OnRequest(refuse(302, http.Header{"Location": {"http://127.0.0.1:1/?from=" + planted}}))
	o.TLSConfig = s.ClientTLSConfig()
	return s.URL() + "stream"
}

func TestFailuresHTTPCutOff(t *testing.T) {
	const handshake = holdfast.PhaseHandshake
	explain(t, []failure{
		{cause: "header hang", phase: handshake, class: holdfast.ClassTimeout, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				return answering(holdfasttest.Hang{})(t, o)
			},
			hint: []string{"did not answer it in time", "a proxy on the way holds upgrades back"}},
		{cause: "hang within the header", phase: handshake, class: holdfast.ClassTimeout, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				return answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 101 Switching Protocols\r\nUpgr"), Hold: true})(t, o)
			},
			hint: []string{"did not answer it in time"}},
		{cause: "EOF in the handshake", phase: handshake, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: answering(holdfasttest.Drop{}),
			hint: []string{"ended the connection without an answer", "may be restarting", "use wss://"}},
		{cause: "EOF within the header", phase: handshake, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 101 Switching Protocols\r\nX-Echo: " + planted)}),
			hint: []string{"may be restarting"}},
		{cause: "RST in the handshake", phase: handshake, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: answering(holdfasttest.Reset{}),
			hint: []string{"ended the connection without an answer", "may be restarting"}},
		{cause: "EOF in the handshake over TLS", phase: handshake, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				s := holdfasttest.NewTLSServer(listen(t), nil)
				t.Cleanup(s.Close)
				s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Drop{} })
				o.TLSConfig = s.ClientTLSConfig()
				return s.URL() + "stream"
			},
			hint: []string{"ended before the answer", "something on the way cuts upgrades"}},
	})
}
