package doctor

import (
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"
	"unicode"

	"github.com/holdfast-ws/holdfast/internal/redact"
)

// Sizes in bytes: of the shortest secret that is looked for in what others said,
// of the shortest value of any other header, and of such a text.
const (
	shortSecret = 4
	shortValue  = 8
	maxText     = 200
)

// secrets are what was sent and must not be shown, even where somebody quotes it.
type secrets struct {
	mu   sync.Mutex
	list []string // the longest first
}

func (s *secrets) add(least int, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if len(v) >= least {
			s.list = append(s.list, v)
		}
	}
	sort.SliceStable(s.list, func(i, j int) bool { return len(s.list[i]) > len(s.list[j]) })
}

func (s *secrets) ofURL(u *url.URL) {
	if u == nil {
		return
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.add(1, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
		s.add(shortSecret, u.User.Username(), password)
	}
	for _, part := range strings.Split(u.RawQuery, "&") {
		_, value, found := strings.Cut(part, "=")
		if !found {
			value = part
		}
		s.add(shortSecret, value)
		if plain, err := url.QueryUnescape(value); err == nil {
			s.add(shortSecret, plain)
		}
	}
}

func (s *secrets) ofHeader(h http.Header) {
	for name, values := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Proxy-Authorization":
			for _, v := range values {
				_, token, _ := strings.Cut(v, " ")
				s.add(shortSecret, v, token)
			}
		case "Cookie":
			for _, v := range values {
				s.add(shortSecret, v)
				for _, pair := range strings.Split(v, ";") {
					_, value, _ := strings.Cut(pair, "=")
					s.add(shortSecret, strings.TrimSpace(value))
				}
			}
		default:
			s.add(shortValue, values...)
		}
	}
}

// hide replaces them.
func (s *secrets) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.list {
		text = strings.ReplaceAll(text, secret, "redacted")
	}
	return text
}

// show makes text of somebody else's fit to be shown: printable, bounded, without
// secrets.
func (s *secrets) show(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s.hide(strings.ToValidUTF8(text, "?")))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// telling are the headers of an answer that say who answered, and why.
var telling = []string{
	"Server", "Via", "Content-Type", "Location", "Retry-After", "Date", "Upgrade", "Allow", "Holdfast-Version", "Holdfast-Diag",
	"Sec-Websocket-Protocol", "Proxy-Agent", "X-Cache", "X-Served-By", "X-Squid-Error", "Cf-Ray", "X-Amz-Cf-Id", "X-Azure-Ref", "X-Envoy-Upstream-Service-Time",
}

// headers are the telling ones of an answer.
func (s *secrets) headers(h http.Header) map[string]string {
	shown := map[string]string{}
	for _, name := range telling {
		value := strings.Join(h.Values(name), ", ")
		switch {
		case value == "":
			continue
		case name == "Location":
			value = redact.String(value)
		}
		shown[name] = s.show(value)
	}
	if len(shown) == 0 {
		return nil
	}
	return shown
}

// gateways are headers that somebody on the way adds, and who.
var gateways = []struct{ header, who string }{
	{"Cf-Ray", "Cloudflare"}, {"X-Amz-Cf-Id", "Amazon CloudFront"}, {"X-Served-By", "a cache, such as Fastly's"},
	{"X-Azure-Ref", "Azure Front Door"}, {"X-Squid-Error", "squid"}, {"Proxy-Agent", "a proxy"}, {"X-Cache", "a cache"},
	{"X-Envoy-Upstream-Service-Time", "Envoy"},
}

// intermediaries are the signs that an answer came through, or from, somebody on
// the way (RFC 9110, section 7.6.3).
func (s *secrets) intermediaries(h http.Header) (signs []string) {
	if via := strings.Join(h.Values("Via"), ", "); via != "" {
		signs = append(signs, "Via "+s.show(via))
	}
	for _, g := range gateways {
		if h.Get(g.header) != "" {
			signs = append(signs, g.who+" ("+g.header+")")
		}
	}
	return signs
}

// exchanged is how package net tells of words with a name server.
var exchanged = regexp.MustCompile(`^\w+ \w+ \S+->(\S+): \w+: (.*)$`)

// briefly is the cause within an error of the network, whose own text names
// what was asked for too.
func briefly(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return exchanged.ReplaceAllString(dns.Err, "$2 by $1")
	case errors.As(err, &op) && op.Err != nil:
		err = op.Err
	}
	text := err.Error()
	for _, where := range []string{"connect: ", "read: ", "write: ", "tls: failed to verify certificate: ", "unknown error "} {
		text = strings.TrimPrefix(text, where)
	}
	return text
}
