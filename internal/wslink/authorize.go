//go:build !js

package wslink

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-ws/holdfast/transport"
)

var (
	errMoved    = errors.New("Authorize changed the scheme or the host")
	errUserInfo = errors.New("Authorize put user-info into the URL; set the Authorization header")
)

// authorize runs Request.Authorize on req, unless a redirect has led to
// another origin.
func (a *attempt) authorize(req *http.Request) error {
	if a.r.Authorize == nil || a.foreign {
		return nil
	}
	before := req.Clone(a.ctx)
	a.phase = transport.PhaseAuthorize
	if err := a.r.Authorize(a.ctx, req); err != nil {
		return err
	}
	if req.URL == nil || req.URL.Scheme != before.URL.Scheme || req.URL.Host != before.URL.Host || req.Host != before.Host {
		return errMoved
	}
	if req.URL.User != nil {
		return errUserInfo
	}
	// Only header, path and query are Authorize's to change.
	req.Method, req.Body, req.ContentLength, req.TransferEncoding, req.Close = before.Method, nil, 0, nil, false
	if req.URL.Scheme == "https" || a.r.AllowInsecureCredentials || isLoopback(req.URL) {
		return nil
	}
	for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
		if now := values(req.Header, key); len(now) > 0 && !slices.Equal(now, values(before.Header, key)) {
			return fmt.Errorf("%w: Authorize set %s", transport.ErrInsecureCredentials, key)
		}
	}
	return nil
}

// values returns h's values of key, however it is spelled.
func values(h http.Header, key string) []string {
	var list []string
	for k, v := range h {
		if strings.EqualFold(k, key) {
			list = append(list, v...)
		}
	}
	slices.Sort(list)
	return list
}

func isLoopback(u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" { // other names under it may be looked up elsewhere
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
