package holdfast

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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// These tests hold docs/troubleshooting.md to the errors that this package makes:
// every class, hint, close code and exported error has to be there as a program's
// log shows it. Each block of the page is marked with the list that it is made of.

const troubleshooting = "docs/troubleshooting.md"

// seen is a failed attempt that the page shows.
type seen struct {
	err  error
	opts Options
	circumstances
	stable, reauthorized bool
	url                  string // other than wss://server.example/stream
}

func failing(phase Phase, err error) seen {
	return seen{err: &transport.Error{Phase: phase, Err: err}}
}

func failingWith(e syscall.Errno) seen {
	return failing(PhaseConnect, &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.NewSyscallError("connect", e)})
}

// answering are answers with a status, which header and change may add to.
func answering(phase Phase, header http.Header, change func(*seen), statuses ...int) (all []seen) {
	for _, status := range statuses {
		s := seen{err: &transport.Error{Phase: phase, StatusCode: status, Header: header,
			Err: fmt.Errorf("the answer is %s, not 101", strings.TrimSpace(fmt.Sprint(status, " ", http.StatusText(status))))}}
		if phase == PhaseProxy {
			s.err.(*transport.Error).Err = errors.New("proxyconnect tcp: " + http.StatusText(status))
		}
		if change != nil {
			change(&s)
		}
		all = append(all, s)
	}
	return all
}

func but(s seen, change func(*seen)) seen {
	change(&s)
	return s
}

// endingAt lets an attempt end at another URL than it began with.
func endingAt(at string) func(*seen) {
	u, err := url.Parse(at)
	if err != nil {
		panic(err)
	}
	return func(s *seen) { s.err.(*transport.Error).URL = u }
}

func throughProxy(s *seen) { s.err.(*transport.Error).Proxied = true }
func wasStable(s *seen)    { s.stable = true }
func withPlain(s *seen)    { s.url = "ws://server.example/stream" }
func withFallback(s *seen) { s.opts.Fallback = []Transport{nil} }
func withWelcome(s *seen)  { withFallback(s); s.welcomed = true }
func withAuthorize(s *seen) {
	s.opts.Authorize = func(context.Context, *http.Request, error) error { return nil }
}
func withAuthorizeAgain(s *seen) { withAuthorize(s); s.reauthorized = true }

var (
	longAgo, farOff = time.Date(2001, 2, 3, 4, 5, 0, 0, time.UTC), time.Date(2999, 2, 3, 4, 5, 0, 0, time.UTC)
	goodCertificate = &x509.Certificate{Raw: []byte{1}, DNSNames: []string{"other.example"}, NotBefore: longAgo, NotAfter: farOff, Issuer: pkix.Name{CommonName: "Some Root"}}
	oldCertificate  = &x509.Certificate{Raw: []byte{2}, DNSNames: []string{"server.example"}, NotBefore: longAgo, NotAfter: longAgo.AddDate(1, 0, 0)}
	newCertificate  = &x509.Certificate{DNSNames: []string{"server.example"}, NotBefore: farOff, NotAfter: farOff.AddDate(1, 0, 0)}
)

func distrusting(cert *x509.Certificate, err error) seen {
	return failing(PhaseTLS, &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{cert}, Err: err})
}

var (
	wrongHost  = distrusting(goodCertificate, x509.HostnameError{Certificate: goodCertificate, Host: "server.example"})
	notTLS     = failing(PhaseTLS, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake", RecordHeader: [5]byte{'S', 'S', 'H', '-', '2'}})
	resetError = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	html       = http.Header{"Content-Type": {"text/html"}}
)

// sights are the failed attempts of the page, by class.
var sights = map[Class][]seen{
	ClassOffline:     {but(failingWith(syscall.ENETUNREACH), func(s *seen) { s.unreachable = true })},
	ClassLocalPolicy: {failingWith(syscall.EACCES), failingWith(syscall.EINVAL)},
	ClassUnreachable: {failingWith(syscall.EHOSTUNREACH)},
	ClassServerDown:  {failingWith(syscall.ECONNREFUSED)},
	ClassTimeout: {failing(PhaseConnect, context.DeadlineExceeded), failing(PhaseTLS, context.DeadlineExceeded),
		failing(PhaseHandshake, context.DeadlineExceeded), failing(transport.PhaseNone, context.DeadlineExceeded)},
	ClassName: {failing(PhaseResolve, &net.DNSError{Err: "no such host", Name: "server.example", IsNotFound: true})},
	ClassDNS: {failing(PhaseResolve, &net.DNSError{Err: "server misbehaving", Name: "server.example", IsTemporary: true}),
		failing(PhaseResolve, &net.DNSError{Err: "i/o timeout", Name: "server.example", IsTimeout: true})},
	ClassTLS: {failing(PhaseTLS, &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}),
		failing(PhaseTLS, errors.New("tls: server selected unsupported protocol version 301"))},
	ClassTLSTrust: {wrongHost, but(wrongHost, wasStable),
		distrusting(oldCertificate, x509.CertificateInvalidError{Cert: oldCertificate, Reason: x509.Expired}),
		distrusting(newCertificate, x509.CertificateInvalidError{Cert: newCertificate, Reason: x509.Expired}),
		distrusting(goodCertificate, x509.CertificateInvalidError{Cert: oldCertificate, Reason: x509.Expired}),
		distrusting(goodCertificate, x509.UnknownAuthorityError{Cert: goodCertificate}),
		distrusting(goodCertificate, x509.SystemRootsError{}),
		distrusting(goodCertificate, x509.CertificateInvalidError{Cert: goodCertificate, Reason: x509.NotAuthorizedToSign})},
	ClassWrongScheme: {failing(PhaseTLS, http.ErrSchemeMismatch), but(failing(PhaseTLS, http.ErrSchemeMismatch), wasStable),
		notTLS, but(notTLS, wasStable), failing(PhaseProxy, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"})},
	ClassTransient: {failing(PhaseTLS, io.EOF), but(failing(PhaseHandshake, io.EOF), withPlain), failing(PhaseHandshake, resetError)},
	ClassBlocked: slices.Concat(
		answering(PhaseHandshake, http.Header{"Holdfast-Diag": {"upgrade-stripped"}}, withWelcome, 426),
		answering(PhaseHandshake, nil, withWelcome, 403),
		answering(PhaseHandshake, nil, withFallback, 400, 426, 501)),
	ClassIntercepted: slices.Concat(
		answering(PhaseHandshake, html, nil, 200),
		answering(PhaseHandshake, nil, nil, 204, 101, 511),
		answering(PhaseHandshake, http.Header{"Location": {"https://login.example/"}}, nil, 302),
		answering(PhaseHandshake, nil, endingAt("https://login.example/start"), 403),
		answering(PhaseHandshake, nil, endingAt("http://server.example/start"), 403),
		answering(PhaseHandshake, nil, nil, 999)),
	ClassProxyAuth:    slices.Concat(answering(PhaseProxy, nil, throughProxy, 407), answering(PhaseHandshake, nil, nil, 407)),
	ClassProxyRefused: answering(PhaseProxy, nil, throughProxy, 403),
	ClassProxyDown: append(answering(PhaseProxy, nil, throughProxy, 503, 302),
		but(failing(PhaseResolve, &net.DNSError{Err: "no such host", Name: "proxy.example", IsNotFound: true}), throughProxy),
		but(failingWith(syscall.ECONNREFUSED), throughProxy),
		but(failing(PhaseProxy, context.DeadlineExceeded), throughProxy),
		but(failing(PhaseProxy, io.EOF), throughProxy)),
	ClassNotFound: slices.Concat(answering(PhaseHandshake, nil, nil, 404, 410), answering(PhaseHandshake, nil, wasStable, 404)),
	ClassUnauthorized: slices.Concat(answering(PhaseHandshake, nil, nil, 401, 403),
		answering(PhaseHandshake, nil, withAuthorize, 401, 403), answering(PhaseHandshake, nil, withAuthorizeAgain, 401, 403)),
	ClassRejected: slices.Concat(answering(PhaseHandshake, nil, nil, 400, 426, 501, 405, 431, 421, 418),
		answering(PhaseHandshake, nil, withPlain, 400),
		[]seen{failing(PhaseHandshake, transport.ErrNoSession),
			but(failing(PhaseHandshake, transport.ErrNoSession), func(s *seen) { s.opts.Session = SessionRequire })}),
	ClassOverloaded: slices.Concat(answering(PhaseHandshake, http.Header{"Retry-After": {"30"}}, nil, 429, 503),
		answering(PhaseHandshake, nil, nil, 408, 502, 500)),
	ClassCallback: {failing(PhaseAuthorize, errors.New("no token")), failing(PhaseOnConnect, errors.New("no answer to the subscription")),
		failing(PhaseAuthorize, backoff.Permanent(errors.New("no such user"))),
		but(failing(PhaseAuthorize, ErrInsecureCredentials), withPlain)},
	ClassNotSticky: {failing(PhaseHandshake, transport.ErrNotSticky)},
	ClassUnknown: {failingWith(syscall.EMFILE), failingWith(syscall.EADDRNOTAVAIL), failing(PhaseHandshake, context.Canceled),
		failing(PhaseHandshake, errors.New("the answer is not HTTP")), failing(transport.PhaseNone, errors.New("something else"))},
}

func (s seen) explain(t *testing.T) *DialError {
	t.Helper()
	name := s.url
	if name == "" {
		name = "wss://server.example/stream"
	}
	u, err := url.Parse(name)
	require.NoError(t, err)
	s.transport = "websocket"
	return explain(s.err, &endpoint{url: u, name: name, stable: s.stable, reauthorized: s.reauthorized}, &s.opts, s.circumstances)
}

// clocks are the parts of hints that tell the time of the test.
var clocks = regexp.MustCompile(`clock(, which)? says [-0-9]+ [:0-9]+ UTC`)

// requirePageBlock requires a block of text with that mark on the page.
func requirePageBlock(t *testing.T, mark string, lines []string) {
	t.Helper()
	text := "<!-- output: errors " + mark + " -->\n```text\n" + strings.Join(lines, "\n") + "\n```\n"
	if !strings.Contains(troubles(t), text) {
		t.Errorf("%s has to contain:\n\n%s", troubleshooting, text)
	}
}

func troubles(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(troubleshooting)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func onlyWhereErrnoIsThatOfUnix(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other errno values and texts; the page is the same")
	}
}

func TestTroubleshootingClasses(t *testing.T) {
	onlyWhereErrnoIsThatOfUnix(t)
	page := troubles(t)
	for class := Class(0); !strings.Contains(class.String(), "("); class++ {
		require.NotEmpty(t, sights[class], class.String())
		assert.Contains(t, page, "\n## "+class.String()+"\n", "a section for each class")
		var lines []string
		for _, s := range sights[class] {
			e := s.explain(t)
			require.Equal(t, class.String(), e.Class.String(), e.Error())
			line := clocks.ReplaceAllString(e.Error(), "clock$1 says 2026-01-02 03:04 UTC")
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		requirePageBlock(t, class.String(), lines)
	}
}

// TestTroubleshootingHasEveryHint compares the page with the table of package
// diagnose, whose hints are formats.
func TestTroubleshootingHasEveryHint(t *testing.T) {
	table, err := os.ReadFile("internal/diagnose/table.go")
	require.NoError(t, err)
	hints := regexp.MustCompile(`say\("([^"]+)"`).FindAllStringSubmatch(string(table), -1)
	require.Greater(t, len(hints), 70)
	page := troubles(t)
	for _, h := range hints {
		if strings.HasPrefix(h[1], "the browser does not tell") {
			continue // which only a browser's program gets to see; the page quotes it
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(h[1]), "%s", ".*")
		assert.True(t, regexp.MustCompile(`\(`+pattern+`\)\n`).MatchString(page), "no line with the hint %q", h[1])
	}
	assert.Contains(t, page, "the browser does not tell programs why")
}

func TestTroubleshootingCloseCodes(t *testing.T) {
	var lines []string
	for _, r := range closeCodes {
		if r.first == r.last && r.first.sendable() {
			lines = append(lines, (&CloseError{Code: r.first, Remote: true}).Error())
		}
	}
	requirePageBlock(t, "close codes", append(lines, (&CloseError{Code: 4000, Reason: "why", Remote: true}).Error()))
}

func TestTroubleshootingLostLinks(t *testing.T) {
	onlyWhereErrnoIsThatOfUnix(t)
	requirePageBlock(t, "lost links", []string{
		closeError(io.EOF).Error(),
		closeError(resetError).Error(),
		(&CloseError{Code: StatusAbnormalClosure, Err: ErrNoPong}).Error(),
		closeError(os.ErrDeadlineExceeded).Error(),
		(&CloseError{Code: StatusAbnormalClosure, Err: errNetworkChange}).Error(),
		(&CloseError{Code: StatusAbnormalClosure, Err: errReconnect}).Error(),
		closeError(&transport.ProtocolError{Code: 1002, Err: errors.New("a masked frame")}).Error(),
		closeError(&transport.ProtocolError{Code: 1007, Err: errors.New("text that is not UTF-8")}).Error(),
		closeError(transport.ErrMessageTooBig).Error(),
		(&CloseError{Code: StatusPolicyViolation, Remote: true, Err: errUsedElsewhere}).Error(),
	})
}

func TestTroubleshootingCalls(t *testing.T) {
	onlyWhereErrnoIsThatOfUnix(t)
	refused := sights[ClassServerDown][0].explain(t)
	_, invalid := Dial(t.Context(), "wss://server.example/stream", &Options{Retry: RetryPolicy{MaxRetries: -5}})
	requirePageBlock(t, "calls", []string{
		ErrClosed.Error(),
		(&exhaustedError{failures: 11, last: refused}).Error(),
		(&waitError{ctxErr: context.DeadlineExceeded, last: refused}).Error(),
		(&SendError{Outcome: NotSent, Count: 1, Err: ErrBufferFull}).Error(),
		(&SendError{Outcome: NotSent, Count: 1, Err: context.DeadlineExceeded}).Error(),
		(&SendError{Outcome: NotSent, Count: 1, Err: ErrMessageTooBig}).Error(),
		(&SendError{Outcome: MaybeSent, Count: 3, Err: ErrNoPong}).Error(),
		(&SendError{Outcome: NotSent, Count: 2, Err: ErrDropped}).Error(),
		(&SendError{Outcome: NotSent, Count: 2, Err: ErrStale}).Error(),
		(&SendError{Outcome: MaybeSent, Count: 1, Err: ErrReceiveBufferFull}).Error(),
		(&SendError{Outcome: MaybeSent, Count: 4, Err: ErrSessionLost}).Error(),
		(&SendError{Outcome: MaybeSent, Count: 1, Err: errNotConnected}).Error(),
		(&SendError{Outcome: NotSent, Count: 1, Err: errInOnConnect}).Error(),
		(&UnsentError{Messages: 2, Bytes: 64, MaybeSent: 1, Err: context.DeadlineExceeded}).Error(),
		invalid.Error(),
	})
}

// TestTroubleshootingHasEveryError holds the page to the exported errors.
func TestTroubleshootingHasEveryError(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^\t(Err[A-Z]\w+) +(?:error )?=`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(names), 8)
	page := troubles(t)
	for _, n := range names {
		assert.Contains(t, page, "`"+n[1]+"`")
	}
}
