package fallback_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestLongPollOpen(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.open = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Holdfast-Subprotocol", "b")
			ours(200, longWelcome())(rw, r)
		})
		w.request.Subprotocols = []string{"a", "b"}
		w.request.Host = "other.test:99"
		w.request.Header = http.Header{
			"X-Mine": {"1", "2"}, "Authorization": {"Bearer mine"}, "User-Agent": {"mine"},
			"Expect": {"100-continue"}, "content-encoding": {"gzip"}, "Idempotency-Key": {"mine"}, "Holdfast-Poll": {"9"},
			"Sec-WebSocket-Extensions": {"x"}, "Upgrade": {"websocket"}, "Connection": {"upgrade"},
		}
		before := w.request.Header.Clone()
		connected := 0
		w.request.Connected = func() { connected++ }
		l := w.link(t)
		defer l.Abort()
		assert.Equal(t, before, w.request.Header, "the request is the caller's")
		assert.Positive(t, connected)

		seen := w.of("open")
		require.Len(t, seen, 1)
		assert.Equal(t, "/chat?token=SECRET", seen[0].uri)
		assert.Equal(t, "other.test:99", seen[0].host)
		assert.Equal(t, longHello(), seen[0].body)
		assert.Equal(t, int64(len(longHello())), seen[0].length)
		assert.Equal(t, http.Header{
			"Holdfast-Op": {"open"}, "Content-Type": {wire.MediaType}, "Accept-Encoding": {"identity"}, "Content-Length": {"40"},
			"Holdfast-Subprotocol": {"a, b"}, "X-Mine": {"1", "2"}, "Authorization": {"Bearer mine"}, "User-Agent": {"mine"},
		}, withLength(seen[0].header))

		info := l.Info()
		assert.True(t, info.Session)
		assert.True(t, info.Answered)
		assert.Equal(t, "b", info.Subprotocol)
		assert.Equal(t, 200, info.Response.StatusCode)
		assert.Nil(t, info.Response.Request, "it has the secret")
		assert.NotNil(t, info.LocalAddr)
		assert.Contains(t, info.RemoteAddr.String(), ":80")
		require.ErrorIs(t, l.Ping(1), errors.ErrUnsupported)
		assert.Equal(t, longWelcome(), readBatch(t, l))
	})
	assert.Equal(t, "longpoll", fallback.LongPoll(nil).Name())
}

// withLength checks that there is a length, and makes it a known one.
func withLength(h http.Header) http.Header {
	if h.Get("Content-Length") != "" {
		h.Set("Content-Length", "40")
	}
	return h
}

// An answer with frames is for the session to judge, whatever its status.
func TestLongPollOpenRejected(t *testing.T) {
	for _, status := range []int{400, 409, 410, 421} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.open = ours(status, longReject(status))
			l := w.link(t)
			defer l.Abort()
			assert.Equal(t, status, l.Info().Response.StatusCode)
			assert.Equal(t, longReject(status), readBatch(t, l))
			readFails(t, l)
			n, err := l.Write(batch(longAck(1)))
			assert.Zero(t, n)
			require.Error(t, err)
			require.Error(t, l.Close(t.Context(), 1000, ""))
			assert.Len(t, w.of("open"), 1)
			assert.Empty(t, append(append(w.of("poll"), w.of("send")...), w.of("close")...))
		})
	}
}

// The id stands in a header.
func TestLongPollSIDThatCannotBeSent(t *testing.T) {
	for _, sid := range []string{"", "a b", "a\r\nX-Evil: 1", "ä"} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			welcome := wire.Append(nil, wire.Frame{Type: wire.Welcome, Payload: wire.WelcomePayload{SID: sid}.Append(nil)})
			w.open = ours(200, welcome)
			l := w.link(t)
			defer l.Abort()
			assert.Equal(t, welcome, readBatch(t, l))
			assert.ErrorContains(t, readFails(t, l), "no session")
			assert.Empty(t, w.of("poll"))
		})
	}
}

func TestLongPollOpenAnswers(t *testing.T) {
	cases := map[string]struct {
		h      http.HandlerFunc
		status int
	}{
		"a page":          {theirs(200), 200},
		"nothing":         {theirs(204), 204},
		"a redirect":      {theirs(302), 302},
		"no upgrade":      {theirs(426), 426},
		"a gateway":       {theirs(502), 502},
		"cut":             {cutShort(longWelcome()[:5]), 200},
		"an empty answer": {ours(200, nil), 200},
		"too big":         {ours(200, make([]byte, wire.MaxBatch+1)), 200},
		"a cut frame":     {ours(200, longWelcome()[:5]), 200},
		"a foreign protocol": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", wire.MediaType)
			rw.Write(longWelcome())
		}, 200},
		"a later version": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", wire.MediaType)
			rw.Header().Set("Holdfast-Version", "2")
			rw.Write(longWelcome())
		}, 200},
		"compressed": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			ours(200, longWelcome())(rw, r)
		}, 200},
		"an unoffered subprotocol": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Holdfast-Subprotocol", "b")
			ours(200, longWelcome())(rw, r)
		}, 200},
	}
	for _, status := range []int{401, 403, 404, 413, 415, 426, 429, 503} {
		cases["ours "+http.StatusText(status)] = struct {
			h      http.HandlerFunc
			status int
		}{wordless(status), status}
		cases["theirs "+http.StatusText(status)] = struct {
			h      http.HandlerFunc
			status int
		}{theirs(status), status}
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				w.open = tt.h
				te := w.fails(t, t.Context())
				assert.Equal(t, transport.PhaseHandshake, te.Phase)
				assert.Equal(t, tt.status, te.StatusCode)
				assert.NotNil(t, te.Header)
				assert.Equal(t, "http://server.test/chat?token=SECRET", te.URL.String())
				assert.False(t, te.Proxied)
				assert.Len(t, w.of("open"), 1, "the root decides what follows")
			})
		})
	}
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.open = wordless(503)
		assert.Equal(t, "7", w.fails(t, t.Context()).Header.Get("Retry-After"))
	})
}

func TestLongPollDialPhases(t *testing.T) {
	phase := func(name string, want transport.Phase, set func(w *longWorld), is error) {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				set(w)
				te := w.fails(t, t.Context())
				assert.Equal(t, want, te.Phase)
				assert.Zero(t, te.StatusCode)
				if is != nil {
					require.ErrorIs(t, te, is)
				}
			})
		})
	}
	phase("a name", transport.PhaseResolve, func(w *longWorld) {
		w.request.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
		}
	}, nil)
	phase("refused", transport.PhaseConnect, func(w *longWorld) { w.request.URL.Host = "server.test:81" }, syscall.ECONNREFUSED)
	phase("no answer", transport.PhaseHandshake, func(w *longWorld) { w.open = http.HandlerFunc(broken) }, io.EOF)
	phase("TLS", transport.PhaseTLS, func(w *longWorld) {
		w.request.URL.Scheme, w.request.URL.Host = "wss", "server.test:80"
	}, nil)
	phase("the proxy", transport.PhaseProxy, func(w *longWorld) {
		w.request.URL.Scheme = "wss"
		w.request.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.test:1"})
	}, syscall.ECONNREFUSED)
	cause := errors.New("no token")
	phase("Authorize", transport.PhaseAuthorize, func(w *longWorld) {
		w.request.Authorize = func(context.Context, *http.Request) error { return cause }
	}, cause)
	phase("no URL", transport.PhaseNone, func(w *longWorld) { w.request.URL = nil }, nil)
	phase("no session", transport.PhaseNone, func(w *longWorld) { w.request.Session = nil }, nil)
}

func TestLongPollNeedsASession(t *testing.T) {
	te := longDialError(t, t.Context(), nil, &transport.Request{URL: &url.URL{Scheme: "ws", Host: "server.test"}})
	var permanent *backoff.PermanentError
	require.ErrorAs(t, te, &permanent)
	assert.ErrorContains(t, te, "SessionOff")
}

// A Dial that ends leaves nothing running; the bubble would not end otherwise.
func TestLongPollDialEndsWithItsContext(t *testing.T) {
	for name, set := range map[string]func(w *longWorld){
		"connecting": func(w *longWorld) { w.net.Blackhole("server.test:80", true) },
		"asking":     func(w *longWorld) { w.open = http.HandlerFunc(silent) },
		"reading": func(w *longWorld) {
			w.open = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Length", "1000")
				ours(200, longWelcome())(rw, r)
				rw.(http.Flusher).Flush()
				<-r.Context().Done()
			})
		},
		"authorizing": func(w *longWorld) {
			w.request.Authorize = func(ctx context.Context, _ *http.Request) error {
				<-ctx.Done()
				return errors.New("too late")
			}
		},
		"a slow dialer": func(w *longWorld) {
			dial := w.request.DialContext
			w.request.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
				time.Sleep(time.Minute)
				return dial(context.Background(), network, addr)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				set(w)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				require.ErrorIs(t, w.fails(t, ctx), context.DeadlineExceeded)
				if name == "a slow dialer" {
					assert.Equal(t, time.Minute, time.Since(start), "Dial waits for it")
				} else {
					assert.Equal(t, 5*time.Second, time.Since(start))
				}
			})
		})
	}
	longBubble(t, func(t *testing.T, w *longWorld) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, w.fails(t, ctx), context.Canceled)
		assert.Zero(t, w.net.Dials())
	})
}

// The dial's context is not the link's.
func TestLongPollLinkOutlivesItsDial(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := fallback.LongPoll(nil).Dial(ctx, w.request)
		require.NoError(t, err)
		defer l.Abort()
		cancel()
		_, err = l.Write(batch(longAck(1)))
		require.NoError(t, err)
	})
}

func TestLongPollURL(t *testing.T) {
	for _, tt := range []struct{ endpoint, option, want string }{
		{"ws://server.test/a?b=1", "", "http://server.test/a?b=1"},
		{"wss://server.test/a", "", "https://server.test/a"},
		{"https://server.test/a", "", "https://server.test/a"},
		{"ws://server.test/a/b?c=1", "poll", "http://server.test/a/poll"},
		{"ws://server.test/a", "/poll?x=1", "http://server.test/poll?x=1"},
		{"wss://server.test/a", "https://polls.test/p", "https://polls.test/p"},
		{"ws://server.test/a", "wss://polls.test/p", "https://polls.test/p"},
		{"wss://server.test/a", "http://127.0.0.1:1/p", "http://127.0.0.1:1/p"},
		{"ws://server.test/a", "ftp://polls.test/p", ""},
		{"ws://server.test/a", "http://u:SECRET@polls.test/p", ""},
		{"ws://server.test/a", "http:///p", ""},
		{"ws://server.test/a", ":SECRET", ""},
	} {
		u, err := url.Parse(tt.endpoint)
		require.NoError(t, err)
		dialled := errors.New("dialled")
		te := longDialError(t, t.Context(), &fallback.LongPollOptions{URL: tt.option}, &transport.Request{
			URL: u, Session: &longSession{},
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, dialled },
		})
		if tt.want == "" {
			require.NotErrorIs(t, te, dialled, tt.option)
			continue
		}
		require.ErrorIs(t, te, dialled, tt.option)
		assert.Equal(t, tt.want, te.URL.String())
	}
}

func TestLongPollURLKeepsCredentialsOffTheWire(t *testing.T) {
	r := &transport.Request{
		URL: &url.URL{Scheme: "wss", Host: "server.test"}, Session: &longSession{}, Header: http.Header{"cookie": {"a=SECRET"}},
	}
	te := longDialError(t, t.Context(), &fallback.LongPollOptions{URL: "http://polls.test/"}, r)
	require.ErrorIs(t, te, transport.ErrInsecureCredentials)
}

// The error of a parser quotes the answer, and an echo's is the request.
func TestLongPollErrorsShowNoSecrets(t *testing.T) {
	for _, answer := range []string{
		"POST /chat?token=SECRET HTTP/1.1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nHoldfast-Session " + longCredential + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + longCredential + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: SECRET\r\n\r\n",
	} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			raw := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				c, _, err := rw.(http.Hijacker).Hijack()
				if assert.NoError(t, err) {
					io.WriteString(c, answer)
					c.Close()
				}
			})
			w.poll = raw
			l := w.dial(t)
			readFails(t, l)
			l.Abort()
			w.open = raw
			assert.Equal(t, transport.PhaseHandshake, w.fails(t, t.Context()).Phase)
		})
	}
}

// A proxy is asked for an http URL as such: many make no tunnel to port 80.
func TestLongPollThroughAProxy(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.request.URL.Host = "far.test"
		w.request.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("u", "SECRET"), Host: "server.test:80"})
		l := w.dial(t)
		l.Abort()
		seen := w.of("open")
		assert.Equal(t, "http://far.test/chat?token=SECRET", seen[0].uri)
		assert.Equal(t, "far.test", seen[0].host)
		assert.NotEmpty(t, seen[0].header.Get("Proxy-Authorization"))
		w.open = theirs(407)
		te := w.fails(t, t.Context())
		assert.Equal(t, 407, te.StatusCode)
		assert.True(t, te.Proxied)
	})
}
