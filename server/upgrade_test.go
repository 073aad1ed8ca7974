package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestUpgradeWelcomes(t *testing.T) {
	bubble(t, echo, &Options{Subprotocols: []string{"b", "a"}, MaxMessageSize: 5000, ResumeTTL: time.Hour}, func(w *world) {
		c := w.client()
		r := c.wsRequest()
		r.Subprotocols = []string{"a", "b"}
		l, err := w.dial(r)
		require.NoError(t, err)
		defer l.Abort()
		assert.Equal(t, "b", l.Info().Subprotocol)
		assert.Equal(t, "1", l.Info().Response.Header.Get(headerVersion))
		p := welcomeOf(t, readFrames(t, l)[0])
		node, ok := nodeOf(p.SID)
		assert.True(t, ok)
		assert.Equal(t, w.node, node)
		assert.EqualValues(t, 1, p.RecvNext)
		assert.EqualValues(t, receiveBuffer, p.Window)
		assert.EqualValues(t, 5000, p.MaxMessage)
		assert.Equal(t, time.Hour, p.ResumeTTL)
		write(t, l, append(attachFrame(1, 1), c.data("hi")...))
		var got []string
		for len(got) == 0 {
			got = texts(readFrames(t, l))
		}
		assert.Equal(t, []string{"hi"}, got)

		c.sid = p.SID
		assert.Equal(t, "b", c.open().header.Get(headerSubprotocol), "every link of it has the same")
	})
}

func TestLateHello(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		r := c.wsRequest()
		r.Session, r.Subprotocols = nil, []string{wslink.SessionSubprotocol, "app"}
		l, err := w.dial(r)
		require.NoError(t, err)
		defer l.Abort()
		write(t, l, c.hello())
		c.sid = welcomeOf(t, readFrames(t, l)[0]).SID
		write(t, l, attachFrame(1, 1))
		assert.Empty(t, (<-p.sessions).Subprotocol())

		second, err := w.dial(r)
		require.NoError(t, err)
		c.sid = "elsewhere.x"
		write(t, second, c.hello())
		assert.Equal(t, 421, rejectOf(t, readFrames(t, second)).Status)
		_, _, err = second.Read(nil)
		assert.Error(t, err)

		mute, err := w.dial(r)
		require.NoError(t, err)
		start := time.Now()
		_, _, err = mute.Read(nil)
		assert.Error(t, err)
		assert.Equal(t, helloTimeout, time.Since(start))
	})
}

func TestCandidate(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		l := c.candidate()
		ping := make([]byte, 1024)
		ping[7] = 9
		write(t, l, frame(wire.Ping, ping))
		pong := readFrames(t, l)
		assert.Equal(t, []wire.Type{wire.Pong}, types(pong))
		assert.Equal(t, ping, pong[0].Payload, "a probe before ATTACH")
		assert.Empty(t, p.sessions, "the handler begins with ATTACH")
		n := w.only()
		assert.Nil(t, n.out, "a candidate holds no buffers")
		assert.Empty(t, n.Transport())
		write(t, l, append(frame(wire.Ping, ping), attachFrame(1, 1)...))
		s := <-p.sessions
		assert.Equal(t, "websocket", s.Transport())
		l.Abort()
	})
}

// only is the one session that there is.
func (s *Server) only() *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.sessions.all {
		return n
	}
	return nil
}

func TestCandidateThatDoesNotAttachDies(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		l := c.candidate()
		start := time.Now()
		_, _, err := l.Read(nil)
		assert.Error(t, err)
		assert.Equal(t, attachTimeout, time.Since(start))
		time.Sleep(time.Second)
		assert.Zero(t, w.count(), "and with it a session that never had a link")
		c.sid = ""
		c.attachPoll() // its secret may be used again
	})
}

func TestCandidateThatBreaksTheProtocol(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		for name, body := range map[string][]byte{
			"noise": []byte("\xff\xff"), "DATA first": w.client().data("x"), "attachment 0": attachFrame(0, 1), "long PING": frame(wire.Ping, make([]byte, 2000)),
			"from the future": attachFrame(1, 7),
		} {
			l := w.client().candidate()
			write(t, l, body)
			assert.Equal(t, 400, rejectOf(t, readFrames(t, l)).Status, name)
			l.Abort()
		}
	})
}

func TestCandidatesAreFew(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		first := c.attachWS(1)
		s := <-p.sessions
		var links []transport.Link
		for range maxCandidates + 2 {
			links = append(links, c.candidate())
		}
		synctest.Wait()
		s.mu.Lock()
		assert.Len(t, s.place.candidates, maxCandidates)
		s.mu.Unlock()
		for _, l := range links[:2] {
			_, _, err := l.Read(nil)
			assert.Error(t, err, "the oldest give way")
		}
		write(t, links[5], attachFrame(2, 1))
		assert.Equal(t, []wire.Type{wire.Ack}, types(readFrames(t, links[5])))
		told := rejectOf(t, readFrames(t, first))
		assert.Equal(t, 409, told.Status, "the former link is told")
		assert.EqualValues(t, 2, told.Attachment)
		_, _, err := first.Read(nil)
		var closed *transport.CloseError
		require.ErrorAs(t, err, &closed, "and closed")
		for _, l := range links {
			l.Abort()
		}
	})
}

func TestRacedOpensGetOneSession(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		var opens []func() string
		for range 10 {
			opens = append(opens, later(func() string {
				a, err := c.post(context.Background(), "open", nil, c.hello())
				require.NoError(t, err)
				return welcomeOf(t, a.frames[0]).SID
			}), later(func() string {
				l, err := w.dial(c.wsRequest())
				require.NoError(t, err)
				defer l.Abort()
				return welcomeOf(t, readFrames(t, l)[0]).SID
			}))
		}
		sids := map[string]bool{}
		for _, open := range opens {
			sids[open()] = true
		}
		assert.Len(t, sids, 1)
		assert.Equal(t, 1, w.count())
	})
}

func TestResumeOverAnotherTransport(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		write(t, l, c.data("up"))
		assert.Equal(t, "up", receive(t, s))
		send(t, s, "down 1")
		assert.Equal(t, []string{"down 1"}, texts(readFrames(t, l)))
		l.Abort()
		synctest.Wait()
		assert.Empty(t, s.Transport())
		send(t, s, "down 2")

		assert.Equal(t, 200, c.open().status)
		a := c.poll(2, time.Minute, attachFrame(2, 1))
		assert.Equal(t, []string{"down 1", "down 2"}, texts(a.frames), "what was not acknowledged comes again")
		assert.Equal(t, "longpoll", s.Transport())
		assert.Equal(t, 409, c.poll(1, 0, nil).status, "a poll with a number that was a WebSocket's")

		l = c.candidate()
		assert.Equal(t, "longpoll", s.Transport())
		write(t, l, append(attachFrame(3, 2), c.data("up 2")...))
		assert.Equal(t, "up 2", receive(t, s))
		var got []string
		for len(got) == 0 {
			got = texts(readFrames(t, l))
		}
		assert.Equal(t, []string{"down 2"}, got)
		assert.Equal(t, "websocket", s.Transport())
		assert.Equal(t, 409, c.send(2, nil).status)
		late := c.candidate()
		write(t, late, attachFrame(2, 1))
		r := rejectOf(t, readFrames(t, late))
		assert.Equal(t, 409, r.Status)
		assert.EqualValues(t, 3, r.Attachment)
		l.Abort()
		late.Abort()
	})
}

func TestLinkThatBreaksTheProtocol(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		n := uint64(0)
		attach := func() transport.Link { n++; return c.attachWS(n) }
		l := attach()
		s := <-p.sessions
		for name, tt := range map[string]struct {
			body []byte
			code uint16
		}{
			"noise":     {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 1002},
			"cut":       {c.data("x")[:5], 1002},
			"not UTF-8": {wire.Append(nil, wire.Frame{Type: wire.Data, Flags: wire.Text, Seq: 1, Payload: []byte{0xff}}), 1007},
		} {
			write(t, l, tt.body)
			r := rejectOf(t, readFrames(t, l))
			assert.Equal(t, 400, r.Status, name)
			assert.Equal(t, tt.code, r.Code, name)
			_, _, err := l.Read(nil)
			var closed *transport.CloseError
			require.ErrorAs(t, err, &closed)
			assert.Equal(t, tt.code, closed.Code)
			l = attach()
		}
		c.seq = 1
		write(t, l, c.data("ahead"))
		_, _, err := l.Read(nil)
		assert.Error(t, err, "a missing frame breaks the link")
		l = attach()
		c.seq = 0
		write(t, l, c.data("fine"))
		assert.Equal(t, "fine", receive(t, s), "the session goes on")
		l.Abort()
	})
}

func TestDeadLinkIsFound(t *testing.T) {
	parkedBubble(t, &Options{Keepalive: holdfast.Keepalive{Interval: 20 * time.Second, Timeout: 5 * time.Second}}, func(w *world, p *parked) {
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		start := time.Now()
		f := readFrames(t, l)
		assert.Equal(t, []wire.Type{wire.Ping}, types(f), "a PING as a frame")
		assert.Equal(t, 20*time.Second, time.Since(start))
		write(t, l, frame(wire.Pong, f[0].Payload))
		synctest.Wait()
		w.net.Freeze(true)
		time.Sleep(24 * time.Second)
		assert.Equal(t, "websocket", s.Transport())
		time.Sleep(2 * time.Second)
		assert.Empty(t, s.Transport())
		w.net.Freeze(false)
		l.Abort()
	})
}

func TestMaxLinkAge(t *testing.T) {
	parkedBubble(t, &Options{MaxLinkAge: time.Hour, Keepalive: holdfast.Keepalive{Interval: -1}}, func(w *world, p *parked) {
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		start := time.Now()
		f := readFrames(t, l)
		require.Equal(t, []wire.Type{wire.GoAway}, types(f))
		reason, err := wire.ParseGoAway(f[0].Payload)
		require.NoError(t, err)
		assert.EqualValues(t, wire.GoAwayReauthorize, reason.Reason)
		assert.Equal(t, time.Hour, time.Since(start))
		_, _, err = l.Read(nil)
		var closed *transport.CloseError
		require.ErrorAs(t, err, &closed)
		assert.EqualValues(t, 1001, closed.Code)
		assert.Equal(t, time.Hour+replaceTimeout, time.Since(start))
		l.Abort()
		time.Sleep(time.Second)
		assert.Empty(t, s.Transport())
		l = c.attachWS(2)
		assert.Equal(t, "websocket", s.Transport(), "the session lives on")
		l.Abort()
	})
}

func TestHelloEncodings(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		padded := base64.URLEncoding.EncodeToString(append(c.hello(), make([]byte, 0)...))
		f := w.upgradeFrames(address, http.Header{headerHello: {padded}})
		assert.Equal(t, wire.Welcome, f[0].Type)
		f = w.upgradeFrames(address, http.Header{headerHello: {"not base64!"}})
		assert.Equal(t, 400, rejectOf(t, f).Status)
	})
}

func TestBadHandshake(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		conn := w.rawConn()
		defer conn.Close()
		_, resp := w.upgrade(conn, address, http.Header{"Sec-Websocket-Key": {"second"}})
		assert.Equal(t, 400, resp.StatusCode)
		time.Sleep(attachTimeout)
		assert.Zero(t, w.count())
	})
}
