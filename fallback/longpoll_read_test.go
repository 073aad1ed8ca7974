package fallback_test

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestLongPollPoll(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.poll = then(ours(200, glue(longData(1, 100), longAck(1))), held(20*time.Second, ours(200, longPing())), silent)
		w.request.Header = http.Header{"X-Mine": {"1"}, "Content-Type": {"text/mine"}}
		l := w.dial(t)
		defer l.Abort()
		assert.Equal(t, glue(longData(1, 100), longAck(1)), readBatch(t, l))
		assert.Equal(t, longPing(), readBatch(t, l))
		seen := w.of("poll")
		require.Len(t, seen, 2)
		for i, p := range seen {
			assert.Equal(t, "/chat?token=SECRET", p.uri)
			assert.Equal(t, longAck(uint64(i+1)), p.body, "asked of the session each time")
			assert.Equal(t, int64(len(p.body)), p.length)
			assert.False(t, p.chunked)
			assert.Equal(t, http.Header{
				"Holdfast-Op": {"poll"}, "Holdfast-Poll": {strconv.Itoa(i + 1)}, "Holdfast-Hang": {"20000"}, "Holdfast-Attachment": {"3"},
				"Holdfast-Session": {longCredential}, "Content-Type": {wire.MediaType}, "Accept-Encoding": {"identity"},
				"Content-Length": {"40"}, "X-Mine": {"1"}, "User-Agent": {"Go-http-client/1.1"},
			}, withLength(p.header))
		}
	})
}

func TestLongPollHang(t *testing.T) {
	for hang, want := range map[time.Duration]string{
		0: "20000", time.Millisecond: "1000", 5 * time.Second: "5000", time.Hour: "60000",
	} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = ours(200, longPing())
			l, err := fallback.LongPoll(&fallback.LongPollOptions{Hang: hang}).Dial(t.Context(), w.request)
			require.NoError(t, err)
			defer l.Abort()
			readBatch(t, l)
			readBatch(t, l)
			assert.Equal(t, want, w.of("poll")[0].header.Get("Holdfast-Hang"))
		})
	}
	longBubble(t, func(t *testing.T, w *longWorld) {
		longDialError(t, t.Context(), &fallback.LongPollOptions{Hang: -1}, w.request)
		assert.Zero(t, w.net.Dials())
	})
}

// Whatever the server says in frames is the session's to judge.
func TestLongPollRejectedPoll(t *testing.T) {
	for _, status := range []int{400, 409, 410, 421} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = ours(status, longReject(status))
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, longReject(status), readBatch(t, l))
			assert.Len(t, w.of("poll"), 1)
		})
	}
}

func TestLongPollMalformedFramesAreTheSessions(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		bad := glue(longAck(1), []byte{byte(wire.Ack), 0, 1, 0, 0}, longAck(1)[:2])
		w.poll = ours(200, bad)
		l := w.dial(t)
		defer l.Abort()
		assert.Equal(t, bad, readBatch(t, l))
	})
}

// Of an answer that is cut the whole frames count.
func TestLongPollCutPoll(t *testing.T) {
	whole := glue(longAck(1), longData(1, 500))
	for name, cut := range map[string]http.HandlerFunc{
		"short":            cutShort(glue(whole, longData(2, 500)[:400])),
		"at a frame":       cutShort(whole),
		"in a header":      cutShort(glue(whole, longData(2, 500)[:1])),
		"ended in a frame": ours(200, glue(whole, longData(2, 500)[:400])),
	} {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				w.poll = then(cut, cut, cut, ours(200, longPing()), silent)
				l := w.dial(t)
				defer l.Abort()
				for range 3 {
					assert.Equal(t, whole, readBatch(t, l), "progress, however often it is cut")
				}
				assert.Equal(t, longPing(), readBatch(t, l))
				assert.Len(t, w.of("poll"), 4)
			})
		})
	}
	t.Run("nothing whole", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			cut := cutShort(longData(1, 500)[:400])
			w.poll = then(cut, ours(200, longPing()), cut, cut, silent)
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, longPing(), readBatch(t, l))
			require.ErrorContains(t, readFails(t, l), "EOF")
			assert.Len(t, w.of("poll"), 4)
		})
	})
	t.Run("nothing new", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = cutShort(longAck(1))
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, longAck(1), readBatch(t, l))
			readFails(t, l)
			assert.Len(t, w.of("poll"), 2)
		})
	})
	t.Run("empty", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = ours(200, nil)
			l := w.dial(t)
			defer l.Abort()
			readFails(t, l)
			assert.Len(t, w.of("poll"), 2, "no loop")
		})
	})
}

func TestLongPollAnswerTooBig(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		exact := make([]byte, 0, wire.MaxBatch)
		for i := range uint64(wire.MaxBatch / 8192) {
			exact = append(exact, longData(i+1, 8192)...)
		}
		w.poll = then(ours(200, exact), ours(200, append(exact, 0)))
		l := w.dial(t)
		defer l.Abort()
		assert.Equal(t, exact, readBatch(t, l))
		var pe *transport.ProtocolError
		require.ErrorAs(t, readFails(t, l), &pe)
		assert.Equal(t, uint16(1002), pe.Code)
		assert.Len(t, w.of("poll"), 2)
	})
}

// One failure is tried again at once, and two in a row are the link's end.
func TestLongPollFailedPoll(t *testing.T) {
	good := ours(200, longPing())
	for name, tt := range map[string]struct {
		h      http.HandlerFunc
		status int
	}{
		"no answer":      {broken, 0},
		"a page":         {theirs(200), 200},
		"bad request":    {theirs(400), 400},
		"forbidden":      {theirs(403), 403},
		"not found":      {theirs(404), 404},
		"gone":           {theirs(410), 410},
		"too large":      {theirs(413), 413},
		"soon a gateway": {theirs(502), 502},
		"busy":           {theirs(503), 503},
		"a redirect": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "http://server.test/elsewhere")
			theirs(307)(rw, r)
		}, 307},
		"compressed": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Encoding", "br")
			good(rw, r)
		}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				w.poll = then(good, tt.h, good, tt.h, good, tt.h, tt.h, good)
				l := w.dial(t)
				defer l.Abort()
				for range 3 {
					assert.Equal(t, longPing(), readBatch(t, l))
				}
				assert.Equal(t, tt.status, statusOf(t, readFails(t, l)))
				polls := w.of("poll")
				assert.Len(t, polls, 7)
				for i, p := range polls {
					assert.Zero(t, p.at, "at once")
					assert.Equal(t, "/chat?token=SECRET", p.uri)
					assert.Equal(t, strconv.Itoa(i+1), p.header.Get("Holdfast-Poll"), "each is a new one")
				}
			})
		})
	}
}

// What our server says without frames is not asked again.
func TestLongPollRefusedPoll(t *testing.T) {
	for _, status := range []int{403, 404, 413, 415, 426, 429, 500, 503} {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = wordless(status)
			l := w.dial(t)
			defer l.Abort()
			err := readFails(t, l)
			assert.Equal(t, status, statusOf(t, err))
			var te *transport.Error
			require.ErrorAs(t, err, &te)
			assert.Equal(t, "7", te.Header.Get("Retry-After"))
			assert.Equal(t, transport.PhaseHandshake, te.Phase)
			assert.Len(t, w.of("poll"), 1)
		})
	}
}

// Somebody on the way who does not wait as long halves the hang.
func TestLongPollHangIsHalved(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"bad gateway":     theirs(502),
		"gateway timeout": theirs(504),
		"the end":         broken,
		"after a header":  cutShort(nil),
	} {
		halved := func(proto int) func(t *testing.T, w *longWorld) {
			return func(t *testing.T, w *longWorld) {
				w.poll = held(5*time.Second, h)
				l := w.dial(t)
				defer l.Abort()
				readFails(t, l)
				var hangs []string
				for _, p := range w.of("poll") {
					hangs = append(hangs, p.header.Get("Holdfast-Hang"))
					assert.Equal(t, proto, p.proto)
				}
				assert.Equal(t, []string{"20000", "10000", "5000", "2500", "1250", "1000", "1000"}, hangs, "no failures until nothing is left to halve")
			}
		}
		t.Run(name, func(t *testing.T) { longBubble(t, halved(1)) })
		t.Run(name+", HTTP/2", func(t *testing.T) { longBubble2(t, halved(2)) })
	}
	t.Run("a reset", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = then(held(5*time.Second, func(rw http.ResponseWriter, _ *http.Request) {
				c, _, err := rw.(http.Hijacker).Hijack()
				if assert.NoError(t, err) {
					c.(*memnet.Conn).Reset()
				}
			}), theirs(500), ours(200, longPing()))
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, longPing(), readBatch(t, l))
			assert.Equal(t, "10000", w.of("poll")[2].header.Get("Holdfast-Hang"))
		})
	})
	t.Run("too soon", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = held(4*time.Second-1, theirs(504))
			l := w.dial(t)
			defer l.Abort()
			assert.Equal(t, 504, statusOf(t, readFails(t, l)))
			assert.Len(t, w.of("poll"), 2)
		})
	})
	t.Run("another status", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = held(10*time.Second, theirs(503))
			l := w.dial(t)
			defer l.Abort()
			readFails(t, l)
			assert.Len(t, w.of("poll"), 2)
		})
	})
	t.Run("time spent in Authorize", func(t *testing.T) {
		longBubble(t, func(t *testing.T, w *longWorld) {
			w.poll = http.HandlerFunc(broken)
			l := w.dialAuthorized(t, func() { time.Sleep(6 * time.Second) })
			defer l.Abort()
			readFails(t, l)
			assert.Len(t, w.of("poll"), 2)
		})
	})
}

// dialAuthorized dials with an Authorize that runs f.
func (w *longWorld) dialAuthorized(t *testing.T, f func()) transport.Link {
	w.request.Authorize = authorize(func(*http.Request) error {
		f()
		return nil
	})
	return w.dial(t)
}

func TestLongPollGivesAPollUp(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.poll = then(held(30*time.Second-1, ours(200, longPing())), silent)
		l := w.dial(t)
		defer l.Abort()
		assert.Equal(t, longPing(), readBatch(t, l))
		require.ErrorIs(t, readFails(t, l), os.ErrDeadlineExceeded)
		start := 30*time.Second - 1
		assert.Equal(t, []time.Duration{0, start, start + 30*time.Second}, w.times("poll"))
		assert.Equal(t, start+time.Minute, time.Since(w.start))
		var hangs []string
		for _, p := range w.of("poll") {
			hangs = append(hangs, p.header.Get("Holdfast-Hang"))
		}
		assert.Equal(t, []string{"20000", "20000", "20000"}, hangs, "silence is nobody's impatience")
	})
}

// An answer may take its time, as long as some of it arrives.
func TestLongPollSlowAnswer(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		data := longData(1, 100)
		w.poll = then(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "100")
			ours(200, nil)(rw, r)
			for i := range data {
				time.Sleep(29 * time.Second)
				rw.Write(data[i : i+1])
				rw.(http.Flusher).Flush()
			}
		}, silent)
		l := w.dial(t)
		defer l.Abort()
		assert.True(t, l.LastRead().Equal(w.start))
		go func() {
			time.Sleep(29*50*time.Second + time.Second)
			assert.Equal(t, 29*50*time.Second, l.LastRead().Sub(w.start))
		}()
		assert.Equal(t, data, readBatch(t, l))
		assert.Equal(t, 29*100*time.Second, time.Since(w.start))
		assert.Equal(t, 29*100*time.Second, l.LastRead().Sub(w.start))
	})
}

// Pings of HTTP/2 are answered by whoever is next, not by the server.
func TestLongPollPingsOfHTTP2AreNoLife(t *testing.T) {
	longBubble2(t, func(t *testing.T, w *longWorld) {
		w.poll = held(20*time.Second, ours(200, longPing()))
		l := w.dial(t)
		defer l.Abort()
		go func() {
			time.Sleep(20*time.Second - 1)
			assert.True(t, l.LastRead().Equal(w.start))
		}()
		readBatch(t, l)
		assert.Equal(t, 20*time.Second, l.LastRead().Sub(w.start))
	})
}

func TestLongPollUnauthorized(t *testing.T) {
	good := ours(200, longPing())
	for name, no := range map[string]http.HandlerFunc{"ours": wordless(401), "theirs": theirs(401)} {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				w.poll = then(no, good, no, theirs(500), good, no, no)
				w.send = then(no, ours(200, longAck(1)), no, no)
				calls := 0
				l := w.dialAuthorized(t, func() { calls++ })
				defer l.Abort()
				readBatch(t, l)
				readBatch(t, l)
				assert.Equal(t, 401, statusOf(t, readFails(t, l)))
				assert.Len(t, w.of("poll"), 7)
				_, err := l.Write(batch(longAck(1)))
				require.NoError(t, err)
				assert.Equal(t, 401, statusOf(t, writeFails(t, l, longAck(2))))
				assert.Len(t, w.of("send"), 4)
				assert.Equal(t, 1+7+4, calls, "before every request")
			})
		})
	}
}

func TestLongPollAuthorizeFails(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		cause := errors.New("no token")
		fail, calls := false, 0
		w.request.Authorize = authorize(func(*http.Request) error {
			calls++
			if fail {
				return cause
			}
			return nil
		})
		l := w.dial(t)
		defer l.Abort()
		fail = true
		err := readFails(t, l)
		require.ErrorIs(t, err, cause)
		var te *transport.Error
		require.ErrorAs(t, err, &te)
		assert.Equal(t, transport.PhaseAuthorize, te.Phase)
		n, err := l.Write(batch(longAck(1)))
		require.ErrorIs(t, err, cause)
		assert.Zero(t, n, "nothing has left")
		assert.Equal(t, 3, calls, "its errors are not tried again here")
		assert.Empty(t, w.of("poll"))
		assert.Empty(t, w.of("send"))
	})
}
