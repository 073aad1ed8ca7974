//go:build !js

package wslink_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// secretive is a request full of what only its own origin may see.
func secretive(t *testing.T, url string) *transport.Request {
	r := request(t, url+"/start?token=SECRET")
	r.Header = http.Header{"Authorization": {"Bearer SECRET"}, "Cookie": {"mine=SECRET"}, "X-Key": {"SECRET"}, "Origin": {"https://app.test"}}
	r.Host = "virtual.test"
	r.Subprotocols = []string{"a"}
	r.Authorize = func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-Auth", "SECRET")
		return nil
	}
	return r
}

func TestRedirectWithinTheOrigin(t *testing.T) {
	for _, absolute := range []bool{false, true} {
		seen := make(chan *http.Request, 1)
		url := ""
		url = httpServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/start" {
				http.SetCookie(w, &http.Cookie{Name: "jar", Value: "1", Path: "/"})
				to := "/next?x=1"
				if absolute {
					to = url + to
				}
				w.Header().Set("Location", to)
				w.WriteHeader(307)
				return
			}
			seen <- r
			echo(anyOrigin)(w, r)
		})
		r := secretive(t, url)
		r.Jar, _ = cookiejar.New(nil)
		dial(t, r)
		got := receive(t, seen)
		assert.Equal(t, "/next?x=1", got.RequestURI)
		assert.Equal(t, "virtual.test", got.Host)
		assert.Equal(t, "Bearer SECRET", got.Header.Get("Authorization"))
		assert.Equal(t, "SECRET", got.Header.Get("X-Auth"))
		assert.Equal(t, "SECRET", got.Header.Get("X-Key"))
		assert.Empty(t, got.Header.Get("Referer"))
		for name, value := range map[string]string{"jar": "1", "mine": "SECRET"} {
			c, err := got.Cookie(name)
			require.NoError(t, err, name)
			assert.Equal(t, value, c.Value)
		}
	}
}

func TestRedirectToAnotherOrigin(t *testing.T) {
	seen := make(chan *http.Request, 2)
	first := ""
	other := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		if r.URL.Path == "/back" {
			http.Redirect(w, r, "http"+strings.TrimPrefix(first, "ws")+"/home", 302)
			return
		}
		echo(anyOrigin)(w, r)
	})
	first = httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/home" {
			seen <- r
			echo(anyOrigin)(w, r)
			return
		}
		w.Header().Set("Location", strings.Replace(other, "ws://", "ws://u:p@", 1)+r.URL.Query().Get("to"))
		w.WriteHeader(302)
	})
	for _, to := range []string{"/away", "/back"} {
		r := secretive(t, first)
		r.URL.RawQuery += "&to=" + to
		dial(t, r)
		n := 1
		if to == "/back" {
			n = 2
		}
		for range n {
			got := receive(t, seen)
			assert.NotContains(t, fmt.Sprint(got.Header, got.RequestURI), "SECRET")
			assert.NotEqual(t, "virtual.test", got.Host)
			for _, key := range []string{"Authorization", "Cookie", "Referer", "Origin", "X-Auth", "X-Key"} {
				assert.Empty(t, got.Header.Get(key), key)
			}
			assert.Equal(t, "a", got.Header.Get("Sec-WebSocket-Protocol"))
		}
	}
}

func TestCookiesAcrossLinks(t *testing.T) {
	cookies := make(chan string, 2)
	url := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie")
		http.SetCookie(w, &http.Cookie{Name: "node", Value: "7"})
		echo(anyOrigin)(w, r)
	})
	jar, _ := cookiejar.New(nil)
	for _, jar := range []http.CookieJar{jar, nil} {
		r := request(t, url)
		r.Jar = jar
		dial(t, r)
		dial(t, r)
		assert.Empty(t, receive(t, cookies))
		if jar == nil {
			assert.Empty(t, receive(t, cookies))
		} else {
			assert.Equal(t, "node=7", receive(t, cookies))
		}
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	plain := httpServer(t, echo(nil))
	wss, cfg := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(302)
	})
	for _, to := range []string{
		plain + "/?token=SECRET", "http" + strings.TrimPrefix(plain, "ws") + "/?token=SECRET",
		"ftp://h/?token=SECRET", "mailto:SECRET@h", "http://u:SECRET/@h:x/", "https://h/%zz?token=SECRET", "wss:///x",
	} {
		r := request(t, wss)
		r.TLSConfig = cfg
		q := r.URL.Query()
		q.Set("to", to)
		r.URL.RawQuery = q.Encode()
		te := dialError(t, testContext(t), r)
		assert.Equal(t, transport.PhaseHandshake, te.Phase, to)
		assert.Equal(t, 302, te.StatusCode, to)
		assert.Equal(t, r.URL.Host, te.URL.Host, to)
		assert.ErrorContains(t, te, "redirect", to)
	}
}

func TestRedirectsAreCounted(t *testing.T) {
	for _, tt := range []struct {
		redirects int
		ok        bool
	}{{10, true}, {11, false}} {
		n := 0
		url := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
			if n++; n <= tt.redirects {
				http.Redirect(w, r, fmt.Sprintf("/%d?token=SECRET", n), 302)
				return
			}
			echo(anyOrigin)(w, r)
		})
		if tt.ok {
			dial(t, request(t, url))
			continue
		}
		te := dialError(t, testContext(t), request(t, url))
		assert.Equal(t, "/10", te.URL.Path)
		assert.ErrorContains(t, te, "10 redirects")
	}
}

func TestRedirectThatEndsInAPage(t *testing.T) {
	url := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" {
			http.Redirect(w, r, "/login?token=SECRET", 302)
		}
	})
	te := dialError(t, testContext(t), request(t, url))
	assert.Equal(t, 200, te.StatusCode)
	assert.Equal(t, "/login", te.URL.Path)
}
