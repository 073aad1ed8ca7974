// Package credential runs Request.Authorize under the rules that every
// transport keeps: credentials stay with the endpoint that they are meant for,
// and off the wire in the clear.
package credential

import (
	"context"
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

// Authorize runs r.Authorize, if there is one, on req, whose URL is http or
// https. Header, path and query are what it may change: the body is not shown
// to it, and method, body and length are afterwards what they were before, and the
// header is not nil. An error of r.Authorize is returned as it is. A changed
// scheme or host and user-info are errors too, and without TLS to another host
// so are credentials that it set, unless r.AllowInsecureCredentials: that error
// wraps transport.ErrInsecureCredentials.
//
// Whether req leads to r.URL's origin at all is for the caller to know.
func Authorize(ctx context.Context, r *transport.Request, req *http.Request) error {
	if r.Authorize == nil {
		return nil
	}
	before := req.Clone(ctx)
	req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	err := r.Authorize(ctx, req)
	req.Method, req.Body, req.GetBody, req.ContentLength = before.Method, before.Body, before.GetBody, before.ContentLength
	req.TransferEncoding, req.Trailer, req.Close = before.TransferEncoding, before.Trailer, before.Close
	if req.Header == nil {
		req.Header = http.Header{}
	}
	switch {
	case err != nil:
		return err
	case req.URL == nil || req.URL.Scheme != before.URL.Scheme || req.URL.Host != before.URL.Host || req.Host != before.Host:
		return errMoved
	case req.URL.User != nil:
		return errUserInfo
	case req.URL.Scheme == "https" || r.AllowInsecureCredentials || IsLoopback(req.URL):
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

// IsLoopback says that u's host is this machine: localhost or a loopback address.
func IsLoopback(u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" { // other names under it may be looked up elsewhere
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
