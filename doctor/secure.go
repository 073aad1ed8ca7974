package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// soon is when a certificate is worth a word before it has expired.
	soon = 14 * 24 * time.Hour
	// mostNames is how many names of a certificate are told.
	mostNames = 10
)

// checkTunnel looks at what the proxy has answered.
func (x *exam) checkTunnel(s *Step) {
	if x.attempt == nil || x.stopped(s) {
		return
	}
	f := &TunnelFacts{Protocol: "CONNECT"}
	if strings.HasPrefix(x.proxy.Scheme, "socks") {
		f.Protocol = "SOCKS5"
	}
	if x.url.Scheme == "http" && f.Protocol == "CONNECT" {
		s.skip("http:// is asked of the proxy as such, without a tunnel")
		return
	}
	if !x.await(x.attempt.open) {
		return
	}
	m := x.attempt.now()
	if m.dialled.IsZero() {
		s.skip("not reached")
		return
	}
	s.Facts = f
	switch err := x.attempt.failure(); {
	case err != nil && err.Phase == transport.PhaseProxy:
		s.took(m.ended.Sub(m.dialled))
		f.StatusCode, f.Headers = err.StatusCode, x.secrets.headers(err.Header)
		if err.StatusCode != 0 {
			s.fail("%s answered %s%s", f.Protocol, statusLine(err.StatusCode), by(f.Headers))
		} else {
			s.fail("%s: %s", f.Protocol, x.brief(err.Err))
		}
		x.describeHeaders(s, f.Headers)
	default:
		until := m.opened
		if !m.tlsBegan.IsZero() && m.tlsBegan.After(m.dialled) && !m.proxyTLS {
			until = m.tlsBegan
		}
		if until.IsZero() {
			until = m.ended
		}
		s.took(until.Sub(m.dialled))
		s.Summary = fmt.Sprintf("%s to %s is open", f.Protocol, hostPort(x.url))
	}
}

// await waits for what, or the attempt's end; false says that the check was
// called off.
func (x *exam) await(what <-chan struct{}) bool {
	select {
	case <-what:
	case <-x.attempt.done:
	case <-x.ctx.Done():
		return false
	}
	return true
}

// stopped skips a step that something before has made pointless, so that nobody
// waits for what the attempt may still try.
func (x *exam) stopped(s *Step) bool {
	if x.proxyErr != nil || inBrowser {
		s.skip("not reached")
		return true
	}
	return false
}

// checkTLS looks at TLS with the server, trusted or not.
func (x *exam) checkTLS(s *Step) {
	switch {
	case !x.secure():
		s.skip("the URL asks for none")
		return
	case inBrowser:
		s.skip(notInBrowser)
		return
	case x.attempt == nil || x.stopped(s) || !x.await(x.attempt.open):
		return
	}
	m := x.attempt.now()
	f := &TLSFacts{ServerName: x.serverName(), VerificationOff: x.opts.TLSConfig != nil && x.opts.TLSConfig.InsecureSkipVerify}
	cs, ok := m.server()
	if ok && !m.opened.IsZero() {
		s.Facts = f
		from := m.tlsBegan
		if m.proxyTLS {
			from = m.statesAt[0]
		}
		s.took(m.opened.Sub(from))
		f.Verified = !f.VerificationOff
		x.describeTLS(s, f, cs)
		return
	}
	failed := x.attempt.failure()
	if failed == nil || failed.Phase != transport.PhaseTLS {
		s.skip("not reached")
		return
	}
	s.Facts = f
	s.took(m.ended.Sub(m.tlsBegan))
	f.Error = x.brief(failed.Err)
	var untrusted *tls.CertificateVerificationError
	if !errors.As(failed.Err, &untrusted) {
		s.fail("%s", f.Error)
		return
	}
	// Once more without verification: it ends before a request could leave.
	look := x.connect(nil, func(c *tls.Config) {
		c.InsecureSkipVerify, c.VerifyPeerCertificate = true, nil //nolint:gosec // nothing is sent over it
	}, true)
	<-look.done // it ends with ctx
	look.give()
	cs, ok = look.now().server()
	if !ok {
		cs = tls.ConnectionState{PeerCertificates: untrusted.UnverifiedCertificates}
	}
	x.describeTLS(s, f, cs)
	s.fail("%s", f.Error)
}

// serverName is the name that the certificate has to be for.
func (x *exam) serverName() string {
	if c := x.opts.TLSConfig; c != nil && c.ServerName != "" {
		return c.ServerName
	}
	return x.url.Hostname()
}

func (x *exam) describeTLS(s *Step, f *TLSFacts, cs tls.ConnectionState) {
	if cs.Version != 0 {
		f.Version, f.CipherSuite, f.ALPN = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), cs.NegotiatedProtocol
		s.Summary = f.Version + ", " + f.CipherSuite
		if f.ALPN != "" {
			s.Summary += ", " + f.ALPN
		}
		if f.Error != "" {
			s.detail("%s", s.Summary)
		}
	}
	for _, c := range cs.PeerCertificates {
		f.Chain = append(f.Chain, x.certificate(c))
	}
	if len(f.Chain) == 0 {
		return
	}
	f.NameMatch = cs.PeerCertificates[0].VerifyHostname(f.ServerName) == nil
	for i, c := range f.Chain {
		s.detail("%s, from %s, %s", c.Subject, c.Issuer, lifetime(c))
		if i == 0 {
			match := ""
			if !f.NameMatch {
				match = ", and not for " + f.ServerName
			}
			s.detail("  for %s%s", listNames(c.Names), match)
		}
	}
	leaf := cs.PeerCertificates[0]
	if left := time.Until(leaf.NotAfter); f.Verified && left < soon {
		s.warn()
		x.warnings["expiry"] = true
		s.Summary += fmt.Sprintf("; the certificate expires in %d days", f.Chain[0].ExpiresInDays)
	}
	if f.VerificationOff {
		s.warn()
		x.warnings["unverified"] = true
		s.Summary += "; NOT VERIFIED: anybody may be answering"
		if !f.NameMatch {
			s.detail("  verification is off, and would fail for the name alone")
		}
	}
}

func (x *exam) certificate(c *x509.Certificate) Certificate {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	shown := []string{}
	for _, n := range names[:min(len(names), mostNames)] {
		shown = append(shown, x.secrets.show(n))
	}
	days := int(time.Until(c.NotAfter).Hours() / 24)
	if time.Now().After(c.NotAfter) {
		days = min(days, -1)
	}
	return Certificate{
		Subject: x.holder(c.Subject.CommonName, c.Subject.Organization), Issuer: x.holder(c.Issuer.CommonName, c.Issuer.Organization),
		Names: shown, NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), ExpiresInDays: days,
	}
}

func (x *exam) holder(name string, organization []string) string {
	switch {
	case name != "":
	case len(organization) > 0:
		name = organization[0]
	default:
		name = "(no name)"
	}
	return x.secrets.show(name)
}

func lifetime(c Certificate) string {
	const day = "2006-01-02"
	switch {
	case time.Now().Before(c.NotBefore):
		return "not valid before " + c.NotBefore.Format(day)
	case c.ExpiresInDays < 0:
		return "expired on " + c.NotAfter.Format(day)
	}
	return fmt.Sprintf("until %s, %d days", c.NotAfter.Format(day), c.ExpiresInDays)
}

func listNames(names []string) string {
	const shown = 3
	switch n := len(names); {
	case n == 0:
		return "no host by name"
	case n > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), n-shown)
	}
	return strings.Join(names, ", ")
}

func statusLine(code int) string {
	if text := http.StatusText(code); text != "" {
		return fmt.Sprintf("%d %s", code, text)
	}
	return fmt.Sprint(code)
}

// by says who answered, as far as the answer tells.
func by(h map[string]string) string {
	if s := h["Server"]; s != "" {
		return ", by " + s
	}
	return ""
}

func (x *exam) describeHeaders(s *Step, h map[string]string) {
	for _, name := range telling {
		if v := h[http.CanonicalHeaderKey(name)]; v != "" && name != "Date" {
			s.detail("%s: %s", name, v)
		}
	}
}
