//go:build !js

package wslink_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestPeerCloses(t *testing.T) {
	for _, tt := range []struct {
		frame []byte
		want  transport.CloseError
		echo  uint16
	}{
		{frame(0x88), transport.CloseError{Code: 1005}, 1005},
		{closeFrame(1000, ""), transport.CloseError{Code: 1000}, 1000},
		{closeFrame(1012, "a deploy"), transport.CloseError{Code: 1012, Reason: "a deploy"}, 1012},
		{closeFrame(4999, strings.Repeat("x", 123)), transport.CloseError{Code: 4999, Reason: strings.Repeat("x", 123)}, 4999},
	} {
		echoed := make(chan uint16, 1)
		l := dial(t, request(t, rawServer(t, func(w *wire) {
			w.Write(join(frame(0x82, 'x'), tt.frame))
			echoed <- w.nextClose()
		})))
		_, _, err := l.Read(nil)
		require.NoError(t, err)
		_, _, err = l.Read(nil)
		var ce *transport.CloseError
		require.ErrorAs(t, err, &ce)
		assert.Equal(t, tt.want, *ce)
		assert.Equal(t, tt.echo, receive(t, echoed))
		_, _, again := l.Read(nil)
		assert.Equal(t, err, again)
		_, err = l.Write([]transport.Message{{Type: transport.Text}})
		require.Error(t, err)
		require.ErrorAs(t, l.Close(testContext(t), 1000, ""), &ce, "the peer's close is no answer")
	}
}

func TestClose(t *testing.T) {
	for _, tt := range []struct {
		name    string
		code    uint16
		reason  string
		payload string
		answer  []byte
		ok      bool
	}{
		{"same code", 1000, "bye", "bye", closeFrame(1000, "bye"), true},
		{"no code", 1001, "", "", frame(0x88), true},
		{"own code", 4001, "", "", closeFrame(4001, "other words"), true},
		{"sent without code", 1005, "", "", frame(0x88), true},
		{"crossed", 1000, "", "", closeFrame(1001, ""), false},
		{"long reason", 1000, strings.Repeat("ä", 100), strings.Repeat("ä", 61), closeFrame(1000, ""), true},
		{"broken", 1000, "", "", frame(0x83), false},
		{"gone", 1000, "", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan frameIn, 2)
			l := dial(t, request(t, rawServer(t, func(w *wire) {
				f, err := w.next()
				if err != nil {
					return
				}
				seen <- f
				w.Write(join(frame(0x82, 'x'), frame(0x89, 'p'), tt.answer))
				if tt.answer == nil {
					return
				}
				for {
					f, err := w.next()
					if err != nil {
						return
					}
					if f.head == 0x88 && tt.name != "broken" {
						seen <- f
					}
				}
			})))
			read := make(chan error, 1)
			go func() {
				for {
					if _, _, err := l.Read(nil); err != nil {
						read <- err
						return
					}
				}
			}()
			err := l.Close(testContext(t), tt.code, tt.reason)
			if tt.ok {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
			f := receive(t, seen)
			assert.Equal(t, byte(0x88), f.head)
			if tt.code == 1005 {
				assert.Empty(t, f.payload)
			} else {
				assert.Equal(t, tt.code, binary.BigEndian.Uint16(f.payload))
				assert.Equal(t, tt.payload, string(f.payload[2:]))
			}
			require.Error(t, receive(t, read))
			_, _, err = l.Read(nil)
			require.Error(t, err)
			select {
			case f := <-seen:
				assert.Fail(t, "a second close frame", "%v", f)
			default:
			}
			_, err = l.Write([]transport.Message{{Type: transport.Text}})
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// A coder connection that is not closed is never collected: it is a cycle with
// a finalizer.
func TestFreedLinksAreCollected(t *testing.T) {
	url := rawServer(t, (*wire).drain)
	broken := rawServer(t, func(w *wire) {
		w.Write(frame(0x83))
		w.drain()
	})
	for name, use := range map[string]func() *transport.Info{
		"aborted": func() *transport.Info {
			l := dialOnly(t, url)
			l.Abort()
			return l.Info()
		},
		"aborted under a Read": func() *transport.Info {
			l := dialOnly(t, url)
			read := make(chan struct{})
			go func() {
				defer close(read)
				l.Read(nil)
			}()
			l.Abort()
			<-read
			return l.Info()
		},
		"closed after an error": func() *transport.Info {
			l := dialOnly(t, broken)
			l.Read(nil)
			l.Close(t.Context(), 1000, "")
			return l.Info()
		},
	} {
		info := weak.Make(use())
		for i := 0; i < 10 && info.Value() != nil; i++ {
			runtime.GC()
		}
		assert.Nil(t, info.Value(), name)
	}
}

// dialOnly is dial without a clean-up that would keep the link.
func dialOnly(t *testing.T, url string) transport.Link {
	l, err := wslink.New().Dial(t.Context(), request(t, url))
	require.NoError(t, err)
	return l
}

func TestControlFrameThatIsNeverComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		server.Write(frame(0x89, 1, 2, 3)[:4])
		_, _, err := l.Read(nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		l.Abort()
		server.Close()
	})
}

func TestCloseCodesThatCannotBeSent(t *testing.T) {
	for _, code := range []uint16{0, 999, 1004, 1006, 1015, 2999, 5000} {
		l := dial(t, request(t, rawServer(t, (*wire).drain)))
		require.Error(t, l.Close(testContext(t), code, ""))
		require.ErrorIs(t, l.Ping(1), net.ErrClosed, "freed all the same")
	}
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	ctx := func(t *testing.T) context.Context {
		c, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		t.Cleanup(cancel)
		return c
	}
	t.Run("no answer", func(t *testing.T) {
		l := dial(t, request(t, rawServer(t, (*wire).drain)))
		require.ErrorIs(t, l.Close(ctx(t), 1000, ""), context.DeadlineExceeded)
	})
	t.Run("no answer, under a Read", func(t *testing.T) {
		l := dial(t, request(t, rawServer(t, (*wire).drain)))
		read := make(chan error, 1)
		go func() {
			_, _, err := l.Read(nil)
			read <- err
		}()
		require.ErrorIs(t, l.Close(ctx(t), 1000, ""), context.DeadlineExceeded)
		require.Error(t, receive(t, read))
	})
	t.Run("behind a stuck Write", func(t *testing.T) {
		hold := make(chan struct{})
		defer close(hold)
		l := dial(t, request(t, rawServer(t, func(*wire) { <-hold })))
		written := make(chan error, 1)
		go func() {
			_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 32<<20)}})
			written <- err
		}()
		require.Error(t, l.Close(ctx(t), 1000, ""))
		require.Error(t, receive(t, written))
	})
	t.Run("ended before", func(t *testing.T) {
		l := dial(t, request(t, rawServer(t, (*wire).drain)))
		c, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.Close(c, 1000, ""), context.Canceled)
	})
	t.Run("aborted", func(t *testing.T) {
		reached := make(chan struct{})
		l := dial(t, request(t, rawServer(t, func(w *wire) {
			w.next()
			close(reached)
			w.drain()
		})))
		closed := make(chan error, 1)
		go func() { closed <- l.Close(testContext(t), 1000, "") }()
		receive(t, reached)
		l.Abort()
		require.Error(t, receive(t, closed))
	})
}

func TestCloseTwice(t *testing.T) {
	l := dial(t, request(t, httpServer(t, echo(nil))))
	readOn(l)
	results := make(chan error, 2)
	for range 2 {
		go func() { results <- l.Close(testContext(t), 1000, "") }()
	}
	first, second := receive(t, results), receive(t, results)
	assert.True(t, first == nil || second == nil)
}

// In a bubble any goroutine left over fails the test.
func TestCloseWaitsLongerThanFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		go func() {
			server.nextClose()
			time.Sleep(time.Minute)
			server.Write(closeFrame(1000, ""))
			io.Copy(io.Discard, server.br)
			server.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		start := time.Now()
		readOn(l)
		require.NoError(t, l.Close(ctx, 1000, ""))
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestCloseGivesUpInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		go func() {
			io.Copy(io.Discard, server.br)
			server.Close()
		}()
		go l.Read(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, l.Close(ctx, 1000, ""), context.DeadlineExceeded)
		assert.Equal(t, 2*time.Minute, time.Since(start))
	})
}

func TestLastRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		start := time.Now()
		assert.True(t, l.LastRead().Equal(start))
		read := make(chan error)
		go func() {
			_, _, err := l.Read(nil)
			read <- err
		}()
		time.Sleep(time.Hour)
		assert.True(t, l.LastRead().Equal(start))
		server.Write(frame(0x8a)) // an empty pong is life
		synctest.Wait()
		assert.Equal(t, time.Hour, l.LastRead().Sub(start))
		time.Sleep(time.Minute)
		server.Write(frame(0x82, 1, 2, 3)[:3]) // and so is part of a frame
		synctest.Wait()
		assert.Equal(t, time.Hour+time.Minute, l.LastRead().Sub(start))
		l.Abort()
		require.Error(t, <-read)
		server.Close()
	})
}

// A message that takes long to leave does not hold up Read, and the ping that
// came meanwhile is answered after it.
func TestPingDuringASlowWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		written := make(chan error, 1)
		go func() {
			_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 8<<20)}})
			written <- err
		}()
		synctest.Wait()
		server.Write(join(frame(0x89, 'a'), frame(0x89, 'b'), frame(0x82, 'x')))
		_, data, err := l.Read(nil)
		require.NoError(t, err)
		assert.Equal(t, "x", string(data))
		time.Sleep(10 * time.Second)
		f, err := server.next()
		require.NoError(t, err)
		assert.Len(t, f.payload, 8<<20)
		require.NoError(t, <-written)
		f, err = server.next()
		require.NoError(t, err)
		assert.Equal(t, frameIn{0x8a, []byte("b")}, f)
		l.Abort()
		server.Close()
	})
}

func TestPings(t *testing.T) {
	ids := make(chan uint64, 10)
	r := request(t, rawServer(t, func(w *wire) {
		for range 2 {
			f, err := w.next()
			if err != nil {
				return
			}
			if f.head == 0x89 {
				w.Write(frame(0x8a, f.payload...))
			}
		}
		w.Write(join(frame(0x8a), frame(0x8a, []byte("other")...), frame(0x8a, make([]byte, 9)...), frame(0x89, []byte("ping")...)))
		f, _ := w.next()
		w.Write(frame(0x82, append([]byte{f.head}, f.payload...)...))
		w.drain()
	}))
	r.OnPong = func(id uint64) { ids <- id }
	l := dial(t, r)
	require.NoError(t, l.Ping(7))
	require.NoError(t, l.Ping(1<<63+9))
	_, data, err := l.Read(nil)
	require.NoError(t, err)
	assert.Equal(t, "\x8aping", string(data), "the peer's ping is answered")
	require.Len(t, ids, 2, "pongs of other sizes are not ours")
	assert.Equal(t, uint64(7), <-ids)
	assert.Equal(t, uint64(1<<63+9), <-ids)
}

func TestPingsAndWritesAtOnce(t *testing.T) {
	pongs := make(chan uint64, 1000)
	r := request(t, httpServer(t, echo(nil)))
	r.OnPong = func(id uint64) { pongs <- id }
	l := dial(t, r)
	const n = 200
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 50*i)}}); err != nil {
				sent <- err
				return
			}
			if err := l.Ping(uint64(i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		_, data, err := l.Read(nil)
		require.NoError(t, err)
		assert.Len(t, data, 50*i)
	}
	require.NoError(t, receive(t, sent))
	readOn(l)
	require.NoError(t, l.Close(testContext(t), 1000, ""))
	require.NotEmpty(t, pongs)
	last := uint64(0)
	for len(pongs) > 0 {
		id := <-pongs
		assert.GreaterOrEqual(t, id, last)
		last = id
	}
}

func TestManyCyclesLeaveNothing(t *testing.T) {
	url := httpServer(t, echo(nil))
	before := goleak.IgnoreCurrent()
	for i := range 200 {
		l, err := wslink.New().Dial(testContext(t), request(t, url))
		require.NoError(t, err)
		switch i % 3 {
		case 0:
			readOn(l)
			require.NoError(t, l.Close(testContext(t), 1000, ""))
		case 1:
			l.Abort()
		case 2:
			read := make(chan struct{})
			go func() {
				defer close(read)
				l.Read(nil)
			}()
			require.NoError(t, l.Close(testContext(t), 1000, ""))
			<-read
		}
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).serve"))
}

// memLink is a link over an in-memory network, for a bubble.
func memLink(t *testing.T) (transport.Link, *wire) {
	nw := memnet.New()
	ln, err := nw.Listen("127.0.0.1:80")
	require.NoError(t, err)
	defer ln.Close()
	served := make(chan *wire, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			served <- answerUpgrade(c, "")
		}
	}()
	r := request(t, "ws://127.0.0.1/")
	r.DialContext = nw.DialContext
	l, err := wslink.New().Dial(t.Context(), r)
	require.NoError(t, err)
	return l, <-served
}
