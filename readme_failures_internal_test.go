package holdfast

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/diagnose"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/transport"
)

// failureRow is a row of README's table of failed attempts. Class and decision
// come from package diagnose.
type failureRow struct {
	cause string
	facts []diagnose.Facts // of which all give the same class and decision
	does  string           // in place of the decision, where the state says more
}

func failedAttempt(phase Phase, err error) diagnose.Facts {
	return diagnose.Facts{Err: &transport.Error{Phase: phase, Err: err}, Target: &url.URL{Scheme: "wss", Host: "server.example"}}
}

func failedWith(e syscall.Errno) diagnose.Facts {
	return failedAttempt(PhaseConnect, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)})
}

func answers(phase Phase, header http.Header, statuses ...int) (all []diagnose.Facts) {
	for _, status := range statuses {
		f := failedAttempt(phase, nil)
		f.Err = &transport.Error{Phase: phase, StatusCode: status, Header: header, Err: errors.New("not 101")}
		all = append(all, f)
	}
	return all
}

func one(f diagnose.Facts) []diagnose.Facts { return []diagnose.Facts{f} }

func also(all []diagnose.Facts, change func(*diagnose.Facts)) []diagnose.Facts {
	for i := range all {
		change(&all[i])
	}
	return all
}

var failureRows = []failureRow{
	{"this host has no way to the server, or to the proxy",
		also(one(failedWith(syscall.ENETUNREACH)), func(f *diagnose.Facts) { f.Unreachable = true }),
		"waits in `StateOffline` at no cost; dials when there is a way again, and as a probe every 30 s"},
	{"a local rule forbids it: firewall, prohibit or blackhole route",
		[]diagnose.Facts{failedWith(syscall.EACCES), failedWith(syscall.EINVAL)}, ""},
	{"a router or neighbour says that it cannot be reached",
		[]diagnose.Facts{failedWith(syscall.EHOSTUNREACH), failedWith(syscall.ENETUNREACH)}, ""},
	{"nothing listens, or a firewall rejects", one(failedWith(syscall.ECONNREFUSED)), ""},
	{"no answer in time, to TCP, TLS or the handshake",
		[]diagnose.Facts{failedAttempt(PhaseConnect, context.DeadlineExceeded), failedAttempt(PhaseTLS, context.DeadlineExceeded), failedAttempt(PhaseHandshake, context.DeadlineExceeded)}, ""},
	{"the name does not exist", one(failedAttempt(PhaseResolve, &net.DNSError{Err: "no such host", IsNotFound: true})), ""},
	{"the name servers fail or do not answer",
		[]diagnose.Facts{failedAttempt(PhaseResolve, &net.DNSError{Err: "server misbehaving", IsTemporary: true}), failedAttempt(PhaseResolve, &net.DNSError{Err: "i/o timeout", IsTimeout: true})}, ""},
	{"the certificate is for another host", one(failedAttempt(PhaseTLS, unverified(x509.HostnameError{Certificate: &x509.Certificate{}}))), ""},
	{"the certificate is for another host where a link was stable before",
		also(one(failedAttempt(PhaseTLS, unverified(x509.HostnameError{Certificate: &x509.Certificate{}}))), func(f *diagnose.Facts) { f.Stable = true }), ""},
	{"the certificate has expired, is not valid yet, or its authority is unknown: clock or captive portal may be the cause",
		[]diagnose.Facts{failedAttempt(PhaseTLS, unverified(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired})), failedAttempt(PhaseTLS, unverified(x509.UnknownAuthorityError{Cert: &x509.Certificate{}}))}, ""},
	{"`wss://` to a port without TLS", []diagnose.Facts{failedAttempt(PhaseTLS, http.ErrSchemeMismatch), failedAttempt(PhaseTLS, tls.RecordHeaderError{})}, ""},
	{"`wss://` to a port without TLS where a link was stable before",
		also([]diagnose.Facts{failedAttempt(PhaseTLS, tls.RecordHeaderError{})}, func(f *diagnose.Facts) { f.Stable = true }), ""},
	{"the server ends TLS with an alert", one(failedAttempt(PhaseTLS, &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")})), ""},
	{"the connection ends or is reset before the answer",
		[]diagnose.Facts{failedAttempt(PhaseHandshake, io.EOF), failedAttempt(PhaseHandshake, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)})}, ""},
	{"the proxy answers 407", answers(PhaseProxy, nil, 407), ""},
	{"the proxy answers another 4xx to CONNECT", answers(PhaseProxy, nil, 400, 403, 404), ""},
	{"the proxy cannot be reached, or answers 408, 429 or 5xx", append(answers(PhaseProxy, nil, 408, 429, 502, 503), failedAttempt(PhaseProxy, io.EOF)), ""},
	{"200 with a page, a redirect to elsewhere, 511, or a 101 that is none",
		append(answers(PhaseHandshake, http.Header{"Content-Type": {"text/html"}}, 200), answers(PhaseHandshake, nil, 101, 204, 302, 511)...), ""},
	{"401 or 403, with `Authorize`", also(answers(PhaseHandshake, nil, 401, 403), func(f *diagnose.Facts) { f.Authorize = true }), ""},
	{"401 or 403, without", answers(PhaseHandshake, nil, 401, 403), ""},
	{"404", answers(PhaseHandshake, nil, 404), ""},
	{"404 where a link was stable before, or 410",
		append(also(answers(PhaseHandshake, nil, 404), func(f *diagnose.Facts) { f.Stable = true }), answers(PhaseHandshake, nil, 410)...), ""},
	{"408, 429, 5xx but for 501; `Retry-After` is a floor under the delay", answers(PhaseHandshake, nil, 408, 429, 500, 502, 503, 504, 599), ""},
	{"400, 405, 426, 501 and every other 4xx", answers(PhaseHandshake, nil, 400, 402, 405, 413, 418, 421, 426, 431, 499, 501), ""},
	{"WebSocket fails in one of these ways, and the `Fallback` is welcomed",
		also(append(answers(PhaseHandshake, http.Header{"Holdfast-Diag": {"upgrade-stripped"}}, 426),
			append(answers(PhaseHandshake, nil, 200, 400, 403, 404, 502), failedAttempt(PhaseHandshake, io.EOF), failedAttempt(PhaseHandshake, context.DeadlineExceeded))...),
			func(f *diagnose.Facts) { f.Fallback, f.Welcomed = true, true }),
		"goes on over the fallback: `EventFellBack`, in place of `EventAttemptFailed`"},
	{"400, 426 or 501, and the `Fallback` fails too", also(answers(PhaseHandshake, nil, 400, 426, 501), func(f *diagnose.Facts) { f.Fallback = true }), ""},
	{"a server without sessions, where `SessionRequire` asks for one", also(one(failedAttempt(PhaseHandshake, transport.ErrNoSession)), func(f *diagnose.Facts) { f.SessionRequired = true }), ""},
	{"a server without sessions, where there was one before", one(failedAttempt(PhaseHandshake, transport.ErrNoSession)), ""},
	{"for the second time in a minute another server answers for a session (421), though cookies are kept", one(failedAttempt(PhaseHandshake, transport.ErrNotSticky)), ""},
	{"`Authorize` or `OnConnect` returns an error, or takes too long",
		[]diagnose.Facts{failedAttempt(PhaseAuthorize, errors.New("no token")), failedAttempt(PhaseOnConnect, context.DeadlineExceeded)}, ""},
	{"their error wraps `backoff.Permanent`, or `Authorize` sets credentials for `ws://` to another host",
		[]diagnose.Facts{failedAttempt(PhaseAuthorize, backoff.Permanent(errors.New("no token"))), failedAttempt(PhaseAuthorize, ErrInsecureCredentials)}, ""},
}

func unverified(err error) error { return &tls.CertificateVerificationError{Err: err} }

func TestReadmeFailedAttempts(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		t.Skip("other errno values; README is the same")
	}
	want := []string{"| What happens | The Conn | Class |", "|---|---|---|"}
	for _, r := range failureRows {
		first := diagnose.Explain(r.facts[0])
		for _, f := range r.facts[1:] {
			v := diagnose.Explain(f)
			require.Equal(t, []any{first.Class, first.Decision}, []any{v.Class, v.Decision}, "%s: %v", r.cause, f.Err)
		}
		does := r.does
		if does == "" {
			does = inWords(first.Decision)
		}
		want = append(want, "| "+r.cause+" | "+does+" | `"+classConstant(first.Class)+"` |")
	}
	requireInReadme(t, want)
}

// classConstant is a class by the name of its constant.
func classConstant(c Class) string {
	name := "Class"
	for word := range strings.FieldsSeq(c.String()) {
		switch word {
		case "dns", "tls":
			name += strings.ToUpper(word)
		default:
			name += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return name
}

func TestReadmeSessions(t *testing.T) {
	const afresh, lost = "opens another session in the same attempt", "is lost"
	decides := func(e *CloseError) string { return inWords(e.decision(false)) }
	elsewhere := &CloseError{Code: StatusPolicyViolation, Remote: true, Err: errUsedElsewhere}
	want := []string{"| What happens in a session | The Conn | The session | Error |", "|---|---|---|---|"}
	for _, r := range []struct{ cause, does, session, sees string }{
		{"a link ends in one of the ways above", "does what is said above", "goes on over the next link", "as above"},
		{"a close frame ends the link, and not the session", decides(closeError(linkClosedError("closed with 1000"))), "goes on over the next link", "code 1006"},
		{"the server breaks the session's protocol", decides(closeError(&session.Violation{Code: 1002})), "goes on over the next link", "code 1006"},
		{"the server closes the session", "does what the next table says; before it stops it sends what was accepted", "is over", "the server's code and reason, `Remote`"},
		{"the server does not know it: `ResumeTTL` is over, or a limit has ended it", afresh, lost, "the cause, in `EventDropped` if messages are of unknown fate"},
		{"another server answers, or a restarted one, three times in 0.2 s", afresh, lost, "the same"},
		{"the server refuses the request for it: 401, 403, 429, 503", "does what the first table says of the status", "stays, for `ResumeTTL`", "a `*DialError`"},
		{"another program uses its secret", decides(elsewhere), "goes on there", "code 1008, `Remote`"},
		{"the program does not call `Receive`, and `ReceiveBuffer` is full", "reads on", "goes on; its window holds the server back", "none"},
	} {
		want = append(want, "| "+r.cause+" | "+r.does+" | "+r.session+" | "+r.sees+" |")
	}
	requireInReadme(t, want)
}

func TestReadmeLostLinks(t *testing.T) {
	const free = "dials afresh at once, at no cost"
	decides := func(e *CloseError) string { return inWords(e.decision(false)) }
	want := []string{"| What happens | The Conn | Error |", "|---|---|---|"}
	for _, r := range []struct{ cause, does, sees string }{
		{"the server sends a close frame", "does what the next table says", "the server's code and reason, `Remote`"},
		{"the connection ends or is reset without one", decides(closeError(io.EOF)), "code 1006"},
		{"a ping is not answered within `Keepalive.Timeout`: half-open", decides(&CloseError{Code: StatusAbnormalClosure, Err: ErrNoPong}), "code 1006, `ErrNoPong`"},
		{"the network takes nothing of what is written for `WriteTimeout`", decides(closeError(os.ErrDeadlineExceeded)), "code 1006"},
		{"the server breaks the protocol", decides(closeError(&transport.ProtocolError{Code: 1002})), "code 1002, which the server is told"},
		{"the server sends text that is not UTF-8", decides(closeError(&transport.ProtocolError{Code: 1007})), "code 1007, which the server is told"},
		{"a message is larger than `MaxMessageSize`", decides(closeError(transport.ErrMessageTooBig)), "code 1009, which the server is told, `ErrMessageTooBig`"},
		{"the link is lost and this host has no way to the server", "waits in `StateOffline` at no cost", "code 1006"},
		{"the link's local address is gone", free, "code 1006"},
		{"another change of the network, or a resume from sleep", "sends a ping; without an answer in 3 s it " + free, "code 1006, `ErrNoPong`"},
		{"`Conn.Reconnect`", free, "code 1006"},
		{"the program does not call `Receive`, and `ReceiveBuffer` is full, without a session", "stops reading, which slows the server; the link lives", "none; `Flush` and `SendSync` give `ErrReceiveBufferFull`"},
	} {
		want = append(want, "| "+r.cause+" | "+r.does+" | "+r.sees+" |")
	}
	requireInReadme(t, want)
}
