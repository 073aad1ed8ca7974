package doctor

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/server"
)

// status refuses with a status and header fields, given in turn.
func status(code int, fields ...string) func(*testing.T, *doctor.Options) string {
	h := http.Header{"Set-Cookie": {"session=" + planted}, "Www-Authenticate": {`Basic realm="` + planted + `"`}}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return answering(holdfasttest.Refuse{Status: code, Header: h, Body: "you asked with " + planted})
}

// authorized is a row's make with Authorize.
func authorized(makeIt func(*testing.T, *doctor.Options) string) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, o *doctor.Options) string {
		o.Authorize = func(_ context.Context, r *http.Request, _ error) error {
			r.Header.Set("Authorization", "Bearer "+planted)
			return nil
		}
		return makeIt(t, o)
	}
}

func TestHTTPStatus(t *testing.T) {
	const upgrade = doctor.StepUpgrade
	diagnose(t, []failure{
		{cause: "400", make: status(400), class: holdfast.ClassRejected, step: upgrade, advice: "look at headers, subprotocols and query"},
		{cause: "401", make: status(401), class: holdfast.ClassUnauthorized, step: upgrade, advice: "wants credentials (401 Unauthorized)"},
		{cause: "401 with Authorize", make: authorized(status(401)), class: holdfast.ClassUnauthorized, step: upgrade, advice: "have they expired?"},
		{cause: "403", make: status(403), class: holdfast.ClassUnauthorized, step: upgrade, advice: "check credentials, the Origin header"},
		{cause: "404", make: status(404), class: holdfast.ClassNotFound, step: upgrade, advice: "check the path of the URL"},
		{cause: "405", make: status(405), class: holdfast.ClassRejected, step: upgrade, advice: "WebSocket is not served there"},
		{cause: "407 without a proxy that is known", make: status(407), class: holdfast.ClassProxyAuth, step: upgrade, advice: "wants credentials"},
		{cause: "408", make: status(408), class: holdfast.ClassOverloaded, step: upgrade, advice: "the way to it is slow"},
		{cause: "410", make: status(410), class: holdfast.ClassNotFound, step: upgrade, advice: "gone for good"},
		{cause: "426", make: status(426, "Upgrade", "websocket"), class: holdfast.ClassRejected, step: upgrade, advice: "a proxy on the way may have removed it"},
		{cause: "429", make: status(429, "Retry-After", "7"), class: holdfast.ClassOverloaded, step: upgrade, advice: "connect more rarely"},
		{cause: "500", make: status(500), class: holdfast.ClassOverloaded, step: upgrade, advice: "its own log knows why"},
		{cause: "501", make: status(501), class: holdfast.ClassRejected, step: upgrade, advice: "check the URL"},
		{cause: "502 by nginx", make: status(502, "Server", "nginx"), class: holdfast.ClassOverloaded, step: upgrade, advice: "the application behind it does not answer"},
		{cause: "503", make: status(503, "Retry-After", "90"), class: holdfast.ClassOverloaded, step: upgrade, advice: "overloaded or in maintenance"},
		{cause: "504", make: status(504), class: holdfast.ClassOverloaded, step: upgrade, advice: "does not answer"},
	})
}

func TestSomeoneElseAnswers(t *testing.T) {
	const upgrade = doctor.StepUpgrade
	rows := []failure{
		{cause: "200 with HTML", make: status(200, "Content-Type", "text/html; charset=utf-8"), advice: "is the path right? a captive portal or proxy may be answering"},
		{cause: "200 through a cache", make: status(200, "Content-Type", "application/json", "Via", "1.1 varnish", "X-Cache", "HIT"), advice: "is that a WebSocket endpoint?"},
		{cause: "302 to another host", make: portal, advice: "a captive portal or login page may be answering"},
		{cause: "302 to nowhere", make: status(302), advice: "use its target as the URL if it is right"},
		{cause: "302 from TLS to plain HTTP", make: downgrade, advice: "from TLS to plain HTTP"},
		{cause: "511", make: status(511, "Content-Type", "text/html"), advice: "open a web page in a browser"},
		{cause: "101 with the wrong Accept", make: answering(holdfasttest.Accept{Header: http.Header{"Sec-Websocket-Accept": {"bm90IHRoZSBhbnN3ZXIgISE="}}}),
			advice: "something on the way changes headers"},
		{cause: "101 with the wrong Upgrade", make: answering(holdfasttest.Accept{Header: http.Header{"Upgrade": {"h2c"}}}), advice: "not with a valid WebSocket upgrade"},
		{cause: "101 with a subprotocol that was not offered", make: answering(holdfasttest.Accept{Subprotocol: "chat"}), advice: "chose a subprotocol that was not offered"},
		{cause: "a status that is none", make: answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 999 " + planted + "\r\nContent-Length: 0\r\n\r\n")}), advice: "may not be a web server"},
	}
	for i := range rows {
		rows[i].class, rows[i].step = holdfast.ClassIntercepted, upgrade
	}
	diagnose(t, append(rows,
		failure{cause: "no HTTP", class: holdfast.ClassUnknown, step: upgrade, advice: "check the port",
			make: answering(holdfasttest.Raw{Bytes: []byte("-ERR unknown command '" + planted + "'\r\n")})},
		failure{cause: "a reason phrase that repeats the request", class: holdfast.ClassRejected, step: upgrade, advice: "see its documentation",
			make: answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 418 GET /stream?token=" + planted + "\r\nContent-Length: 0\r\n\r\n")})},
		failure{cause: "headers that repeat the request", class: holdfast.ClassNotFound, step: upgrade,
			make: status(404, "Server", planted+"-token", "Via", planted+"-key", "Location", "/?token="+planted+"-token", "X-Squid-Error", planted+"-cookie")},
	))
}

// portal leads to a login page on another host, as hotels do.
func portal(t *testing.T, _ *doctor.Options) string {
	page := holdfasttest.NewServer(listen(t))
	t.Cleanup(page.Close)
	page.OnRequest(func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Refuse{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<title>Log in</title>"}
	})
	u, err := url.Parse(page.URL())
	require.NoError(t, err)
	return status(302, "Location", "http://localhost:"+u.Port()+"/login?session="+planted)(t, nil)
}

func downgrade(t *testing.T, o *doctor.Options) string {
	s := holdfasttest.NewTLSServer(listen(t), nil)
	t.Cleanup(s.Close)
	s.OnRequest(func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Refuse{Status: 302, Header: http.Header{"Location": {"http://127.0.0.1:1/?from=" + planted}}}
	})
	o.TLSConfig = s.ClientTLSConfig()
	return s.URL() + "stream"
}

func TestCutOff(t *testing.T) {
	const upgrade = doctor.StepUpgrade
	impatient := func(makeIt func(*testing.T, *doctor.Options) string) func(*testing.T, *doctor.Options) string {
		return func(t *testing.T, o *doctor.Options) string {
			o.Timeout = short
			return makeIt(t, o)
		}
	}
	diagnose(t, []failure{
		{cause: "header hang", parallel: true, make: impatient(answering(holdfasttest.Hang{})), class: holdfast.ClassTimeout, step: upgrade, advice: "a proxy on the way holds upgrades back"},
		{cause: "hang within the header", parallel: true, class: holdfast.ClassTimeout, step: upgrade,
			make: impatient(answering(holdfasttest.Raw{Bytes: []byte("HTTP/1.1 101 Switching Protocols\r\nUpgr"), Hold: true}))},
		{cause: "EOF in the handshake", make: answering(holdfasttest.Drop{}), class: holdfast.ClassTransient, step: upgrade, advice: "use wss://"},
		{cause: "RST in the handshake", make: answering(holdfasttest.Reset{}), class: holdfast.ClassTransient, step: upgrade, advice: "may be restarting"},
	})
}

// After the upgrade there is no class: a Conn connects again.
func TestAfterTheUpgrade(t *testing.T) {
	diagnose(t, []failure{
		{cause: "EOF after the upgrade", code: 1, step: doctor.StepPing, advice: "the link ended",
			make: answering(holdfasttest.Serve(func(p *holdfasttest.Peer) { p.Drop() }))},
		{cause: "a close frame after the upgrade", code: 1, step: doctor.StepPing, advice: "closed by the peer with 1013",
			make: answering(holdfasttest.Serve(func(p *holdfasttest.Peer) { _ = p.Close(1013, "come again") }))},
		{cause: "silence after the upgrade", parallel: true, code: 1, step: doctor.StepPing, advice: "no ping was answered",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = 3 * short
				return answering(holdfasttest.Serve(func(p *holdfasttest.Peer) { p.Freeze(true); <-p.Done() }))(t, o)
			}},
		{cause: "no answer to a close", parallel: true, fine: true, advice: "does not answer a close frame",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = 3 * short
				return answering(holdfasttest.Serve(func(p *holdfasttest.Peer) {
					p.OnClose(func(uint16, string) bool { return false })
					for {
						if _, _, err := p.Receive(); err != nil {
							break
						}
					}
					<-p.Done()
				}))(t, o)
			}},
	})
}

// Package server behind what lets no WebSocket through: plain HTTP gets through, and
// so a Conn with a fallback goes on.
func TestBlocked(t *testing.T) {
	var rows []failure
	for _, b := range []holdfasttest.Blockade{holdfasttest.BlockForbidden, holdfasttest.BlockPage, holdfasttest.BlockReset,
		holdfasttest.BlockSilence, holdfasttest.BlockCut, holdfasttest.BlockNoAnswer, holdfasttest.BlockStripped} {
		rows = append(rows, failure{cause: "blocked, " + b.String(), class: holdfast.ClassBlocked, step: doctor.StepUpgrade,
			advice: "set Options.Fallback to fallback.LongPoll(nil)", parallel: true,
			make: func(t *testing.T, o *doctor.Options) string {
				if b == holdfasttest.BlockNoAnswer || b == holdfasttest.BlockSilence {
					o.Timeout = 3 * short
				}
				return behind(b)(t, o)
			}})
	}
	diagnose(t, rows)
}

func TestHealthy(t *testing.T) {
	diagnose(t, []failure{
		{cause: "package server", make: behind(nil), fine: true},
		{cause: "plain WebSocket", make: answering(holdfasttest.Accept{}), fine: true},
		{cause: "package server, by polls", fine: true,
			make: func(t *testing.T, o *doctor.Options) string { return "http" + behind(nil)(t, o)[len("ws"):] }},
		{cause: "package server refuses", class: holdfast.ClassUnauthorized, step: doctor.StepUpgrade,
			make: func(t *testing.T, _ *doctor.Options) string {
				s := holdfasttest.NewServer(listen(t))
				t.Cleanup(s.Close)
				s.Handle(holdfastServer(t, &server.Options{Authenticate: func(*http.Request) (string, error) { return "", context.Canceled }}))
				return s.URL() + "stream"
			}},
		{cause: "polls of a server without them", class: holdfast.ClassNotFound, step: doctor.StepLongPoll,
			make: func(t *testing.T, _ *doctor.Options) string { return "http://" + httpServer(t, nil) + "/stream" }},
		{cause: "a subprotocol", fine: true, make: func(t *testing.T, o *doctor.Options) string {
			o.Subprotocols = []string{"chat.v2", "chat.v1"}
			return answering(holdfasttest.Accept{Subprotocol: "chat.v1"})(t, o)
		}},
		{cause: "no subprotocol of those offered", fine: true, advice: "does it know those that are offered?", make: func(t *testing.T, o *doctor.Options) string {
			o.Subprotocols = []string{planted + ".v2"}
			return answering(holdfasttest.Accept{})(t, o)
		}},
	})
}
