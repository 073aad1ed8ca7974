//go:build !js

package fallback_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/diagnose"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestPlainPollLink(t *testing.T) {
	connected := 0
	plainBubble(t, script(says("a"), status(204)), func(t *testing.T, w *plainWorld) {
		r := w.request()
		r.Connected = func() {
			connected++
			assert.Empty(t, w.requests(), "nothing has been asked")
		}
		p := fallback.PlainPoll(fallback.PlainPollOptions{})
		assert.Equal(t, "plainpoll", p.Name())
		l, err := p.Dial(t.Context(), r)
		require.NoError(t, err)
		info := l.Info()
		assert.True(t, info.Answered)
		assert.False(t, info.Session)
		assert.Empty(t, info.Subprotocol)
		assert.Equal(t, 200, info.Response.StatusCode)
		assert.Equal(t, http.NoBody, info.Response.Body)
		assert.Equal(t, "198.18.0.1:80", info.RemoteAddr.String())
		assert.NotNil(t, info.LocalAddr)
		assert.Equal(t, w.start, l.LastRead())
		assert.ErrorIs(t, l.Ping(1), errors.ErrUnsupported)
		assert.Equal(t, "a", read(t, l))
		time.Sleep(7 * time.Second)
		go func() { _, _, _ = l.Read(nil) }()
		synctest.Wait()
		assert.Equal(t, w.start.Add(7*time.Second), l.LastRead())
		assert.Equal(t, 1, connected)
		require.NoError(t, l.Close(t.Context(), 4000, ""))
		assert.LessOrEqual(t, w.net.Conns(), 1, "this side's end is closed at once")
	})
}

func TestPlainPollFirstAnswers(t *testing.T) {
	for _, code := range []int{200, 201, 202, 203, 204, 206, 299, 304} {
		plainBubble(t, status(code), func(t *testing.T, w *plainWorld) {
			l := w.dial(t, fallback.PlainPollOptions{})
			assert.Equal(t, code, l.Info().Response.StatusCode)
			l.Abort()
		})
	}
	empty := func(rw http.ResponseWriter, _ *http.Request) { // as PHP says nothing
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Content-Length", "0")
	}
	plainBubble(t, empty, func(t *testing.T, w *plainWorld) { w.dial(t, fallback.PlainPollOptions{}).Abort() })
}

func TestPlainPollFirstGetFails(t *testing.T) {
	html := func(media string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", media)
			answer(rw, 200, "<html>SECRET")
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", to)
			rw.WriteHeader(302)
		}
	}
	for name, test := range map[string]struct {
		h      http.HandlerFunc
		status int
		class  transport.Class
	}{
		"400": {status(400), 400, transport.ClassRejected}, "401": {status(401), 401, transport.ClassUnauthorized}, "404": {status(404), 404, transport.ClassNotFound},
		"503": {status(503), 503, transport.ClassOverloaded}, "300": {status(300), 300, transport.ClassIntercepted}, "599": {status(599), 599, transport.ClassOverloaded},
		"HTML":                    {html("text/html; charset=utf-8"), 200, transport.ClassIntercepted},
		"XHTML":                   {html("application/xhtml+xml"), 200, transport.ClassIntercepted},
		"redirect to a portal":    {redirect("http://portal.test/?SECRET"), 302, transport.ClassIntercepted},
		"redirect to TLS":         {redirect("https://server.test/"), 302, transport.ClassIntercepted},
		"redirect to a port":      {redirect("http://server.test:8080/"), 302, transport.ClassIntercepted},
		"redirect that is no URL": {redirect("http://SECRET:%zz@/"), 302, transport.ClassIntercepted},
		"redirect to itself":      {redirect("/chat"), 302, transport.ClassIntercepted},
		"broken":                  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, transport.ClassTransient},
	} {
		t.Run(name, func(t *testing.T) {
			h := func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Retry-After", "7")
				test.h(rw, r)
			}
			plainBubble(t, h, func(t *testing.T, w *plainWorld) {
				r := w.request()
				te := plainDialError(t, fallback.PlainPollOptions{}, r)
				assert.Equal(t, transport.PhaseHandshake, te.Phase)
				assert.Equal(t, test.status, te.StatusCode)
				assert.Equal(t, "server.test", te.URL.Host)
				if test.status != 0 {
					assert.Equal(t, "7", te.Header.Get("Retry-After"))
				}
				v := diagnose.Explain(diagnose.Facts{Err: te, Target: r.URL, Now: time.Now()})
				assert.Equal(t, test.class, v.Class)
				assert.NotContains(t, v.Hint, "SECRET")
				assert.LessOrEqual(t, len(w.requests()), 11)
			})
		})
	}
}

func TestPlainPollPhases(t *testing.T) {
	plainBubble(t, hold, func(t *testing.T, w *plainWorld) {
		none := fallback.PlainPollOptions{}
		r := w.request()
		r.URL.Host = "server.test:81"
		te := plainDialError(t, none, r)
		assert.Equal(t, transport.PhaseConnect, te.Phase)
		assert.ErrorIs(t, te, syscall.ECONNREFUSED)
		assert.Zero(t, te.StatusCode)

		r = w.request()
		r.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, &net.DNSError{IsNotFound: true} }
		assert.Equal(t, transport.PhaseResolve, plainDialError(t, none, r).Phase)

		r = w.request()
		r.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		assert.Equal(t, transport.PhaseConnect, plainDialError(t, none, r).Phase)

		r = w.request()
		denied := errors.New("denied")
		r.Authorize = func(context.Context, *http.Request) error { return denied }
		te = plainDialError(t, none, r)
		assert.Equal(t, transport.PhaseAuthorize, te.Phase)
		assert.Equal(t, denied, te.Err)

		r = w.request()
		r.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("bad proxy http://u:SECRET@p") }
		assert.Equal(t, transport.PhaseProxy, plainDialError(t, none, r).Phase)
		r.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse("gopher://u:SECRET@p") }
		assert.Equal(t, transport.PhaseProxy, plainDialError(t, none, r).Phase)

		te = plainDialError(t, none, &transport.Request{})
		assert.Nil(t, te.URL)
	})
}

func TestPlainPollDialContextEnds(t *testing.T) {
	plainBubble(t, hold, func(t *testing.T, w *plainWorld) {
		w.net.Blackhole("server.test:80", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(ctx, w.request())
		var te *transport.Error
		require.ErrorAs(t, err, &te)
		assert.Equal(t, transport.PhaseConnect, te.Phase)
		assert.ErrorIs(t, te, context.DeadlineExceeded)
		w.net.Blackhole("server.test:80", false)

		// A program's own dialer that is slow to give up is waited for.
		r := w.request()
		returned := false
		r.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			returned = true
			return nil, ctx.Err()
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(ctx, r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, returned)

		// One that gives a connection after all, too late.
		r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-ctx.Done()
			return w.net.DialContext(context.Background(), network, addr)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(ctx, r)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		_, err = fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(ctx, w.request())
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestPlainPollHeldFirstGet(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration // of the handshake, 0 for none
		want    time.Duration
	}{"without a limit": {0, 5 * time.Second}, "with a long one": {time.Minute, 5 * time.Second}, "with a short one": {4 * time.Second, 2 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, script(says("late", 20*time.Second), status(500)), func(t *testing.T, w *plainWorld) {
				ctx := t.Context()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(ctx, w.request())
				require.NoError(t, err)
				assert.Equal(t, test.want, time.Since(w.start))
				assert.Nil(t, l.Info().Response)
				assert.NotNil(t, l.Info().LocalAddr)
				assert.Equal(t, "late", read(t, l))
				assert.Equal(t, 20*time.Second, time.Since(w.start))
				readError(t, l)
				assert.Equal(t, []time.Duration{0, 20 * time.Second}, w.times("GET"))
				l.Abort()
			})
		})
	}
}

// The wait for a held GET begins when the request is out.
func TestPlainPollSlowWayIsNotHeld(t *testing.T) {
	plainBubble(t, status(204), func(t *testing.T, w *plainWorld) {
		r := w.request()
		r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(8 * time.Second)
			return w.net.DialContext(ctx, network, addr)
		}
		l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, 204, l.Info().Response.StatusCode)
		l.Abort()
	})
}

func TestPlainPollHeldFirstGetFailsLater(t *testing.T) {
	plainBubble(t, hold, func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		w.net.Reset()
		assert.ErrorIs(t, readError(t, l), syscall.ECONNRESET)
		l.Abort()
		w.dial(t, fallback.PlainPollOptions{}).Abort() // and nobody reads
	})
}

func TestPlainPollRequests(t *testing.T) {
	h := func(rw http.ResponseWriter, r *http.Request) {
		http.SetCookie(rw, &http.Cookie{Name: "lb", Value: "1"})
		answer(rw, 200, "m")
	}
	plainBubble(t, h, func(t *testing.T, w *plainWorld) {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		r := w.request()
		r.Jar, r.Host = jar, "virtual.test:99"
		r.Header = http.Header{"X-One": {"1"}, "Upgrade": {"x"}, "sec-websocket-protocol": {"x"}, "Connection": {"close"}, "cache-control": {"max-age=1"}}
		before, target := r.Header.Clone(), *r.URL
		calls := 0
		r.Authorize = func(ctx context.Context, req *http.Request) error {
			calls++
			assert.Equal(t, "http://server.test/chat?token=SECRET", req.URL.String(), "as it was at first")
			assert.Nil(t, req.Body)
			assert.NoError(t, ctx.Err())
			req.URL.RawQuery = "ticket=" + strings.Repeat("I", calls)
			return nil
		}
		l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
		require.NoError(t, err)
		read(t, l)
		_, err = l.Write(texted("a"))
		require.NoError(t, err)
		read(t, l)
		assert.Equal(t, before, r.Header)
		assert.Equal(t, target, *r.URL)
		seen := w.requests()
		require.Len(t, seen, 3)
		for i, s := range seen {
			assert.Equal(t, "/chat?ticket="+strings.Repeat("I", i+1), s.uri)
			assert.Equal(t, "virtual.test:99", s.host)
			assert.Equal(t, "1", s.header.Get("X-One"))
			assert.Empty(t, s.header.Get("Upgrade")+s.header.Get("Sec-Websocket-Protocol")+s.header.Get("Connection")+s.header.Get("Accept-Encoding"))
			assert.Equal(t, i > 0, s.header.Get("Cookie") == "lb=1", "request %d", i)
		}
		l.Abort()
	})
}

func TestPlainPollInsecureCredentials(t *testing.T) {
	plainBubble(t, status(204), func(t *testing.T, w *plainWorld) {
		r := w.request()
		r.Authorize = func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", "SECRET")
			return nil
		}
		assert.ErrorIs(t, plainDialError(t, fallback.PlainPollOptions{}, r), transport.ErrInsecureCredentials)
		r.Authorize = nil

		// The endpoint is secure, the URLs of the options are not.
		r.URL.Scheme = "wss"
		r.Header = http.Header{"authorization": {"SECRET"}}
		assert.ErrorIs(t, plainDialError(t, fallback.PlainPollOptions{ReceiveURL: "http://server.test/"}, r), transport.ErrInsecureCredentials)
		assert.ErrorIs(t, plainDialError(t, fallback.PlainPollOptions{SendURL: "http://server.test/"}, r), transport.ErrInsecureCredentials)
		assert.Empty(t, w.requests())
		r.AllowInsecureCredentials = true
		l, err := fallback.PlainPoll(fallback.PlainPollOptions{ReceiveURL: "http://server.test/"}).Dial(t.Context(), r)
		require.NoError(t, err)
		l.Abort()
	})
}

func TestPlainPollURLs(t *testing.T) {
	plainBubble(t, says("m"), func(t *testing.T, w *plainWorld) {
		for name, test := range map[string]struct {
			opts      fallback.PlainPollOptions
			get, post string
		}{
			"the endpoint's":   {fallback.PlainPollOptions{}, "/chat?token=SECRET", "/chat?token=SECRET"},
			"receive":          {fallback.PlainPollOptions{ReceiveURL: "http://server.test/in?a=b#x"}, "/in?a=b", "/in?a=b"},
			"send":             {fallback.PlainPollOptions{SendURL: "http://server.test/out"}, "/chat?token=SECRET", "/out"},
			"both":             {fallback.PlainPollOptions{ReceiveURL: "http://server.test/in", SendURL: "http://server.test/out"}, "/in", "/out"},
			"relative":         {fallback.PlainPollOptions{ReceiveURL: "in", SendURL: "?x=1"}, "/in", "/in?x=1"},
			"relative to root": {fallback.PlainPollOptions{ReceiveURL: "/a/in", SendURL: "out"}, "/a/in", "/a/out"},
		} {
			w.mu.Lock()
			w.seen = nil
			w.mu.Unlock()
			l := w.dial(t, test.opts)
			_, err := l.Write(texted("a"))
			require.NoError(t, err)
			l.Abort()
			seen := w.requests()
			require.Len(t, seen, 2, name)
			assert.Equal(t, [4]string{"GET", test.get, "POST", test.post}, [4]string{seen[0].method, seen[0].uri, seen[1].method, seen[1].uri}, name)
		}
	})
}

func TestPlainPollWrongOptions(t *testing.T) {
	for name, opts := range map[string]fallback.PlainPollOptions{
		"no URL":       {ReceiveURL: "http://[SECRET"},
		"a scheme":     {SendURL: "ws://server.test/"},
		"a file":       {ReceiveURL: "file:///etc/SECRET"},
		"no host":      {ReceiveURL: "http:///x"},
		"user-info":    {SendURL: "http://u:SECRET@server.test/"},
		"the interval": {Interval: -1},
		"the type":     {Type: 3},
	} {
		te := plainDialError(t, opts, &transport.Request{URL: &url.URL{Scheme: "ws", Host: "server.test"}})
		var permanent *backoff.PermanentError
		assert.ErrorAs(t, te, &permanent, name)
		assert.Equal(t, transport.PhaseNone, te.Phase)
	}
}

func TestPlainPollRedirectsWithinOrigin(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		h := func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/chat":
				http.Redirect(rw, r, "http://u:SECRET@server.test:80/a?b=c#d", code)
			case "/a":
				http.Redirect(rw, r, "/b", code)
			default:
				_, _ = io.WriteString(rw, r.Header.Get("X-One")+r.Header.Get("Referer"))
			}
		}
		plainBubble(t, h, func(t *testing.T, w *plainWorld) {
			r := w.request()
			r.Header = http.Header{"X-One": {"1"}}
			l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
			require.NoError(t, err)
			assert.Equal(t, "1", read(t, l))
			assert.Equal(t, "1", read(t, l))
			var uris []string
			for _, s := range w.requests() {
				uris = append(uris, s.uri)
				assert.Empty(t, s.header.Get("Authorization"))
			}
			assert.Equal(t, []string{"/chat?token=SECRET", "/a?b=c", "/b", "/chat?token=SECRET", "/a?b=c", "/b"}, uris)
			l.Abort()
		})
	}
}

func TestPlainPollPortalComesLater(t *testing.T) {
	portal := func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "http://portal.test/", 302) }
	plainBubble(t, script(says("a"), portal), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		read(t, l)
		var te *transport.Error
		require.ErrorAs(t, readError(t, l), &te)
		assert.Equal(t, 302, te.StatusCode)
		l.Abort()
	})
}
