package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// The endpoint and the redirects carry secrets, which no hint may show.
const secret = "s3cr3t"

var (
	wss    = parse("wss://user:" + secret + "@api.example.com/stream?token=" + secret)
	ws     = parse("ws://user:" + secret + "@api.example.com:8080/stream?token=" + secret)
	portal = parse("http://login.hotel.example/welcome?session=" + secret)
)

func parse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// The chains, as net/http and crypto/tls build them.

func dialErr(err error) error {
	return &url.Error{Op: "Get", URL: "https://api.example.com/stream", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
}

func connect(e syscall.Errno) error { return dialErr(os.NewSyscallError("connect", e)) }

func readErr(e syscall.Errno) error {
	return &url.Error{Op: "Get", Err: &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", e)}}
}

func dns(e net.DNSError) error {
	e.Name, e.Server = "api.example.com", "192.0.2.53:53"
	return dialErr(&e)
}

func verification(err error) error {
	return &url.Error{Op: "Get", Err: &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf}, Err: err}}
}

var leaf = &x509.Certificate{
	Issuer:    pkix.Name{CommonName: "Hotel Root"},
	DNSNames:  []string{"www.example.net", "example.net"},
	NotBefore: now.AddDate(-1, 0, 0),
	NotAfter:  now.AddDate(1, 0, 0),
}

func dated(from, to time.Time) error {
	return verification(x509.CertificateInvalidError{Cert: &x509.Certificate{NotBefore: from, NotAfter: to}, Reason: x509.Expired})
}

// datedAuthority is dated, of the certificate above the server's own.
func datedAuthority(from, to time.Time) error {
	return verification(x509.CertificateInvalidError{Cert: &x509.Certificate{Raw: []byte("authority"), NotBefore: from, NotAfter: to}, Reason: x509.Expired})
}

type alert uint8 // as crypto/tls's unexported one

func (a alert) Error() string { return "tls: handshake failure" }

func recordHeader(first string) error {
	e := tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}
	copy(e.RecordHeader[:], first)
	return &url.Error{Op: "Get", Err: e}
}

// socks is how golang.org/x/net reports, text apart.
func socks(err error) error {
	return &net.OpError{Op: "socks connect", Net: "tcp", Err: err}
}

func failed(p transport.Phase, err error) *transport.Error {
	return &transport.Error{Phase: p, Err: err}
}

func viaProxy(p transport.Phase, err error) *transport.Error {
	return &transport.Error{Phase: p, Err: err, Proxied: true}
}

func proxySays(code int) *transport.Error {
	return &transport.Error{Phase: transport.PhaseProxy, StatusCode: code, Proxied: true, Err: errors.New("no tunnel")}
}

func says(code int, header ...string) *transport.Error {
	h := http.Header{"Authorization": {secret}, "Set-Cookie": {secret}, "Location": {"/?" + secret}, "Www-Authenticate": {secret}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &transport.Error{Phase: transport.PhaseHandshake, StatusCode: code, Header: h, Err: errors.New("expected 101")}
}

func from(u *url.URL, e *transport.Error) *transport.Error {
	e.URL = u
	return e
}

const (
	noPhase   = transport.PhaseNone
	resolve   = transport.PhaseResolve
	connected = transport.PhaseConnect
	proxy     = transport.PhaseProxy
	tlsPhase  = transport.PhaseTLS
	handshake = transport.PhaseHandshake
	authorize = transport.PhaseAuthorize
	onConnect = transport.PhaseOnConnect
)

type testCase struct {
	name  string
	facts Facts
	class transport.Class
	phase transport.Phase
	want  transport.Decision
	hint  string // a part of it
}

// cases hold every cause of failure that is known, as Go reports it.
var cases = []testCase{
	// The session, and the fallback.
	{"sessions lost to other servers", Facts{Err: failed(handshake, fmt.Errorf("421: %w", transport.ErrNotSticky))},
		transport.ClassNotSticky, handshake, slowly, "not sticky"},
	{"no session where one is required", Facts{SessionRequired: true, Err: failed(handshake, transport.ErrNoSession)},
		transport.ClassRejected, handshake, stop, "Options.Session"},
	{"no session where one was", Facts{Err: failed(handshake, transport.ErrNoSession)},
		transport.ClassRejected, handshake, retry, "spoke before"},
	{"Upgrade is stripped", Facts{Fallback: true, Welcomed: true, Err: says(426, "Holdfast-Diag", "upgrade-stripped")},
		transport.ClassBlocked, handshake, retry, "removes the Upgrade header"},
	{"403 for WebSocket alone", Facts{Fallback: true, Welcomed: true, Err: says(403)},
		transport.ClassBlocked, handshake, retry, "plain HTTP and not over WebSocket"},
	{"a hang for WebSocket alone", Facts{Fallback: true, Welcomed: true, Err: failed(handshake, context.DeadlineExceeded)},
		transport.ClassBlocked, handshake, retry, "plain HTTP and not over WebSocket"},
	{"a proxy that refuses CONNECT, but passes polls", Facts{Fallback: true, Welcomed: true, Err: proxySays(403)},
		transport.ClassBlocked, proxy, retry, "plain HTTP and not over WebSocket"},

	// Offline, and local rules.
	{"no route", Facts{Unreachable: true, Err: failed(connected, connect(errnoUnreachable[0]))},
		transport.ClassOffline, connected, retry, "no way to api.example.com:443"},
	{"carrier lost", Facts{Unreachable: true, Err: failed(connected, connect(errnoUnreachable[1]))},
		transport.ClassOffline, connected, retry, "no way"},
	{"carrier lost, by name", Facts{Unreachable: true, Err: failed(resolve, dns(net.DNSError{IsTimeout: true}))},
		transport.ClassOffline, resolve, retry, "no way"},
	{"offline, the resolver says not found", Facts{Unreachable: true, Err: failed(resolve, dns(net.DNSError{IsNotFound: true}))},
		transport.ClassOffline, resolve, retry, "no way"},
	{"offline, the context ended", Facts{Unreachable: true, Err: failed(connected, context.DeadlineExceeded)},
		transport.ClassOffline, connected, retry, "no way"},
	{"address gone", Facts{Unreachable: true, Err: failed(connected, connect(errnoNoAddress[0]))},
		transport.ClassOffline, connected, retry, "no way"},
	{"offline, with a proxy", Facts{Unreachable: true, Err: viaProxy(connected, connect(errnoUnreachable[0]))},
		transport.ClassOffline, connected, retry, "no way to the proxy"},
	{"offline in Authorize", Facts{Unreachable: true, Err: failed(authorize, dns(net.DNSError{IsTemporary: true}))},
		transport.ClassOffline, authorize, retry, "no way"},
	{"an answer stands against the route check", Facts{Unreachable: true, Err: says(503)},
		transport.ClassOverloaded, handshake, retry, "maintenance"},
	{"an answer whose body hung stands against the route check", Facts{Unreachable: true, Err: &transport.Error{Phase: handshake, StatusCode: 502, Err: context.DeadlineExceeded}},
		transport.ClassOverloaded, handshake, retry, "gateway"},
	{"a refusal stands against the route check", Facts{Unreachable: true, Err: failed(connected, connect(errnoRefused[0]))},
		transport.ClassServerDown, connected, retry, "nothing listens"},
	{"unreachable route", Facts{Err: failed(connected, connect(errnoUnreachable[1]))},
		transport.ClassUnreachable, connected, retry, "cannot be reached"},
	{"prohibit route", Facts{Err: failed(connected, connect(errnoForbidden[0]))},
		transport.ClassLocalPolicy, connected, slowly, "firewall"},
	{"sandbox, phase unknown", Facts{Err: connect(errnoForbidden[len(errnoForbidden)-1])},
		transport.ClassLocalPolicy, connected, slowly, "sandbox"},
	{"prohibit route, though the route check fails", Facts{Unreachable: true, Err: failed(connected, connect(errnoForbidden[0]))},
		transport.ClassLocalPolicy, connected, slowly, "prohibit"},
	{"prohibit route to the proxy", Facts{Err: viaProxy(connected, connect(errnoForbidden[0]))},
		transport.ClassLocalPolicy, connected, slowly, "connection to the proxy"},
	{"the same errno, but not of a dial", Facts{Err: failed(handshake, readErr(errnoForbidden[0]))},
		transport.ClassUnknown, handshake, retry, "as HTTP"},
	{"blackhole route", Facts{Err: failed(connected, connect(errnoInvalid[0]))},
		transport.ClassLocalPolicy, connected, slowly, "blackhole"},
	{"out of descriptors", Facts{Err: failed(connected, dialErr(os.NewSyscallError("socket", errnoNoFiles[0])))},
		transport.ClassUnknown, connected, retry, "descriptors"},
	{"out of ports", Facts{Err: failed(connected, connect(errnoNoAddress[0]))},
		transport.ClassUnknown, connected, retry, "local address"},
	{"called off", Facts{Err: failed(connected, context.Canceled)},
		transport.ClassUnknown, connected, retry, "called off"},

	// The network.
	{"router says no", Facts{Err: failed(connected, connect(errnoUnreachable[0]))},
		transport.ClassUnreachable, connected, retry, "network says"},
	{"nothing listens", Facts{Err: failed(connected, connect(errnoRefused[0])), Target: ws},
		transport.ClassServerDown, connected, retry, "api.example.com:8080"},
	{"nothing listens where a redirect led", Facts{Err: from(parse("https://other.example/"), failed(connected, connect(errnoRefused[0])))},
		transport.ClassServerDown, connected, retry, "other.example:443"},
	{"packets dropped, Dialer.Timeout", Facts{Err: failed(connected, dialErr(os.ErrDeadlineExceeded))},
		transport.ClassTimeout, connected, retry, "dropping packets"},
	{"packets dropped, context", Facts{Err: failed(connected, &url.Error{Op: "Get", Err: context.DeadlineExceeded})},
		transport.ClassTimeout, connected, retry, "dropping packets"},
	{"packets dropped, the kernel gives up", Facts{Err: failed(connected, connect(errnoTimeout[0]))},
		transport.ClassTimeout, connected, retry, "dropping packets"},
	{"context ended, phase unknown", Facts{Err: context.DeadlineExceeded},
		transport.ClassTimeout, noPhase, retry, "HandshakeTimeout"},
	{"a timeout among others", Facts{Err: failed(connected, errors.Join(errors.New("first address"), dialErr(netTimeout{})))},
		transport.ClassTimeout, connected, retry, "dropping packets"},
	{"a timeout hidden from *url.Error", Facts{Err: failed(handshake, &url.Error{Op: "Get", Err: fmt.Errorf("dial: %w", netTimeout{})})},
		transport.ClassTimeout, handshake, retry, "in time"},

	// DNS.
	{"NXDOMAIN", Facts{Err: failed(resolve, dns(net.DNSError{IsNotFound: true}))},
		transport.ClassName, resolve, slowly, `"api.example.com" has no address`},
	{"NXDOMAIN, phase unknown", Facts{Err: dns(net.DNSError{IsNotFound: true})},
		transport.ClassName, resolve, slowly, "spelling"},
	{"SERVFAIL", Facts{Err: failed(resolve, dns(net.DNSError{IsTemporary: true}))},
		transport.ClassDNS, resolve, retry, "servers failed"},
	{"REFUSED", Facts{Err: failed(resolve, dns(net.DNSError{}))},
		transport.ClassDNS, resolve, retry, "servers failed"},
	{"DNS hangs", Facts{Err: failed(resolve, dns(net.DNSError{IsTimeout: true}))},
		transport.ClassDNS, resolve, retry, "no name server answered"},
	{"DNS hangs, context", Facts{Err: failed(resolve, context.DeadlineExceeded)},
		transport.ClassDNS, resolve, retry, "no name server answered"},

	// TLS.
	{"unknown authority", Facts{Err: failed(tlsPhase, verification(x509.UnknownAuthorityError{Cert: leaf}))},
		transport.ClassTLSTrust, tlsPhase, slowly, `from "Hotel Root"`},
	{"unknown authority, phase unknown", Facts{Err: verification(x509.UnknownAuthorityError{})},
		transport.ClassTLSTrust, tlsPhase, slowly, "captive portal"},
	{"unknown authority of a proxy", Facts{Err: viaProxy(proxy, verification(x509.UnknownAuthorityError{}))},
		transport.ClassTLSTrust, proxy, slowly, "certificate of the proxy"},
	{"wrong host", Facts{Err: failed(tlsPhase, verification(x509.HostnameError{Certificate: leaf, Host: "api.example.com"}))},
		transport.ClassTLSTrust, tlsPhase, stop, `for "www.example.net" and "example.net", not for "api.example.com"`},
	{"expired", Facts{Err: failed(tlsPhase, dated(now.AddDate(-1, 0, 0), now.AddDate(0, 0, -1)))},
		transport.ClassTLSTrust, tlsPhase, slowly, "until 2026-05-03 12:00 UTC, and this host's clock says 2026-05-04"},
	{"expired, certificate not told", Facts{Err: failed(tlsPhase, &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}})},
		transport.ClassTLSTrust, tlsPhase, slowly, "renew"},
	{"not yet valid", Facts{Err: failed(tlsPhase, dated(now.AddDate(0, 0, 1), now.AddDate(1, 0, 0)))},
		transport.ClassTLSTrust, tlsPhase, slowly, "set the clock"},
	{"chain expired, as macOS and Windows report", Facts{Err: failed(tlsPhase, verification(x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired}))},
		transport.ClassTLSTrust, tlsPhase, slowly, "above that of"},
	{"the authority's certificate expired", Facts{Err: failed(tlsPhase, datedAuthority(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)))},
		transport.ClassTLSTrust, tlsPhase, slowly, "a certificate above that of api.example.com:443"},
	{"the authority's certificate not yet valid", Facts{Err: failed(tlsPhase, datedAuthority(now.AddDate(1, 0, 0), now.AddDate(2, 0, 0)))},
		transport.ClassTLSTrust, tlsPhase, slowly, "renew the chain, or set the clock"},
	{"certificate broken otherwise", Facts{Err: failed(tlsPhase, verification(x509.CertificateInvalidError{Cert: leaf, Reason: x509.IncompatibleUsage}))},
		transport.ClassTLSTrust, tlsPhase, stop, "issuer has to mend"},
	{"no roots", Facts{Err: failed(tlsPhase, verification(x509.SystemRootsError{}))},
		transport.ClassTLSTrust, tlsPhase, stop, "ca-certificates"},
	{"wrong host after a stable link", Facts{Stable: true, Err: failed(tlsPhase, verification(x509.HostnameError{Certificate: leaf, Host: "api.example.com"}))},
		transport.ClassTLSTrust, tlsPhase, slowly, "captive portal"},
	{"wss to an HTTP port after a stable link", Facts{Stable: true, Err: failed(tlsPhase, fmt.Errorf("%w: %w", http.ErrSchemeMismatch, recordHeader("HTTP/")))},
		transport.ClassWrongScheme, tlsPhase, slowly, "TLS before"},
	{"wss to another protocol after a stable link", Facts{Stable: true, Err: failed(tlsPhase, recordHeader("SSH-2"))},
		transport.ClassWrongScheme, tlsPhase, slowly, "as before"},
	{"wss to an HTTP port", Facts{Err: failed(tlsPhase, recordHeader("HTTP/"))},
		transport.ClassWrongScheme, tlsPhase, stop, "use ws://"},
	{"wss to an HTTP port, net/http", Facts{Err: failed(handshake, &url.Error{Op: "Get", Err: http.ErrSchemeMismatch})},
		transport.ClassWrongScheme, handshake, stop, "use ws://"},
	{"wss to another protocol", Facts{Err: failed(tlsPhase, recordHeader("SSH-2"))},
		transport.ClassWrongScheme, tlsPhase, stop, `"SSH-2"`},
	{"wss to a binary protocol", Facts{Err: recordHeader("\x00\x1b[2J")},
		transport.ClassWrongScheme, tlsPhase, stop, "00 1b 5b 32 4a"},
	{"https to an http proxy", Facts{Err: viaProxy(proxy, recordHeader("HTTP/"))},
		transport.ClassWrongScheme, proxy, stop, "http:// in the proxy's URL"},
	{"ws to a TLS port, Go", Facts{Target: ws, Err: says(400)},
		transport.ClassRejected, handshake, retry, "wss://"},
	{"ws to a TLS port, others", Facts{Target: ws, Err: failed(handshake, &url.Error{Op: "Get", Err: io.EOF})},
		transport.ClassTransient, handshake, retry, "wss://"},
	{"TLS alert", Facts{Err: failed(tlsPhase, &url.Error{Op: "Get", Err: &net.OpError{Op: "remote error", Err: alert(40)}})},
		transport.ClassTLS, tlsPhase, retry, "client certificate"},
	{"TLS alert, late and phase unknown", Facts{Err: &net.OpError{Op: "remote error", Err: alert(116)}},
		transport.ClassTLS, tlsPhase, retry, "alert"},
	{"TLS otherwise", Facts{Err: failed(tlsPhase, errors.New("tls: server selected unsupported protocol version 301"))},
		transport.ClassTLS, tlsPhase, retry, "TLS versions"},
	{"TLS hangs", Facts{Err: failed(tlsPhase, &url.Error{Op: "Get", Err: netTimeout{}})},
		transport.ClassTimeout, tlsPhase, retry, "TLS was not done in time"},
	{"headers hang", Facts{Err: failed(handshake, &url.Error{Op: "Get", Err: netTimeout{}})},
		transport.ClassTimeout, handshake, retry, "did not answer it in time"},

	// Cut off.
	{"EOF in the handshake", Facts{Err: failed(handshake, &url.Error{Op: "Get", Err: io.EOF})},
		transport.ClassTransient, handshake, retry, "restarting"},
	{"reset in the handshake", Facts{Err: failed(handshake, readErr(errnoBroken[0]))},
		transport.ClassTransient, handshake, retry, "cuts upgrades"},
	{"reset in TLS", Facts{Err: failed(tlsPhase, readErr(errnoBroken[0]))},
		transport.ClassTransient, tlsPhase, retry, "TLS handshake"},
	{"half an answer", Facts{Err: failed(handshake, io.ErrUnexpectedEOF)},
		transport.ClassTransient, handshake, retry, "ended before the answer"},
	{"no HTTP", Facts{Err: failed(handshake, errors.New("malformed HTTP response"))},
		transport.ClassUnknown, handshake, retry, "as HTTP"},
	{"unknown", Facts{Err: errors.New("connection refused")}, // text alone says nothing
		transport.ClassUnknown, noPhase, retry, "see the cause"},
	{"nothing at all", Facts{}, transport.ClassUnknown, noPhase, retry, "see the cause"},

	// Proxies.
	{"CONNECT 407", Facts{Err: proxySays(407)}, transport.ClassProxyAuth, proxy, stop, "user:password@"},
	{"CONNECT 403", Facts{Err: proxySays(403)}, transport.ClassProxyRefused, proxy, stop, "do not allow api.example.com:443"},
	{"CONNECT 404", Facts{Err: proxySays(404)}, transport.ClassProxyRefused, proxy, stop, "404 Not Found"},
	{"CONNECT 429", Facts{Err: proxySays(429)}, transport.ClassProxyDown, proxy, retry, "429"},
	{"CONNECT 502", Facts{Err: proxySays(502)}, transport.ClassProxyDown, proxy, retry, "502 Bad Gateway"},
	{"CONNECT 503", Facts{Err: proxySays(503)}, transport.ClassProxyDown, proxy, retry, "503 Service Unavailable"},
	{"CONNECT 302", Facts{Err: proxySays(302)}, transport.ClassProxyDown, proxy, retry, "is the proxy's URL right"},
	{"proxy refuses", Facts{Err: viaProxy(connected, connect(errnoRefused[0]))},
		transport.ClassProxyDown, connected, retry, "is it running"},
	{"proxy refuses, net/http", Facts{Err: &net.OpError{Op: "proxyconnect", Err: connect(errnoRefused[0])}},
		transport.ClassProxyDown, proxy, retry, "is it running"},
	{"proxy does not answer", Facts{Err: viaProxy(connected, context.DeadlineExceeded)},
		transport.ClassProxyDown, connected, retry, "is it running"},
	{"proxy's name unknown", Facts{Err: viaProxy(resolve, dialErr(&net.DNSError{Name: "proxy.corp", IsNotFound: true}))},
		transport.ClassProxyDown, resolve, retry, `"proxy.corp"`},
	{"SOCKS server refuses", Facts{Err: viaProxy(proxy, socks(connect(errnoRefused[0])))},
		transport.ClassProxyDown, proxy, retry, "is it running"},
	{"SOCKS cannot reach the target", Facts{Err: socks(errors.New("unknown error host unreachable"))},
		transport.ClassProxyDown, proxy, retry, "no tunnel"},
	{"CONNECT hangs", Facts{Err: viaProxy(proxy, context.DeadlineExceeded)},
		transport.ClassProxyDown, proxy, retry, "did not answer in time: is it running"},
	{"CONNECT cut off", Facts{Err: viaProxy(proxy, io.EOF)},
		transport.ClassProxyDown, proxy, retry, "no tunnel"},
	{"the target fails behind a proxy", Facts{Err: viaProxy(handshake, io.EOF)},
		transport.ClassTransient, handshake, retry, "restarting"},

	// Answers.
	{"400", Facts{Err: says(400)}, transport.ClassRejected, handshake, retry, "subprotocols"},
	{"400 with a fallback", Facts{Fallback: true, Err: says(400)}, transport.ClassBlocked, handshake, retry, "may be changing it"},
	{"400 with a fallback, ws", Facts{Fallback: true, Target: ws, Err: says(400)}, transport.ClassBlocked, handshake, retry, "wss://"},
	{"401", Facts{Err: says(401)}, transport.ClassUnauthorized, handshake, stop, "set Options.Authorize"},
	{"401 with Authorize", Facts{Authorize: true, Err: says(401)}, transport.ClassUnauthorized, handshake, reauth, "expired"},
	{"401 again", Facts{Authorize: true, Reauthorized: true, Err: says(401)}, transport.ClassUnauthorized, handshake, stop, "asked to renew"},
	{"403", Facts{Err: says(403)}, transport.ClassUnauthorized, handshake, stop, "Origin"},
	{"403 with Authorize", Facts{Authorize: true, Err: says(403)}, transport.ClassUnauthorized, handshake, reauth, "right"},
	{"403 again", Facts{Authorize: true, Reauthorized: true, Err: says(403)}, transport.ClassUnauthorized, handshake, stop, "renewed too"},
	{"404", Facts{Err: says(404)}, transport.ClassNotFound, handshake, stop, "nothing at /stream"},
	{"404 with a fallback", Facts{Fallback: true, Err: says(404)}, transport.ClassNotFound, handshake, stop, "check the path"},
	{"404 after a stable link", Facts{Stable: true, Err: says(404)}, transport.ClassNotFound, handshake, slowly, "deployment"},
	{"405", Facts{Err: says(405)}, transport.ClassRejected, handshake, retry, "does not take GET"},
	{"407 without a known proxy", Facts{Err: says(407)}, transport.ClassProxyAuth, handshake, stop, "Options.Proxy"},
	{"408", Facts{Err: says(408)}, transport.ClassOverloaded, handshake, retry, "waiting for the request"},
	{"410", Facts{Err: says(410)}, transport.ClassNotFound, handshake, slowly, "for good"},
	{"418", Facts{Err: says(418)}, transport.ClassRejected, handshake, retry, "documentation"},
	{"421", Facts{Err: says(421)}, transport.ClassRejected, handshake, retry, "host name"},
	{"426", Facts{Err: says(426)}, transport.ClassRejected, handshake, retry, "not meant for this path"},
	{"426 with a fallback", Facts{Fallback: true, Err: says(426)}, transport.ClassBlocked, handshake, retry, "may have removed it"},
	{"429", Facts{Err: says(429, "Retry-After", "7")}, transport.ClassOverloaded, handshake, retry, "wait 7s"},
	{"431", Facts{Err: says(431)}, transport.ClassRejected, handshake, retry, "cookies"},
	{"500", Facts{Err: says(500)}, transport.ClassOverloaded, handshake, retry, "its own log"},
	{"501", Facts{Err: says(501)}, transport.ClassRejected, handshake, retry, "cannot do WebSocket"},
	{"501 with a fallback", Facts{Fallback: true, Err: says(501)}, transport.ClassBlocked, handshake, retry, "cannot do the upgrade"},
	{"502", Facts{Err: says(502, "Server", "nginx")}, transport.ClassOverloaded, handshake, retry, `the server ("nginx") answered 502`},
	{"503", Facts{Err: says(503)}, transport.ClassOverloaded, handshake, retry, "maintenance"},
	{"504", Facts{Err: says(504)}, transport.ClassOverloaded, handshake, retry, "gateway"},
	{"511", Facts{Err: says(511)}, transport.ClassIntercepted, handshake, retry, "captive portal"},
	{"200 with HTML", Facts{Err: says(200, "Content-Type", "text/html; charset=utf-8")}, transport.ClassIntercepted, handshake, retry,
		"the server answered 200 text/html to /stream: is the path right? a captive portal or proxy may be answering in its place"},
	{"200 without HTML", Facts{Err: says(200, "Content-Type", "application/json")}, transport.ClassIntercepted, handshake, retry, "Upgrade header"},
	{"a redirect to a portal", Facts{Target: ws, Err: from(portal, says(200, "Content-Type", "text/html"))},
		transport.ClassIntercepted, handshake, retry, "login.hotel.example:80/welcome"},
	{"a redirect to a portal without the path", Facts{Target: ws, Authorize: true, Err: from(portal, says(404))},
		transport.ClassIntercepted, handshake, retry, "404 Not Found"},
	{"a redirect to an overloaded server", Facts{Target: ws, Err: from(portal, says(503))},
		transport.ClassOverloaded, handshake, retry, "maintenance"},
	{"a redirect to a server that counts requests", Facts{Target: ws, Err: from(portal, says(429))},
		transport.ClassOverloaded, handshake, retry, "too many requests"},
	{"a redirect to another port", Facts{Target: ws, Err: from(parse("http://api.example.com:8081/"), says(401))},
		transport.ClassIntercepted, handshake, retry, ":8081"},
	{"a redirect to TLS on the same host", Facts{Target: parse("ws://api.example.com/"), Err: from(parse("https://API.example.com/"), says(401))},
		transport.ClassUnauthorized, handshake, stop, "credentials"},
	{"a redirect away from TLS", Facts{Err: from(portal, says(302))},
		transport.ClassIntercepted, handshake, retry, "from TLS to plain HTTP"},
	{"a redirect away from TLS that is not followed", Facts{Err: says(302, "Location", "http://user:"+secret+"@login.hotel.example/welcome?session="+secret)},
		transport.ClassIntercepted, handshake, retry, "from TLS to plain HTTP at login.hotel.example:80/welcome"},
	{"a redirect not followed", Facts{Err: says(302)}, transport.ClassIntercepted, handshake, retry, "not followed, to api.example.com:443/:"},
	{"a redirect to nowhere", Facts{Err: says(302, "Location", ""), Target: ws}, transport.ClassIntercepted, handshake, retry, "to nowhere"},
	{"a redirect to what is no URL", Facts{Err: says(302, "Location", "https://"+secret+":x/")}, transport.ClassIntercepted, handshake, retry, "to nowhere"},
	{"101 not valid", Facts{Err: says(101)}, transport.ClassIntercepted, handshake, retry, "101 Switching Protocols"},
	{"no HTTP status", Facts{Err: says(999)}, transport.ClassIntercepted, handshake, retry, "none of HTTP's"},

	// The program's own code.
	{"Authorize fails", Facts{Authorize: true, Err: failed(authorize, errors.New("no token"))},
		transport.ClassCallback, authorize, retry, "Authorize returned an error"},
	{"Authorize times out", Facts{Authorize: true, Err: failed(authorize, context.DeadlineExceeded)},
		transport.ClassCallback, authorize, retry, "took too long"},
	{"Authorize cannot read its file", Facts{Authorize: true, Err: failed(authorize, &os.PathError{Op: "open", Err: syscall.EACCES})},
		transport.ClassCallback, authorize, retry, "Authorize"},
	{"Authorize says permanent", Facts{Authorize: true, Err: failed(authorize, fmt.Errorf("token: %w", backoff.Permanent(errors.New("revoked"))))},
		transport.ClassCallback, authorize, stop, "permanent error in phase authorize"},
	{"credentials without TLS", Facts{Target: ws, Err: failed(authorize, transport.ErrInsecureCredentials)},
		transport.ClassCallback, authorize, stop, "AllowInsecureCredentials"},
	{"OnConnect fails", Facts{Err: failed(onConnect, errors.New("no welcome"))},
		transport.ClassCallback, onConnect, retry, "OnConnect returned an error"},
	{"OnConnect loses the link", Facts{Err: failed(onConnect, &transport.CloseError{Code: 1008})},
		transport.ClassCallback, onConnect, retry, "OnConnect"},
	{"OnConnect meets a reset", Facts{Err: failed(onConnect, readErr(errnoBroken[0]))},
		transport.ClassCallback, onConnect, retry, "OnConnect"},
	{"OnConnect says permanent", Facts{Err: failed(onConnect, backoff.Permanent(io.EOF))},
		transport.ClassCallback, onConnect, stop, "permanent error in phase onconnect"},
}

type netTimeout struct{}

func (netTimeout) Error() string   { return "net/http: timeout awaiting response headers" }
func (netTimeout) Timeout() bool   { return true }
func (netTimeout) Temporary() bool { return true }

func (c *testCase) complete() Facts {
	f := c.facts
	f.Now = now
	if f.Target == nil && f.Err != nil {
		f.Target = wss
	}
	return f
}

func TestExplain(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Explain(c.complete())
			assert.Equal(t, c.class.String(), v.Class.String())
			assert.Equal(t, c.phase.String(), v.Phase.String())
			assert.Equal(t, c.want.String(), v.Decision.String())
			assert.Contains(t, v.Hint, c.hint)
			assert.Less(t, len(v.Hint), 300, "longer than a person wants to read: %s", v.Hint)
			checkHint(t, v.Hint)
		})
	}
}

// checkHint holds for every hint, whatever came from outside.
func checkHint(t *testing.T, hint string) {
	t.Helper()
	require.NotEmpty(t, hint)
	assert.LessOrEqual(t, len(hint), maxHint)
	assert.NotContains(t, hint, secret)
	assert.NotContains(t, hint, "%!", "a format that does not fit its words")
	assert.False(t, strings.HasSuffix(hint, "."), hint)
	for _, r := range hint {
		if !unicode.IsPrint(r) {
			require.Failf(t, "not printable", "%q", hint)
		}
	}
}

// Each row is reached by a case, and each has its own words.
func TestEveryRow(t *testing.T) {
	rowOf := map[string]*row{}
	reached := map[*row]bool{}
	for _, c := range cases {
		x := newFailure(c.complete())
		r, hint := x.row(), Explain(c.complete()).Hint
		reached[r] = true
		if other := rowOf[hint]; other != nil && other != r {
			assert.Failf(t, "two rows say the same", "%s", hint)
		}
		rowOf[hint] = r
	}
	for i := range table {
		r := &table[i]
		if !reached[r] && !strings.HasPrefix(r.hint(newFailure(Facts{})), "the browser") {
			assert.Failf(t, "no case reaches this row", "%d: %s", i, r.hint(newFailure(Facts{})))
		}
	}
	for class := transport.ClassUnknown; class <= transport.ClassNotSticky; class++ {
		found := false
		for _, r := range table {
			found = found || r.class == class
		}
		assert.True(t, found, "no row for %v", class)
	}
}

func TestOnChange(t *testing.T) {
	on := map[transport.Class]bool{
		transport.ClassOffline: true, transport.ClassLocalPolicy: true, transport.ClassUnreachable: true,
		transport.ClassTimeout: true, transport.ClassName: true, transport.ClassDNS: true, transport.ClassTLSTrust: true,
		transport.ClassBlocked: true, transport.ClassIntercepted: true, transport.ClassProxyDown: true,
	}
	for _, c := range cases {
		v := Explain(c.complete())
		assert.Equal(t, on[v.Class] && v.Decision != stop, v.OnChange, c.name)
	}
}

// Each errno of a set is taken alike, on whatever system this runs.
func TestEveryErrno(t *testing.T) {
	for _, s := range []struct {
		set   []syscall.Errno
		class transport.Class
	}{
		{errnoRefused, transport.ClassServerDown},
		{errnoUnreachable, transport.ClassUnreachable},
		{errnoForbidden, transport.ClassLocalPolicy},
		{errnoInvalid, transport.ClassLocalPolicy},
		{errnoNoAddress, transport.ClassUnknown},
		{errnoNoFiles, transport.ClassUnknown},
		{errnoTimeout, transport.ClassTimeout},
		{errnoBroken, transport.ClassTransient},
	} {
		for _, e := range s.set {
			v := Explain(Facts{Target: wss, Err: failed(connected, connect(e))})
			assert.Equal(t, s.class.String(), v.Class.String(), "%d", int(e))
		}
	}
}

func TestEveryStatus(t *testing.T) {
	for code := 100; code <= 599; code++ {
		for _, p := range []transport.Phase{handshake, proxy} {
			for flags := range 16 {
				e := says(code, "Retry-After", "3600")
				e.Phase = p
				v := Explain(Facts{
					Err: e, Target: []*url.URL{ws, wss}[flags&1], Now: now,
					Stable: flags&2 != 0, Fallback: flags&4 != 0, Authorize: flags&8 != 0,
				})
				checkHint(t, v.Hint)
				assert.Equal(t, code, v.StatusCode)
				assert.NotEqual(t, transport.ClassUnknown, v.Class, "%d", code)
				if v.Decision == retry || v.Decision == slowly {
					assert.Equal(t, code >= 300, v.RetryAfter == MaxRetryAfter, "%d", code)
				} else {
					assert.Zero(t, v.RetryAfter, "%d", code)
				}
				assert.Equal(t, p == handshake && (code == 401 || code == 403) && flags&8 != 0, v.Decision == reauth, "%d", code)
				final := code == 401 || code == 403 || code == 404 || code == 407
				if p == proxy {
					final = code >= 400 && code < 500 && code != 408 && code != 429
				}
				if !final {
					assert.NotEqual(t, stop, v.Decision, "%d", code)
				}
				if code >= 500 && code != 501 && code != 511 && p == handshake {
					assert.Equal(t, transport.ClassOverloaded, v.Class, "%d", code)
				}
			}
		}
	}
}

// What strangers send cannot steer a terminal, flood a log or break a sentence.
func TestHintKeepsOutsideTextTame(t *testing.T) {
	nasty := "\x1b[2J\r\nevil\u202e\"" + strings.Repeat("é", 500)
	v := Explain(Facts{Target: wss, Now: now, Err: says(503, "Server", nasty, "Via", nasty, "Retry-After", nasty)})
	checkHint(t, v.Hint)
	assert.Contains(t, v.Hint, "maintenance", "the header has pushed the words out")

	v = Explain(Facts{Target: wss, Now: now, Err: says(200, "Content-Type", "text/"+strings.Repeat("x", 5000))})
	checkHint(t, v.Hint)

	bad := &x509.Certificate{DNSNames: []string{nasty, nasty, nasty}, Issuer: pkix.Name{CommonName: nasty}}
	for _, err := range []error{x509.HostnameError{Certificate: bad, Host: nasty}, x509.UnknownAuthorityError{Cert: bad}} {
		checkHint(t, Explain(Facts{Target: wss, Now: now, Err: failed(tlsPhase, verification(err))}).Hint)
	}
	checkHint(t, Explain(Facts{Target: &url.URL{Scheme: "ws", Host: nasty, Path: nasty}, Err: says(404)}).Hint)
}

func TestClean(t *testing.T) {
	assert.Equal(t, `"it's 'quoted'"`, quote(`it's "quoted"`))
	assert.Equal(t, "as it is", clean("as it is", 8))
	assert.Equal(t, "as i…", clean("as it is it", 7))
	assert.Equal(t, "a?b?", clean("a\x00b\xff", 60))
	assert.Equal(t, "é…", clean("ééé", 5), "never half a character")
}
