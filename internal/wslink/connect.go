//go:build !js

package wslink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/holdfast-ws/holdfast/transport"
)

// route is a connection to the server: Conn carries the bytes, raw is the TCP
// connection below TLS. Closing raw returns at once, where tls.Conn would try
// for 5 s to say goodbye. release ends the watch over the dial's context.
type route struct {
	net.Conn
	raw     net.Conn
	release func() bool
}

// connect makes the connection that the request to target is written on:
// TCP, the way through the proxy if there is one, TLS if the scheme wants it.
// From the first byte on it is closed when the context ends.
func (a *attempt) connect(target, proxy *url.URL) (*route, error) {
	host, addr := hostAddr(target)
	if proxy != nil {
		a.phase = transport.PhaseProxy
		_, addr = hostAddr(proxy)
	}
	raw, err := a.dialTCP(addr)
	if err != nil {
		return nil, err
	}
	release := guard(a.ctx, func() { raw.Close() })
	conn := raw
	if proxy != nil {
		conn, err = a.throughProxy(conn, proxy, target)
	}
	if err == nil && target.Scheme == "https" {
		a.phase = transport.PhaseTLS
		conn, err = clientTLS(conn, a.r.TLSConfig, host, false)
	}
	if err != nil {
		raw.Close()
		release()
		return nil, err
	}
	return &route{Conn: conn, raw: raw, release: release}, nil
}

// hostAddr returns u's host and its host:port, with the scheme's port where
// it has none.
func hostAddr(u *url.URL) (host, addr string) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		switch u.Scheme {
		case "https", "wss":
			port = "443"
		case "socks5", "socks5h":
			port = "1080"
		default:
			port = "80"
		}
	}
	return host, net.JoinHostPort(host, port)
}

// dialTCP connects to addr and keeps a.phase true while it does, unless the
// phase is the proxy's already.
func (a *attempt) dialTCP(addr string) (net.Conn, error) {
	var phase atomic.Int32
	phase.Store(int32(transport.PhaseConnect))
	ctx := httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { phase.Store(int32(transport.PhaseResolve)) },
		ConnectStart: func(_, _ string) { phase.Store(int32(transport.PhaseConnect)) },
	})
	var conn net.Conn
	var err error
	if a.r.DialContext == nil {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp", addr)
	} else {
		conn, err = a.r.DialContext(ctx, "tcp", addr)
		if err == nil && conn == nil {
			err = errors.New("DialContext returned neither a connection nor an error")
		}
		if ctxErr := a.ctx.Err(); err == nil && ctxErr != nil { // it took too long
			conn.Close()
			conn, err = nil, ctxErr
		}
	}
	if a.phase != transport.PhaseProxy {
		a.phase = transport.Phase(phase.Load())
		var dnsErr *net.DNSError
		if errors.As(err, &dnsErr) {
			a.phase = transport.PhaseResolve
		}
	}
	return conn, err
}

// clientTLS makes the TLS handshake on conn, whose closing ends it. own says
// that host is not the one that cfg was written for.
func clientTLS(conn net.Conn, cfg *tls.Config, host string, own bool) (net.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{}
	} else {
		cfg = cfg.Clone()
	}
	if cfg.ServerName == "" || own {
		cfg.ServerName = host
	}
	cfg.NextProtos = []string{"http/1.1"}
	c := tls.Client(conn, cfg)
	err := c.Handshake()
	if err == nil {
		return c, nil
	}
	var rhe tls.RecordHeaderError
	if errors.As(err, &rhe) && string(rhe.RecordHeader[:]) == "HTTP/" {
		err = fmt.Errorf("%w: %w", http.ErrSchemeMismatch, err)
	}
	return nil, err
}
