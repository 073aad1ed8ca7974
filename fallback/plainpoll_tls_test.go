//go:build !js

package fallback_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/transport"
)

// tlsServer serves h over TLS, with HTTP/2 too, until the test ends.
func tlsServer(t *testing.T, h http.HandlerFunc) (*httptest.Server, *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, &tls.Config{RootCAs: pool}
}

func loopbackRequest(t *testing.T, raw string, cfg *tls.Config) *transport.Request {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return &transport.Request{URL: u, TLSConfig: cfg, MaxMessageSize: 1 << 20, WriteTimeout: 20 * time.Second}
}

// exchangeOne receives the message m and sends a.
func exchangeOne(t *testing.T, r *transport.Request) transport.Link {
	t.Helper()
	l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
	require.NoError(t, err)
	t.Cleanup(l.Abort)
	assert.Equal(t, "m", read(t, l))
	_, err = l.Write(texted("a"))
	require.NoError(t, err)
	return l
}

func TestPlainPollOverTLS(t *testing.T) {
	var protos [2]atomic.Value
	s, cfg := tlsServer(t, func(rw http.ResponseWriter, r *http.Request) {
		protos[map[string]int{"GET": 0, "POST": 1}[r.Method]].Store(r.Proto)
		answer(rw, 200, "m")
	})
	before := cfg.Clone()
	l := exchangeOne(t, loopbackRequest(t, "wss"+strings.TrimPrefix(s.URL, "https"), cfg))
	assert.Equal(t, "HTTP/2.0", protos[0].Load())
	assert.Equal(t, "HTTP/2.0", protos[1].Load())
	assert.Equal(t, before.NextProtos, cfg.NextProtos, "the program's own is not changed")
	assert.Equal(t, s.Listener.Addr().String(), l.Info().RemoteAddr.String())
}

func TestPlainPollTLSErrors(t *testing.T) {
	s, cfg := tlsServer(t, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://"+r.Host+"/", http.StatusFound)
	})
	none := fallback.PlainPollOptions{}
	te := plainDialError(t, none, loopbackRequest(t, s.URL, nil))
	assert.Equal(t, transport.PhaseTLS, te.Phase)
	var cert *tls.CertificateVerificationError
	assert.ErrorAs(t, te, &cert)

	te = plainDialError(t, none, loopbackRequest(t, s.URL, cfg))
	assert.Equal(t, 302, te.StatusCode, "never from https to http")

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	te = plainDialError(t, none, loopbackRequest(t, "https"+strings.TrimPrefix(plain.URL, "http"), nil))
	assert.Equal(t, transport.PhaseTLS, te.Phase)
	var header tls.RecordHeaderError
	assert.ErrorAs(t, te, &header)

	te = plainDialError(t, none, loopbackRequest(t, "http"+strings.TrimPrefix(s.URL, "https"), cfg))
	assert.Equal(t, 400, te.StatusCode)
}

// proxyHandler is an HTTP proxy. It answers status where that is not 200.
func proxyHandler(t *testing.T, status int, seen chan<- *http.Request) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		seen <- r
		if status != http.StatusOK {
			answer(rw, status, "")
			return
		}
		if r.Method != http.MethodConnect {
			r.RequestURI = ""
			resp, err := http.DefaultTransport.RoundTrip(r)
			if assert.NoError(t, err) {
				defer resp.Body.Close()
				rw.WriteHeader(resp.StatusCode)
				_, _ = io.Copy(rw, resp.Body)
			}
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if !assert.NoError(t, err) {
			return
		}
		defer to.Close()
		from, buf, err := rw.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(to, io.MultiReader(io.LimitReader(buf, int64(buf.Reader.Buffered())), from))
			to.Close()
		}()
		_, _ = io.Copy(from, to)
	}
}

func through(raw, scheme string) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) {
		u, err := url.Parse(raw)
		if err == nil {
			u.User = url.UserPassword("u", "SECRET")
			if scheme != "" {
				u.Scheme = scheme
			}
		}
		return u, err
	}
}

func TestPlainPollThroughProxies(t *testing.T) {
	h := func(rw http.ResponseWriter, _ *http.Request) { answer(rw, 200, "m") }
	secure, cfg := tlsServer(t, h)
	plain := httptest.NewServer(http.HandlerFunc(h))
	t.Cleanup(plain.Close)
	for _, proxyTLS := range []bool{false, true} {
		seen := make(chan *http.Request, 10)
		s := httptest.NewUnstartedServer(proxyHandler(t, 200, seen))
		if proxyTLS {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		r := loopbackRequest(t, secure.URL, cfg)
		r.TLSConfig.ServerName = "example.com" // in the server's certificate, and not for the proxy
		r.Proxy = through(s.URL, "")
		exchangeOne(t, r).Abort()
		req := <-seen
		assert.Equal(t, http.MethodConnect, req.Method)
		assert.True(t, strings.HasPrefix(req.Header.Get("Proxy-Authorization"), "Basic "))
		if assert.Equal(t, proxyTLS, req.TLS != nil); proxyTLS {
			assert.Empty(t, req.TLS.ServerName, "the proxy is an address")
		}
		<-seen // the POST's

		r = loopbackRequest(t, plain.URL, cfg)
		r.Proxy = through(s.URL, "")
		exchangeOne(t, r).Abort()
		req = <-seen
		assert.Equal(t, http.MethodGet, req.Method)
		assert.Equal(t, plain.URL+"/", req.URL.String())
		assert.True(t, strings.HasPrefix(req.Header.Get("Proxy-Authorization"), "Basic "))
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestPlainPollProxyErrors(t *testing.T) {
	none := fallback.PlainPollOptions{}
	secure, cfg := tlsServer(t, status(204))
	for _, code := range []int{403, 407, 502} {
		seen := make(chan *http.Request, 10)
		s := httptest.NewServer(proxyHandler(t, code, seen))
		t.Cleanup(s.Close)
		r := loopbackRequest(t, secure.URL, cfg)
		r.Proxy = through(s.URL, "")
		te := plainDialError(t, none, r)
		assert.Equal(t, transport.PhaseProxy, te.Phase)
		assert.Equal(t, code, te.StatusCode)
		assert.True(t, te.Proxied)
	}
	for name, serve := range map[string]func(net.Conn){
		"silent": func(c net.Conn) { c.Close() },
		"babbling": func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1<<12))
			_, _ = io.WriteString(c, "SECRET\r\n\r\n")
			c.Close()
		},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serve(c)
			}
		}()
		for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
			r := loopbackRequest(t, secure.URL, cfg)
			r.Proxy = through("http://"+l.Addr().String(), scheme)
			te := plainDialError(t, none, r)
			assert.Equal(t, transport.PhaseProxy, te.Phase, "%s, %s", name, scheme)
			assert.True(t, te.Proxied)
			assert.Zero(t, te.StatusCode)
		}
	}
}
