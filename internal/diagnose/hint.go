package diagnose

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/transport"
)

// Sizes in bytes: of a hint, and of a piece of text in it that came from
// outside (a host name, a header, a certificate).
const (
	maxHint = 400
	maxWord = 60
)

const inBrowser = runtime.GOOS == "js"

// hint makes the sentence of a row.
type hint func(*failure) string

// say makes a hint of a format and of words about the failure.
func say(format string, words ...hint) hint {
	return func(x *failure) string {
		args := make([]any, len(words))
		for i, word := range words {
			args[i] = word(x)
		}
		return fmt.Sprintf(format, args...)
	}
}

// where is host and port of the server that was asked last.
func where(x *failure) string { return hostOf(x.asked) }

func hostOf(u *url.URL) string {
	if u == nil || u.Hostname() == "" {
		return "the server"
	}
	return clean(net.JoinHostPort(u.Hostname(), port(u)), maxWord)
}

// next is what this host connects to: the proxy where there is one.
func next(x *failure) string {
	if x.proxied {
		return "the proxy"
	}
	return where(x)
}

// peer is whom TLS is spoken with.
func peer(x *failure) string {
	if x.phase == transport.PhaseProxy {
		return "the proxy"
	}
	return where(x)
}

// path is the path asked for. User-info and query stay out.
func path(x *failure) string { return pathOf(x.asked) }

func pathOf(u *url.URL) string {
	if u == nil || u.EscapedPath() == "" {
		return "/"
	}
	return clean(u.EscapedPath(), maxWord)
}

// place is the host and path that redirects led to.
func place(x *failure) string { return hostOf(x.led()) + pathOf(x.led()) }

// target is the place that a redirect names that was not followed.
func target(x *failure) string {
	if x.location() == nil {
		return "nowhere"
	}
	return place(x)
}

func phaseName(x *failure) string { return x.phase.String() }

// answerer is who answered, as far as the answer tells (RFC 9110, sections
// 10.2.4 and 7.6.3).
func answerer(x *failure) string {
	who := "the server"
	if x.phase == transport.PhaseProxy {
		who = "the proxy"
	}
	var signs []string
	if s := x.header.Get("Server"); s != "" {
		signs = append(signs, quote(s))
	}
	if s := x.header.Get("Via"); s != "" {
		signs = append(signs, "via "+quote(s))
	}
	if len(signs) == 0 {
		return who
	}
	return who + " (" + strings.Join(signs, " ") + ")"
}

// statusLine is the status with its registered name, whatever the answer
// called it.
func statusLine(x *failure) string {
	s := strconv.Itoa(x.status)
	if text := http.StatusText(x.status); text != "" {
		s += " " + text
	}
	return s
}

// statusAndType is the status with the media type of the body.
func statusAndType(x *failure) string {
	media, _, _ := mime.ParseMediaType(x.header.Get("Content-Type"))
	if media == "" {
		return statusLine(x)
	}
	return strconv.Itoa(x.status) + " " + clean(media, maxWord)
}

// orTLS is what else a refusal on a connection without TLS can mean.
func orTLS(x *failure) string {
	if plain(x) {
		return ", or speaks TLS on this port and wants wss://"
	}
	return ""
}

// afterWait says how long the answer asked to wait.
func afterWait(x *failure) string {
	d := RetryAfter(x.header.Get("Retry-After"), x.serverTime())
	if d == 0 {
		return ""
	}
	return "; it asks to wait " + d.Round(time.Second).String()
}

// lookedUp is the name that a resolver was asked for.
func lookedUp(x *failure) string {
	if e, ok := as[*net.DNSError](x.Err); ok && e != nil && e.Name != "" {
		return quote(e.Name)
	}
	if x.proxied || x.asked == nil {
		return "the host"
	}
	return quote(x.asked.Hostname())
}

// firstBytes shows what came where a TLS record should have.
func firstBytes(x *failure) string {
	e, _ := as[tls.RecordHeaderError](x.Err)
	for _, b := range e.RecordHeader {
		if b < ' ' || b > '~' {
			return fmt.Sprintf("% x", e.RecordHeader)
		}
	}
	return quote(string(e.RecordHeader[:]))
}

// wantedName is the name that the certificate should have been for.
func wantedName(x *failure) string {
	if e, ok := as[x509.HostnameError](x.Err); ok && e.Host != "" {
		return quote(e.Host)
	}
	return where(x)
}

// certNames is some of the names that the certificate is for.
func certNames(x *failure) string {
	cert := certificate(x)
	if cert == nil {
		return "another host"
	}
	var names []string
	for _, name := range cert.DNSNames {
		names = append(names, quote(name))
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, quote(ip.String()))
	}
	const shown = 2
	switch {
	case len(names) == 0:
		return "no host by name"
	case len(names) > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, " and ")
}

func certIssuer(x *failure) string {
	cert := certificate(x)
	if cert == nil {
		return "an authority"
	}
	return quote(nameOf(cert.Issuer))
}

// nameOf is what a person would call the holder of a distinguished name.
func nameOf(n pkix.Name) string {
	switch {
	case n.CommonName != "":
		return n.CommonName
	case len(n.Organization) > 0 && n.Organization[0] != "":
		return n.Organization[0]
	}
	return "an unnamed authority"
}

func certStart(x *failure) string {
	if cert := certificate(x); cert != nil {
		return date(cert.NotBefore)
	}
	return "a later date"
}

func certEnd(x *failure) string {
	if cert := certificate(x); cert != nil {
		return date(cert.NotAfter)
	}
	return "an earlier date"
}

func today(x *failure) string { return date(x.Now) }

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// quote makes text from outside fit to stand in a hint.
func quote(s string) string {
	return `"` + clean(strings.ReplaceAll(s, `"`, "'"), maxWord) + `"`
}

// clean keeps text printable and at most limit bytes long, so that what a
// stranger sent cannot steer a terminal or flood a log.
func clean(s string, limit int) string {
	const more = "…"
	cut := len(s) > 4*limit // look at no more than can be needed
	if cut {
		s = s[:4*limit]
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if !cut && len(s) <= limit {
		return s
	}
	s = s[:min(len(s), limit-len(more))]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + more
}
