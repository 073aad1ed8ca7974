package fallback_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestLongPollSend(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.send = then(ours(200, longAck(2)), ours(200, longAck(3)), ours(200, longAck(4)))
		l := w.dial(t)
		defer l.Abort()
		one, two := glue(longAttach(5), longData(1, 100)), longData(2, 200)
		n, err := l.Write([]transport.Message{{Type: transport.Binary, Data: one}, {Type: transport.Binary, Data: two}})
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		assert.Equal(t, [][]byte{longAck(2), longAck(3)}, w.session.received, "before Write returns")
		_, err = l.Write(nil)
		require.NoError(t, err)
		_, err = l.Write(batch(longAck(1)))
		require.NoError(t, err)

		seen := w.of("send")
		require.Len(t, seen, 3)
		keys := map[string]bool{}
		for i, body := range [][]byte{one, two, longAck(1)} {
			p := seen[i]
			assert.Equal(t, body, p.body)
			assert.Equal(t, int64(len(body)), p.length)
			assert.False(t, p.chunked)
			keys[p.header.Get("Idempotency-Key")] = true
			p.header.Del("Idempotency-Key")
			assert.Equal(t, http.Header{
				"Holdfast-Op": {"send"}, "Holdfast-Attachment": {"5"}, "Holdfast-Session": {longCredential},
				"Content-Type": {wire.MediaType}, "Accept-Encoding": {"identity"}, "Content-Length": {"40"}, "User-Agent": {"Go-http-client/1.1"},
			}, withLength(p.header))
		}
		assert.Len(t, keys, 3, "one for each body")
		assert.NotContains(t, keys, "")
	})
}

// The server has taken it, and its answer is lost: the same bytes go again, and
// their numbers tell.
func TestLongPollLostAnswerToASend(t *testing.T) {
	for name, lost := range map[string]http.HandlerFunc{
		"a cut answer": cutShort(longAck(1)[:3]),
		"a page":       theirs(200),
		"bad gateway":  theirs(502),
		"a redirect":   theirs(308),
		"empty":        ours(200, nil),
	} {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				good := ours(200, longAck(1))
				w.send = then(lost, good, lost, good, lost, lost, good)
				l := w.dial(t)
				defer l.Abort()
				for range 2 {
					n, err := l.Write(batch(longData(1, 100)))
					require.NoError(t, err)
					assert.Equal(t, 1, n)
				}
				two := []transport.Message{{Type: transport.Binary, Data: longData(2, 100)}, {Type: transport.Binary, Data: longData(3, 100)}}
				n, err := l.Write(two)
				require.Error(t, err)
				noSecrets(t, err)
				assert.Equal(t, 1, n, "the first may have arrived, the second has not left")
				n, again := l.Write(two)
				assert.Zero(t, n)
				assert.Equal(t, err, again)

				seen := w.of("send")
				require.Len(t, seen, 6)
				for i := 0; i < 6; i += 2 {
					assert.Equal(t, seen[i].body, seen[i+1].body)
					assert.Equal(t, seen[i].header.Get("Idempotency-Key"), seen[i+1].header.Get("Idempotency-Key"))
				}
				assert.NotEqual(t, seen[0].header.Get("Idempotency-Key"), seen[2].header.Get("Idempotency-Key"))
				assert.Len(t, w.session.received, 2)
			})
		})
	}
}

// net/http repeats a request by its idempotency key where the connection had been
// used before; this link repeats it once more.
func TestLongPollNoAnswerToASend(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.send = http.HandlerFunc(broken)
		l := w.dial(t)
		defer l.Abort()
		require.ErrorIs(t, writeFails(t, l, longData(1, 100)), io.EOF)
		seen := w.of("send")
		require.Len(t, seen, 3)
		for _, p := range seen {
			assert.Equal(t, seen[0].body, p.body)
			assert.Equal(t, seen[0].header, p.header)
		}
	})
}

// Whole frames of a cut answer are an answer.
func TestLongPollCutAnswerToASend(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.send = cutShort(glue(longAck(1), longAck(2)[:3]))
		l := w.dial(t)
		defer l.Abort()
		_, err := l.Write(batch(longData(1, 100)))
		require.NoError(t, err)
		assert.Equal(t, [][]byte{longAck(1)}, w.session.received)
		assert.Len(t, w.of("send"), 1)
	})
}

func TestLongPollSendAnswers(t *testing.T) {
	for _, status := range []int{400, 409, 410, 421} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.session.err = errors.New("rejected")
			w.send = ours(status, longReject(status))
			l := w.dial(t)
			defer l.Abort()
			n, err := l.Write(batch(longData(1, 100)))
			assert.Equal(t, w.session.err, err, "what the session says")
			assert.Equal(t, 1, n)
			assert.Equal(t, [][]byte{longReject(status)}, w.session.received)
			assert.Len(t, w.of("send"), 1)
		})
	}
	for _, status := range []int{403, 404, 413, 415, 426, 429, 503} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.send = wordless(status)
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, status, statusOf(t, writeFails(t, l, glue(longData(1, 5000), longData(2, 5000)))))
			assert.Len(t, w.of("send"), 1)
		})
	}
}

func TestLongPollNothingLeft(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		l := w.dial(t)
		defer l.Abort()
		time.Sleep(10 * time.Second) // no spare connection is left
		w.net.Reset()
		synctest.Wait()
		w.net.Blackhole("server.test:80", true)
		n, err := l.Write(batch(longData(1, 100)))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Zero(t, n, "no connection was there")
		assert.Empty(t, w.of("send"))
	})
}

// small answers 413 to what is larger than limit.
func (w *longWorld) small(limit int64, no http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.ContentLength > limit {
			no(rw, r)
			return
		}
		ours(200, longAck(1))(rw, r)
	}
}

func frames(sizes ...int) (all []byte) {
	for i, size := range sizes {
		all = append(all, longData(uint64(i+1), size)...)
	}
	return all
}

func lengths(list []posted) (n []int64) {
	for _, p := range list {
		n = append(n, p.length)
	}
	return n
}

func TestLongPollSplitsWhatIsTooLarge(t *testing.T) {
	t.Run("at frames", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.send = w.small(20_000, theirs(413))
			l := w.dial(t)
			defer l.Abort()
			data := frames(9000, 9000, 9000, 9000, 9000, 9000, 9000)
			_, err := l.Write(batch(data))
			require.NoError(t, err)
			// 63,000 is halved to 31,500, of which 27,000 are whole frames, and that to
			// 13,500.
			assert.Equal(t, []int64{63_000, 27_000, 9000, 9000, 9000, 9000, 9000, 9000, 9000}, lengths(w.of("send")))
			var got []byte
			for _, p := range w.of("send")[2:] {
				got = append(got, p.body...)
			}
			assert.Equal(t, data, got)
			assert.Len(t, w.session.received, 7)

			_, err = l.Write(batch(frames(9000, 9000)))
			require.NoError(t, err)
			assert.Equal(t, []int64{9000, 9000}, lengths(w.of("send")[9:]), "it is remembered")
		})
	})
	t.Run("from the start", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			l := w.dial(t)
			defer l.Abort()
			_, err := l.Write(batch(frames(60_000, 60_000, 60_000, 60_000, 60_000)))
			require.NoError(t, err)
			assert.Equal(t, []int64{240_000, 60_000}, lengths(w.of("send")))
		})
	})
	t.Run("one frame", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.send = w.small(10_000, theirs(413))
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, 413, statusOf(t, writeFails(t, l, frames(9000, 60_000))))
			assert.Equal(t, []int64{69_000, 9000, 60_000}, lengths(w.of("send")))
		})
	})
	t.Run("4 KiB", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.send = w.small(0, theirs(413))
			l := w.dial(t)
			defer l.Abort()
			var many []int
			for range 256 {
				many = append(many, 1024)
			}
			assert.Equal(t, 413, statusOf(t, writeFails(t, l, frames(many...))))
			assert.Equal(t, []int64{262_144, 131_072, 65_536, 32_768, 16_384, 8192, 4096}, lengths(w.of("send")))
		})
	})
	t.Run("part of it may have left", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.send = then(theirs(413), ours(200, longAck(1)), wordless(503))
			l := w.dial(t)
			defer l.Abort()
			n, err := l.Write(batch(frames(9000, 9000)))
			assert.Equal(t, 503, statusOf(t, err))
			assert.Equal(t, 1, n)
		})
	})
}

// A send is not held open; but a slow network has its time.
func TestLongPollSendIsBounded(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.send = then(held(10*time.Second, ours(200, longAck(1))), silent)
		l := w.dial(t)
		defer l.Abort()
		_, err := l.Write(batch(frames(8 << 10)))
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, writeFails(t, l, frames(8<<10)), os.ErrDeadlineExceeded)
		assert.Equal(t, 2*11*time.Second, time.Since(start), "10 s, and 1 s for each 8 KiB")
	})
}

func TestLongPollRedirectsAreNotFollowed(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		elsewhere, err := w.net.Listen("elsewhere.test:80")
		require.NoError(t, err)
		defer elsewhere.Close()
		for _, status := range []int{301, 302, 303, 307, 308} {
			h := http.RedirectHandler("http://elsewhere.test/", status)
			w.open, w.poll, w.send, w.close = ours(200, longWelcome()), h, h, h
			dials := w.net.Dials()
			l := w.dial(t)
			assert.Equal(t, status, statusOf(t, readFails(t, l)))
			assert.Equal(t, status, statusOf(t, writeFails(t, l, longAck(1))))
			assert.Equal(t, status, statusOf(t, l.Close(t.Context(), 1000, "")))
			w.open = h
			assert.Equal(t, status, w.fails(t, t.Context()).StatusCode)
			for _, p := range w.seen {
				assert.Equal(t, "server.test", p.host)
			}
			assert.Less(t, dials, w.net.Dials())
		}
	})
}

func TestLongPollCookies(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		jar := &oneJar{}
		w.request.Jar = jar
		set := func(value string, next http.HandlerFunc) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				http.SetCookie(rw, &http.Cookie{Name: "node", Value: value})
				next(rw, r)
			}
		}
		w.open = set("1", ours(200, longWelcome()))
		w.poll = then(set("2", theirs(502)), ours(200, longPing()))
		l := w.dial(t)
		_, err := l.Write(batch(longAck(1)))
		require.NoError(t, err)
		readBatch(t, l)
		require.NoError(t, l.Close(t.Context(), 1000, ""))
		var cookies []string
		for _, p := range w.seen {
			cookies = append(cookies, p.op+" "+p.header.Get("Cookie"))
		}
		assert.Equal(t, []string{"open ", "send node=1", "poll node=1", "poll node=2", "close node=2"}, cookies)
		assert.Equal(t, "http://server.test/chat?token=SECRET", jar.url)
	})
}

// oneJar keeps the cookies last set.
type oneJar struct {
	url  string
	kept []*http.Cookie
}

func (j *oneJar) SetCookies(u *url.URL, cookies []*http.Cookie) { j.url, j.kept = u.String(), cookies }
func (j *oneJar) Cookies(*url.URL) []*http.Cookie               { return j.kept }

// The program's code sees none of the protocol's headers, and sets none.
func TestLongPollAuthorizeSeesNoSecret(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		look := func(h http.Header) {
			for key := range h {
				assert.NotContains(t, key, "Holdfast-")
			}
		}
		calls := 0
		w.request.Authorize = authorize(func(r *http.Request) error {
			calls++
			look(r.Header)
			assert.Nil(t, r.Body)
			assert.Equal(t, wire.MediaType, r.Header.Get("Content-Type"))
			if calls == 2 {
				r.Header = nil
			} else {
				r.Header.Set("X-Token", "t")
				r.Header.Set("Holdfast-Op", "close")
				r.Header.Set("holdfast-poll", "9")
			}
			r.URL.Path = "/b"
			return nil
		})
		w.request.Proxy = func(r *http.Request) (*url.URL, error) {
			look(r.Header)
			return nil, nil
		}
		l := w.dial(t)
		defer l.Abort()
		for range 2 {
			_, err := l.Write(batch(longAck(1)))
			require.NoError(t, err)
		}
		sends := w.of("send")
		require.Len(t, sends, 2)
		assert.Equal(t, "/b?token=SECRET", sends[0].uri)
		assert.Equal(t, longCredential, sends[0].header.Get("Holdfast-Session"))
		assert.Equal(t, "t", sends[1].header.Get("X-Token"))
		assert.Empty(t, sends[1].header.Get("Holdfast-Poll"))
		assert.Equal(t, longAck(1), sends[1].body)
		assert.Equal(t, 3, calls)
	})
}
