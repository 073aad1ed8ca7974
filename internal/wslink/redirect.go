//go:build !js

package wslink

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many redirects one Dial follows.
const maxRedirects = 10

// redirectError is a redirect that is not followed.
type redirectError string

func (e redirectError) Error() string { return string(e) }

const (
	errManyRedirects redirectError = "more than 10 redirects"
	errDowngrade     redirectError = "a redirect from https to http is refused"
	errLocation      redirectError = "a redirect to a place that is not a WebSocket or HTTP URL"
)

func isRedirectError(err error) bool {
	var r redirectError
	return errors.As(err, &r)
}

// checkLocation refuses a Location that http.Client would quote in its error.
func checkLocation(resp *http.Response) error {
	loc := resp.Header.Get("Location")
	if resp.StatusCode/100 != 3 || loc == "" {
		return nil
	}
	if _, err := url.Parse(loc); err != nil {
		return errLocation
	}
	return nil
}

// checkRedirect lets http.Client follow a redirect, and takes from the request
// what another origin must not see. What was taken once stays away, even if a
// later redirect leads back.
func (a *attempt) checkRedirect(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return errManyRedirects
	case req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "":
		return errLocation
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return errDowngrade
	}
	req.URL.User = nil
	asked := *req.URL
	asked.Fragment, asked.RawFragment = "", ""
	a.url = &asked
	if !hasHeader(a.r.Header, "Referer") {
		req.Header.Del("Referer")
	}
	if origin(req.URL) != origin(via[0].URL) {
		a.foreign = true
	}
	if !a.foreign {
		if a.r.Host != "" {
			req.Host = a.r.Host
		}
		return nil
	}
	req.Host = ""
	for key := range req.Header {
		if !ofUpgrade(key) {
			delete(req.Header, key)
		}
	}
	return nil
}

// hasHeader says whether h has key, however it is spelled.
func hasHeader(h http.Header, key string) bool {
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// ofUpgrade says whether a header belongs to the handshake itself.
func ofUpgrade(key string) bool {
	key = strings.ToLower(key)
	return key == "connection" || key == "upgrade" || strings.HasPrefix(key, "sec-websocket-")
}

// origin is scheme, host and port (RFC 6454, section 4).
func origin(u *url.URL) string {
	_, addr := hostAddr(u)
	return u.Scheme + "://" + strings.ToLower(addr)
}
