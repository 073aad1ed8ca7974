//go:build !js

package fallback_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestPlainPollReceives(t *testing.T) {
	h := script(says("a"), status(204), says(""), status(304), says("b"), says("c"))
	plainBubble(t, h, func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		typ, data, err := l.Read([]byte("mine "))
		require.NoError(t, err)
		assert.Equal(t, text, typ)
		assert.Equal(t, "mine a", string(data))
		assert.Equal(t, "b", read(t, l))
		assert.Equal(t, "c", read(t, l))
		var want []time.Duration
		for i := range 6 {
			want = append(want, time.Duration(i)*5*time.Second)
		}
		assert.Equal(t, want, w.times("GET"))
		assert.Equal(t, "/chat?token=SECRET", w.requests()[5].uri)
		assert.Equal(t, 1, w.net.Dials(), "one connection")
		l.Abort()
	})
}

func TestPlainPollPace(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		interval time.Duration
		takes    []time.Duration
		want     []time.Duration // when the GETs come
	}{
		"short ones":                         {0, []time.Duration{0, 0}, []time.Duration{0, 5 * s, 10 * s}},
		"a held one is followed at once":     {0, []time.Duration{20 * s, 0, 30 * s}, []time.Duration{0, 20 * s, 25 * s, 55 * s}},
		"a second is held":                   {0, []time.Duration{s, 999 * time.Millisecond}, []time.Duration{0, s, s + 5999*time.Millisecond}},
		"of a long interval a fifth":         {60 * s, []time.Duration{12 * s, 11 * s}, []time.Duration{0, 12 * s, 83 * s}},
		"of a short interval still a second": {s / 10, []time.Duration{s / 2, s}, []time.Duration{0, 6 * s / 10, 16 * s / 10}},
	} {
		t.Run(name, func(t *testing.T) {
			var steps []http.HandlerFunc
			for _, d := range test.takes {
				steps = append(steps, says("m", d))
			}
			plainBubble(t, script(append(steps, says("last"))...), func(t *testing.T, w *plainWorld) {
				l := w.dial(t, fallback.PlainPollOptions{Interval: test.interval})
				for range test.want {
					read(t, l)
				}
				assert.Equal(t, test.want, w.times("GET"))
				l.Abort()
			})
		})
	}
}

// The way to the server is not counted as time that it held a GET.
func TestPlainPollPaceOfSlowConnect(t *testing.T) {
	plainBubble(t, says("m"), func(t *testing.T, w *plainWorld) {
		w.net.SetLatency(400 * time.Millisecond)
		l := w.dial(t, fallback.PlainPollOptions{})
		read(t, l)
		read(t, l)
		times := w.times("GET")
		assert.Equal(t, 5800*time.Millisecond, times[1]-times[0])
		l.Abort()
	})
}

func TestPlainPollSplit(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want []string
	}{
		"array":        {`[{"a":1},"x", 2 ,null,[3]]`, []string{`{"a":1}`, `"x"`, `2`, `null`, `[3]`}},
		"with spaces":  {"\r\n\t [1]\n", []string{"1"}},
		"empty array":  {`[]`, nil},
		"object":       {`{"a":[1]}`, []string{`{"a":[1]}`}},
		"no JSON":      {`hello [1]`, []string{`hello [1]`}},
		"empty":        {``, nil},
		"escapes stay": {`["\u00e4\/"]`, []string{`"\u00e4\/"`}},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, script(says(test.body), says("end")), func(t *testing.T, w *plainWorld) {
				l := w.dial(t, fallback.PlainPollOptions{Split: true})
				for _, want := range append(test.want, "end") {
					_, data, err := l.Read([]byte("x"))
					require.NoError(t, err)
					assert.Equal(t, "x"+want, string(data))
				}
				l.Abort()
			})
		})
	}
}

func TestPlainPollBadMessages(t *testing.T) {
	for name, test := range map[string]struct {
		opts fallback.PlainPollOptions
		body string
	}{
		"not UTF-8":                {fallback.PlainPollOptions{}, "a\xff"},
		"an array, not UTF-8":      {fallback.PlainPollOptions{Split: true}, "[\"a\xff\"]"},
		"an array that is cut":     {fallback.PlainPollOptions{Split: true}, `[1,`},
		"more than the array":      {fallback.PlainPollOptions{Split: true}, `[1]2`},
		"nested beyond all bounds": {fallback.PlainPollOptions{Split: true}, strings.Repeat("[", 20_000)},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, says(test.body), func(t *testing.T, w *plainWorld) {
				r := w.request()
				r.MaxMessageSize = 1 << 20
				l, err := fallback.PlainPoll(test.opts).Dial(t.Context(), r)
				require.NoError(t, err)
				var pe *transport.ProtocolError
				require.ErrorAs(t, readError(t, l), &pe)
				assert.Equal(t, uint16(1007), pe.Code)
				l.Abort()
			})
		})
	}
}

func TestPlainPollBinary(t *testing.T) {
	plainBubble(t, script(says("a\xff"), says("[\"\xff\"]")), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{Type: transport.Binary})
		typ, data, err := l.Read(nil)
		require.NoError(t, err)
		assert.Equal(t, transport.Binary, typ)
		assert.Equal(t, "a\xff", string(data))
		assert.Equal(t, "[\"\xff\"]", read(t, l))
		l.Abort()
	})
}

func TestPlainPollTooBig(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"with a length": says(strings.Repeat("x", 1025)),
		"without one": func(rw http.ResponseWriter, _ *http.Request) {
			for range 1025 {
				_, _ = io.WriteString(rw, "x")
				rw.(http.Flusher).Flush()
			}
		},
		"endless": func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = rw.Write(make([]byte, 1<<10))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, script(says(strings.Repeat("x", 1024)), h), func(t *testing.T, w *plainWorld) {
				l := w.dial(t, fallback.PlainPollOptions{})
				assert.Len(t, read(t, l), 1024)
				assert.ErrorIs(t, readError(t, l), transport.ErrMessageTooBig)
				l.Abort()
			})
		})
	}
}

func TestPlainPollWithoutLimit(t *testing.T) {
	plainBubble(t, says(strings.Repeat("x", 5000)), func(t *testing.T, w *plainWorld) {
		r := w.request()
		r.MaxMessageSize = 0
		l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
		require.NoError(t, err)
		assert.Len(t, read(t, l), 5000)
		l.Abort()
	})
}

func TestPlainPollValidators(t *testing.T) {
	with := func(etag, modified string, next http.HandlerFunc) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", etag)
			if modified != "" {
				rw.Header().Set("Last-Modified", modified)
			}
			next(rw, r)
		}
	}
	const day = "Wed, 01 Jan 2020 00:00:00 GMT"
	h := script(with(`"1"`, day, says("a")), status(304), with(`W/"2"`, "", says("b")), says("c"), says("d"))
	plainBubble(t, h, func(t *testing.T, w *plainWorld) {
		r := w.request()
		r.Header = http.Header{"If-None-Match": {`"mine"`}}
		l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
		require.NoError(t, err)
		for _, want := range []string{"a", "b", "c", "d"} {
			assert.Equal(t, want, read(t, l))
		}
		var got [][2]string
		for _, s := range w.requests() {
			got = append(got, [2]string{s.header.Get("If-None-Match"), s.header.Get("If-Modified-Since")})
		}
		assert.Equal(t, [][2]string{{`"mine"`, ""}, {`"1"`, day}, {`"1"`, day}, {`W/"2"`, ""}, {`"mine"`, ""}}, got)
		l.Abort()
	})
}

func TestPlainPollFailedGetEndsTheLink(t *testing.T) {
	for name, test := range map[string]struct {
		h      http.HandlerFunc
		status int
		is     error
	}{
		"503": {status(503), 503, nil},
		"401": {status(401), 401, nil},
		"HTML": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			answer(rw, 200, "<html>")
		}, 200, nil},
		"redirect": {func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "http://portal.test/?SECRET=SECRET", 302)
		}, 302, nil},
		"broken": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, io.EOF},
		"cut off": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100")
			answer(rw, 200, "half")
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 0, io.ErrUnexpectedEOF},
		"not HTTP": {func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, _ := rw.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "SECRET\r\n\r\n")
			conn.Close()
		}, 0, nil},
		"a header without end": {func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, _ := rw.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("SECRET", 1<<18))
			conn.Close()
		}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, script(says("a"), test.h), func(t *testing.T, w *plainWorld) {
				l := w.dial(t, fallback.PlainPollOptions{})
				assert.Equal(t, "a", read(t, l))
				err := readError(t, l)
				var te *transport.Error
				if errors.As(err, &te) {
					assert.Equal(t, test.status, te.StatusCode)
					assert.Equal(t, transport.PhaseHandshake, te.Phase)
				} else {
					assert.Zero(t, test.status)
				}
				if test.is != nil {
					assert.ErrorIs(t, err, test.is)
				}
				l.Abort()
			})
		})
	}
}

func TestPlainPollServerGone(t *testing.T) {
	plainBubble(t, says("a"), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		read(t, l)
		w.net.Reset()
		w.net.SetDown(syscall.ENETUNREACH)
		assert.ErrorIs(t, readError(t, l), syscall.ENETUNREACH)
		l.Abort()
	})
}

// A GET may be repeated by itself where the server closes an idle connection.
func TestPlainPollIdleConnectionClosed(t *testing.T) {
	plainBubble(t, says("a"), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		read(t, l)
		w.net.Reset()
		read(t, l)
		assert.Equal(t, 2, w.net.Dials())
		l.Abort()
	})
}

func TestPlainPollSilence(t *testing.T) {
	const silence = 2 * time.Minute
	for name, h := range map[string]http.HandlerFunc{
		"no answer": hold,
		"half an answer": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "100")
			answer(rw, 200, "half")
			rw.(http.Flusher).Flush()
			hold(rw, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, script(says("a"), h), func(t *testing.T, w *plainWorld) {
				l := w.dial(t, fallback.PlainPollOptions{})
				read(t, l)
				began := time.Now()
				err := readError(t, l)
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				assert.ErrorContains(t, err, "nothing has moved for 2m0s")
				assert.Equal(t, 5*time.Second+silence, time.Since(began))
				l.Abort()
			})
		})
	}
	t.Run("a slow answer lives", func(t *testing.T) {
		h := func(rw http.ResponseWriter, _ *http.Request) {
			for range 4 {
				_, _ = io.WriteString(rw, "x")
				rw.(http.Flusher).Flush()
				time.Sleep(silence - time.Second)
			}
		}
		plainBubble(t, script(says("a", silence-time.Second), h), func(t *testing.T, w *plainWorld) {
			l := w.dial(t, fallback.PlainPollOptions{})
			assert.Equal(t, "a", read(t, l))
			assert.Equal(t, "xxxx", read(t, l))
			l.Abort()
		})
	})
	t.Run("no connection", func(t *testing.T) {
		plainBubble(t, says("a"), func(t *testing.T, w *plainWorld) {
			l := w.dial(t, fallback.PlainPollOptions{})
			read(t, l)
			w.net.Reset()
			w.net.Blackhole("server.test:80", true)
			began := time.Now()
			err := readError(t, l)
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.Equal(t, 15*time.Second, time.Since(began), "the interval and WriteTimeout")
			l.Abort()
		})
	})
}

func TestPlainPollAbortEndsRead(t *testing.T) {
	for name, steps := range map[string][]http.HandlerFunc{
		"between two GETs": {says("a"), hold},
		"in a held one":    {says("a", time.Second), hold},
		"in an answer": {says("a", time.Second), func(rw http.ResponseWriter, r *http.Request) {
			answer(rw, 200, "half")
			rw.(http.Flusher).Flush()
			hold(rw, r)
		}},
	} {
		for _, end := range []string{"abort", "close"} {
			t.Run(name+", "+end, func(t *testing.T) {
				plainBubble(t, script(steps...), func(t *testing.T, w *plainWorld) {
					l := w.dial(t, fallback.PlainPollOptions{})
					read(t, l)
					ended := make(chan error)
					go func() {
						_, _, err := l.Read(nil)
						ended <- err
					}()
					synctest.Wait()
					before := time.Now()
					if end == "close" {
						require.NoError(t, l.Close(t.Context(), 1000, "bye"))
					} else {
						l.Abort()
					}
					assert.Equal(t, net.ErrClosed, <-ended)
					l.Abort()
					assert.ErrorIs(t, readError(t, l), net.ErrClosed)
					assert.Zero(t, time.Since(before))
					assert.Empty(t, w.times("POST"))
				})
			})
		}
	}
}
