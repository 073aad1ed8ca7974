//go:build !js

package wslink

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/proxy"

	"github.com/holdfast-ws/holdfast/transport"
)

// proxyFor asks Request.Proxy. Its error is not kept where it may quote a
// proxy's URL, as that of http.ProxyFromEnvironment does.
func (a *attempt) proxyFor(req *http.Request) (*url.URL, error) {
	if a.r.Proxy == nil {
		return nil, nil
	}
	u, err := a.r.Proxy(req.Clone(a.ctx))
	switch {
	case err != nil:
		a.phase = transport.PhaseProxy
		if strings.ContainsAny(err.Error(), "@?/") {
			err = errors.New("the setting for the proxy is not valid")
		}
		return nil, err
	case u == nil:
		return nil, nil
	case u.Hostname() == "":
		a.phase = transport.PhaseProxy
		return nil, errors.New("the proxy's URL has no host")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	a.phase = transport.PhaseProxy
	return nil, fmt.Errorf("proxies of the scheme %q are not supported", u.Scheme)
}

// throughProxy makes conn, which leads to the proxy, lead to target.
func (a *attempt) throughProxy(conn net.Conn, via, target *url.URL) (net.Conn, error) {
	host, addr := hostAddr(via)
	_, targetAddr := hostAddr(target)
	switch via.Scheme {
	case "https":
		var err error
		if conn, err = clientTLS(conn, a.r.TLSConfig, host, true); err != nil {
			return nil, err
		}
		return a.tunnel(conn, via.User, targetAddr)
	case "http":
		return a.tunnel(conn, via.User, targetAddr)
	}
	return conn, socks5(conn, via.User, addr, targetAddr)
}

// tunnel asks an HTTP proxy to connect (RFC 9110, section 9.3.6).
func (a *attempt) tunnel(conn net.Conn, user *url.Userinfo, addr string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if user != nil {
		password, _ := user.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+basic)
	}
	resp, rest, err := exchange(conn, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		a.status, a.header = resp.StatusCode, resp.Header
		return nil, fmt.Errorf("the proxy answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if len(rest) == 0 {
		return conn, nil
	}
	return &prefixedConn{Conn: conn, r: io.MultiReader(bytes.NewReader(rest), conn)}, nil
}

// prefixedConn is a connection of which some bytes were read already.
type prefixedConn struct {
	net.Conn
	r io.Reader
}

func (c *prefixedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// socks5 asks a SOCKS proxy to connect (RFC 1928); the proxy resolves names.
func socks5(conn net.Conn, user *url.Userinfo, addr, target string) error {
	var auth *proxy.Auth
	if user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", addr, auth, connected{conn})
	if err != nil {
		return err
	}
	// Without a context of its own it starts no goroutine; closing conn ends it.
	_, err = d.(proxy.ContextDialer).DialContext(context.Background(), "tcp", target)
	return err
}

// connected is a dialer that has dialled already.
type connected struct{ conn net.Conn }

func (c connected) Dial(_, _ string) (net.Conn, error) { return c.conn, nil }
func (c connected) DialContext(context.Context, string, string) (net.Conn, error) {
	return c.conn, nil
}
