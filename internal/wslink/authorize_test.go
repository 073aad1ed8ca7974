//go:build !js

package wslink_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

func TestAuthorize(t *testing.T) {
	seen := make(chan *http.Request, 1)
	ws := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		echo(nil)(w, r)
	})
	r := request(t, ws+"/a")
	r.Header = http.Header{"X-Mine": {"1"}}
	calls := 0
	r.Authorize = func(_ context.Context, r *http.Request) error {
		calls++
		assert.Equal(t, "http", r.URL.Scheme)
		assert.Equal(t, "1", r.Header.Get("X-Mine"))
		assert.Empty(t, r.Header.Get("Authorization"), "a fresh clone each time")
		r.Header.Set("Authorization", "Bearer t")
		r.URL.Path, r.URL.RawQuery = "/b", "ticket=1"
		return nil
	}
	for range 2 {
		dial(t, r)
		got := receive(t, seen)
		assert.Equal(t, "/b?ticket=1", got.RequestURI)
		assert.Equal(t, "Bearer t", got.Header.Get("Authorization"))
	}
	assert.Equal(t, 2, calls)
	assert.Equal(t, "/a", r.URL.Path)
}

func TestAuthorizeFails(t *testing.T) {
	cause := errors.New("no token today")
	for name, f := range map[string]func(r *http.Request) error{
		"an error":    func(*http.Request) error { return cause },
		"permanent":   func(*http.Request) error { return backoff.Permanent(cause) },
		"host":        func(r *http.Request) error { r.URL.Host = "evil.test"; return nil },
		"host header": func(r *http.Request) error { r.Host = "evil.test"; return nil },
		"scheme":      func(r *http.Request) error { r.URL.Scheme = "https"; return nil },
		"no URL":      func(r *http.Request) error { r.URL = nil; return nil },
		"user-info":   func(r *http.Request) error { r.URL.User = url.User("SECRET"); return nil },
	} {
		r := request(t, "ws://127.0.0.1:1/?token=SECRET")
		r.Authorize = func(_ context.Context, req *http.Request) error { return f(req) }
		te := dialError(t, testContext(t), r)
		assert.Equal(t, transport.PhaseAuthorize, te.Phase, name)
		switch name {
		case "an error":
			assert.Equal(t, cause, te.Err)
		case "permanent":
			var p *backoff.PermanentError
			require.ErrorAs(t, te, &p)
		}
	}
}

func TestCredentialsWithoutTLS(t *testing.T) {
	target := httpServer(t, echo(nil))
	set := func(key string) func(context.Context, *http.Request) error {
		return func(_ context.Context, r *http.Request) error {
			r.Header.Add(key, "name=SECRET")
			return nil
		}
	}
	for _, tt := range []struct {
		name, url string
		authorize func(context.Context, *http.Request) error
		allow, ok bool
	}{
		{"authorization", "ws://far.test/", set("Authorization"), false, false},
		{"proxy authorization", "http://far.test/", set("Proxy-Authorization"), false, false},
		{"cookie", "ws://192.0.2.1/", set("Cookie"), false, false},
		{"spelled otherwise", "ws://far.test/", func(_ context.Context, r *http.Request) error {
			r.Header["AUTHORIZATION"] = []string{"SECRET"}
			return nil
		}, false, false},
		{"allowed", "ws://far.test/", set("Authorization"), true, true},
		{"another header", "ws://far.test/", set("X-Trace"), false, true},
		{"localhost", "ws://localhost/", set("Authorization"), false, true},
		{"loopback", "ws://127.1.2.3/", set("Authorization"), false, true},
		{"loopback 6", "ws://[::1]/", set("Authorization"), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, tt.url)
			// Cookies of the jar and headers of the user are not Authorize's.
			r.Jar, _ = cookiejar.New(nil)
			r.Jar.SetCookies(&url.URL{Scheme: "http", Host: r.URL.Host, Path: "/"}, []*http.Cookie{{Name: "jar", Value: "1"}})
			r.Header = http.Header{"Authorization": {"mine"}}
			r.Authorize, r.AllowInsecureCredentials = tt.authorize, tt.allow
			dialled := false
			r.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				dialled = true
				var d net.Dialer
				return d.DialContext(ctx, network, strings.TrimPrefix(target, "ws://"))
			}
			if tt.ok {
				dial(t, r)
				return
			}
			te := dialError(t, testContext(t), r)
			require.ErrorIs(t, te, transport.ErrInsecureCredentials)
			assert.Equal(t, transport.PhaseAuthorize, te.Phase)
			assert.False(t, dialled)
		})
	}
	wss, cfg := tlsServer(t, echo(nil))
	r := request(t, wss)
	r.TLSConfig, r.Authorize = cfg, set("Authorization")
	dial(t, r)
}
