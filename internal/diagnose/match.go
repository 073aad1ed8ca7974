package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast/transport"
)

// match is a condition of a row.
type match func(*failure) bool

// all holds when each of its conditions does.
func all(conditions ...match) match {
	return func(x *failure) bool {
		for _, holds := range conditions {
			if !holds(x) {
				return false
			}
		}
		return true
	}
}

// anyOf holds when one of its conditions does.
func anyOf(conditions ...match) match {
	return func(x *failure) bool {
		for _, holds := range conditions {
			if holds(x) {
				return true
			}
		}
		return false
	}
}

// not holds when its condition does not.
func not(condition match) match {
	return func(x *failure) bool { return !condition(x) }
}

func always(*failure) bool { return true }

// What the caller says.

func unreachable(x *failure) bool     { return x.Unreachable }
func stable(x *failure) bool          { return x.Stable }
func hasFallback(x *failure) bool     { return x.Fallback }
func welcomed(x *failure) bool        { return x.Welcomed }
func sessionRequired(x *failure) bool { return x.SessionRequired }
func noSession(x *failure) bool       { return errors.Is(x.Err, transport.ErrNoSession) }
func notSticky(x *failure) bool       { return errors.Is(x.Err, transport.ErrNotSticky) }
func hasAuthorize(x *failure) bool    { return x.Authorize }
func authorizedAgain(x *failure) bool { return x.Reauthorized }
func proxied(x *failure) bool         { return x.proxied }

// phase holds in one of the phases.
func phase(phases ...transport.Phase) match {
	return func(x *failure) bool {
		for _, p := range phases {
			if x.phase == p {
				return true
			}
		}
		return false
	}
}

// plain says that the connection was to be without TLS.
func plain(x *failure) bool { return x.asked != nil && !secure(x.asked) }

func secure(u *url.URL) bool { return u.Scheme == "wss" || u.Scheme == "https" }

// The answer.

func answered(x *failure) bool { return x.status != 0 }

// status holds for an answer with one of these codes.
func status(codes ...int) match {
	return func(x *failure) bool {
		for _, code := range codes {
			if x.status == code {
				return true
			}
		}
		return false
	}
}

// statusIn holds for an answer from first to last.
func statusIn(first, last int) match {
	return func(x *failure) bool { return first <= x.status && x.status <= last }
}

func isHTML(x *failure) bool {
	media, _, _ := mime.ParseMediaType(x.header.Get("Content-Type"))
	return media == "text/html" || media == "application/xhtml+xml"
}

// elsewhere says that redirects led to another host or port. From plain HTTP
// to TLS on the same host is no other place.
func elsewhere(x *failure) bool {
	if x.Target == nil || x.asked == nil {
		return false
	}
	if !strings.EqualFold(x.Target.Hostname(), x.asked.Hostname()) {
		return true
	}
	from, to := port(x.Target), port(x.asked)
	return from != to && !(from == "80" && to == "443")
}

// downgraded says that redirects led from TLS to plain HTTP, the last of them
// followed or not.
func downgraded(x *failure) bool {
	to := x.led()
	return x.Target != nil && secure(x.Target) && to != nil && (to.Scheme == "http" || to.Scheme == "ws")
}

// led is where redirects led to: the target of one that was not followed, or
// else the URL asked last.
func (x *failure) led() *url.URL {
	if to := x.location(); to != nil {
		return to
	}
	return x.asked
}

// location is the target of a redirect that was not followed, nil if it names none.
func (x *failure) location() *url.URL {
	to := x.header.Get("Location")
	if to == "" || x.asked == nil || x.status/100 != 3 {
		return nil
	}
	u, err := x.asked.Parse(to)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	return u
}

// port is the URL's port, or its scheme's.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if secure(u) {
		return "443"
	}
	return "80"
}

// The error: errno values.

func errno(set []syscall.Errno) match {
	return func(x *failure) bool {
		for _, e := range set {
			if errors.Is(x.Err, e) {
				return true
			}
		}
		return false
	}
}

// dialing says that the error is of making a connection, not of using one.
func dialing(x *failure) bool {
	return x.phase == transport.PhaseConnect || hasOp(x.Err, "dial")
}

// hasOp looks at every *net.OpError, since those of a proxy wrap others.
func hasOp(err error, op string) bool {
	return within(err, func(err error) bool {
		e, ok := err.(*net.OpError)
		return ok && e != nil && e.Op == op
	})
}

// within says whether an error of the tree is as asked for.
func within(err error, is func(error) bool) bool {
	if err == nil {
		return false
	}
	if is(err) {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return within(e.Unwrap(), is)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if within(inner, is) {
				return true
			}
		}
	}
	return false
}

// The error: types.

func insecure(x *failure) bool { return errors.Is(x.Err, transport.ErrInsecureCredentials) }

func permanent(x *failure) bool {
	_, ok := as[*backoff.PermanentError](x.Err)
	return ok
}

func canceled(x *failure) bool { return errors.Is(x.Err, context.Canceled) }

func isDNS(x *failure) bool {
	e, ok := as[*net.DNSError](x.Err)
	return ok && e != nil
}

func noSuchName(x *failure) bool {
	e, ok := as[*net.DNSError](x.Err)
	return ok && e != nil && e.IsNotFound && !e.IsTimeout
}

// dnsTimeout holds also where the end of a context hid the resolver's error.
func dnsTimeout(x *failure) bool {
	if e, ok := as[*net.DNSError](x.Err); ok && e != nil {
		return e.IsTimeout
	}
	return x.phase == transport.PhaseResolve && timedOut(x)
}

// timedOut looks at every error in the tree, since *url.Error and
// *net.OpError see a timeout only directly beneath themselves.
func timedOut(x *failure) bool {
	return errors.Is(x.Err, context.DeadlineExceeded) || errors.Is(x.Err, os.ErrDeadlineExceeded) ||
		errno(errnoTimeout)(x) || hasTimeout(x.Err)
}

func hasTimeout(err error) bool {
	return within(err, func(err error) bool {
		e, ok := err.(interface{ Timeout() bool })
		return ok && e.Timeout()
	})
}

// broken says that the connection ended without a word.
func broken(x *failure) bool {
	return errors.Is(x.Err, io.EOF) || errors.Is(x.Err, io.ErrUnexpectedEOF) || errors.Is(x.Err, io.ErrClosedPipe) ||
		errors.Is(x.Err, net.ErrClosed) || errno(errnoBroken)(x)
}

// wordless says that the failure may be the host's own lack of a way: no one
// answered, not even with a refusal.
var wordless = all(
	func(x *failure) bool { return x.status == 0 },
	anyOf(errno(errnoUnreachable), errno(errnoNoAddress), timedOut, isDNS),
)

// The error: TLS.

// alerted: tls.AlertError does not match what crypto/tls returns for an alert
// of the peer, which is unexported within a *net.OpError.
func alerted(x *failure) bool { return hasOp(x.Err, "remote error") }

// schemeMismatch says that plain HTTP answered TLS.
func schemeMismatch(x *failure) bool {
	if errors.Is(x.Err, http.ErrSchemeMismatch) {
		return true
	}
	e, ok := as[tls.RecordHeaderError](x.Err)
	return ok && string(e.RecordHeader[:]) == "HTTP/"
}

// notTLS says that something else than TLS answered TLS.
func notTLS(x *failure) bool {
	_, ok := as[tls.RecordHeaderError](x.Err)
	return ok
}

func wrongName(x *failure) bool {
	_, ok := as[x509.HostnameError](x.Err)
	return ok
}

func unknownAuthority(x *failure) bool {
	_, ok := as[x509.UnknownAuthorityError](x.Err)
	return ok
}

func noRoots(x *failure) bool {
	_, ok := as[x509.SystemRootsError](x.Err)
	return ok
}

// outOfDate says that a certificate is not valid now, in either direction.
func outOfDate(x *failure) bool {
	e, ok := as[x509.CertificateInvalidError](x.Err)
	return ok && e.Reason == x509.Expired
}

func notYetValid(x *failure) bool {
	if !outOfDate(x) {
		return false
	}
	cert := certificate(x)
	return cert != nil && !x.Now.IsZero() && x.Now.Before(cert.NotBefore)
}

// chainOutOfDate says that it is not the server's own certificate whose dates
// are wrong, but one above it. macOS and Windows do not say which: there it is
// so where the server's own is valid now.
func chainOutOfDate(x *failure) bool {
	if !outOfDate(x) {
		return false
	}
	cert := certificate(x)
	if e, ok := as[*tls.CertificateVerificationError](x.Err); ok && e != nil && len(e.UnverifiedCertificates) > 0 && !e.UnverifiedCertificates[0].Equal(cert) {
		return true
	}
	return cert != nil && !x.Now.Before(cert.NotBefore) && !x.Now.After(cert.NotAfter)
}

func untrusted(x *failure) bool {
	_, verification := as[*tls.CertificateVerificationError](x.Err)
	_, invalid := as[x509.CertificateInvalidError](x.Err)
	return verification || invalid || wrongName(x) || unknownAuthority(x) || noRoots(x)
}

// certificate is the one that did not verify, nil if the error does not say.
func certificate(x *failure) *x509.Certificate {
	if e, ok := as[x509.CertificateInvalidError](x.Err); ok && e.Cert != nil {
		return e.Cert
	}
	if e, ok := as[x509.HostnameError](x.Err); ok && e.Certificate != nil {
		return e.Certificate
	}
	if e, ok := as[x509.UnknownAuthorityError](x.Err); ok && e.Cert != nil {
		return e.Cert
	}
	if e, ok := as[*tls.CertificateVerificationError](x.Err); ok && e != nil && len(e.UnverifiedCertificates) > 0 {
		return e.UnverifiedCertificates[0]
	}
	return nil
}

// stripped: the server had the key of an upgrade without the upgrade, so a proxy
// took that away (docs/protocol.md).
func stripped(x *failure) bool { return x.header.Get("Holdfast-Diag") == "upgrade-stripped" }
