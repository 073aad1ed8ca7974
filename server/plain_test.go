package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/transport"
)

// plain makes a link of a client that does not know sessions.
func (w *world) plain() transport.Link {
	w.t.Helper()
	r := w.client().wsRequest()
	r.Session, r.Subprotocols, r.MaxMessageSize = nil, []string{"a", "b"}, 1<<24
	l, err := w.dial(r)
	require.NoError(w.t, err)
	return l
}

func readText(t *testing.T, l transport.Link) string {
	t.Helper()
	_, b, err := l.Read(nil)
	require.NoError(t, err)
	return string(b)
}

func writeText(t *testing.T, l transport.Link, text string) {
	t.Helper()
	_, err := l.Write([]transport.Message{{Type: transport.Text, Data: []byte(text)}})
	require.NoError(t, err)
}

func TestPlainSession(t *testing.T) {
	parkedBubble(t, &Options{Subprotocols: []string{"b"}}, func(w *world, p *parked) {
		l := w.plain()
		defer l.Abort()
		assert.Equal(t, "b", l.Info().Subprotocol)
		assert.Empty(t, l.Info().Response.Header.Get(headerVersion), "it must not be taken for a session")
		s := <-p.sessions
		assert.NotEmpty(t, s.ID())
		assert.Equal(t, "b", s.Subprotocol())
		assert.Equal(t, "websocket", s.Transport())
		assert.Equal(t, "/path", s.Request().URL.Path)
		writeText(t, l, "up")
		m, err := s.Receive(context.Background())
		require.NoError(t, err)
		assert.Equal(t, holdfast.Message{Type: holdfast.Text, Data: []byte("up"), Epoch: 1}, m)
		send(t, s, "down")
		assert.Equal(t, "down", readText(t, l))
		readOnLater(l)
		assert.NoError(t, s.Flush(context.Background()), "a pong proves it")
		l.Abort()
		_, err = s.Receive(context.Background())
		assert.Equal(t, holdfast.StatusAbnormalClosure, code(err))
		<-s.ctx.Done()
		assert.Equal(t, err, context.Cause(s.ctx))
		assert.Empty(t, s.Transport())
		synctest.Wait()
		assert.Zero(t, w.count())
		assert.ErrorAs(t, s.Send(context.Background(), holdfast.Text, nil), new(*holdfast.SendError))
	})
}

func readOnLater(l transport.Link) { go readOn(l) }

func TestPlainPeerCloses(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		l := w.plain()
		s := <-p.sessions
		writeText(t, l, "last")
		readOnLater(l)
		assert.NoError(t, l.Close(context.Background(), 4000, "bye"), "it is answered")
		assert.Equal(t, "last", receive(t, s))
		_, err := s.Receive(context.Background())
		assert.Equal(t, &holdfast.CloseError{Code: 4000, Reason: "bye", Remote: true}, err)
	})
}

func TestPlainHandlerCloses(t *testing.T) {
	for _, tt := range outcomes {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, New(func(ctx context.Context, s *Session) error {
				send(t, s, "first")
				return tt.result()
			}, nil))
			defer w.stop()
			l := w.plain()
			defer l.Abort()
			assert.Equal(t, "first", readText(t, l))
			_, _, err := l.Read(nil)
			assert.Equal(t, &transport.CloseError{Code: tt.code, Reason: tt.reason}, err)
			time.Sleep(closeTimeout)
			assert.Zero(t, w.count())
		})
	}
}

// outcomes are what a handler may return, and the close that follows.
var outcomes = []struct {
	result func() error
	code   uint16
	reason string
}{
	{func() error { return nil }, 1000, ""},
	{func() error { return errors.New("secret") }, 1011, ""},
	{func() error { return &holdfast.CloseError{Code: 4321, Reason: "why"} }, 4321, "why"},
	{func() error { return &holdfast.CloseError{Code: 1006} }, 1011, ""},
	{func() error { panic("oh") }, 1011, ""},
}

func TestPlainMessageTooBig(t *testing.T) {
	parkedBubble(t, &Options{MaxMessageSize: 10}, func(w *world, p *parked) {
		l := w.plain()
		defer l.Abort()
		s := <-p.sessions
		writeText(t, l, "more than ten bytes")
		_, _, err := l.Read(nil)
		var closed *transport.CloseError
		require.ErrorAs(t, err, &closed)
		assert.EqualValues(t, 1009, closed.Code)
		_, err = s.Receive(context.Background())
		assert.Equal(t, holdfast.StatusMessageTooBig, code(err))
	})
}

func TestPlainKeepalive(t *testing.T) {
	keepalive := holdfast.Keepalive{Interval: 20 * time.Second, Timeout: 5 * time.Second,
		Message: func() holdfast.Message { return holdfast.Message{Type: holdfast.Text, Data: []byte("alive?")} }}
	parkedBubble(t, &Options{Keepalive: keepalive}, func(w *world, p *parked) {
		l := w.plain()
		defer l.Abort()
		s := <-p.sessions
		start := time.Now()
		assert.Equal(t, "alive?", readText(t, l))
		assert.Equal(t, 20*time.Second, time.Since(start))
		_, err := s.Receive(context.Background())
		assert.ErrorIs(t, err, holdfast.ErrNoPong)
		assert.Equal(t, 25*time.Second, time.Since(start))
	})
}

func TestPlainLinkAge(t *testing.T) {
	parkedBubble(t, &Options{MaxLinkAge: time.Hour}, func(w *world, p *parked) {
		l := w.plain()
		defer l.Abort()
		s := <-p.sessions
		_, _, err := l.Read(nil)
		assert.Equal(t, &transport.CloseError{Code: 1001}, err)
		_, err = s.Receive(context.Background())
		assert.ErrorIs(t, err, holdfast.ErrClosed)
	})
}

func TestPlainFullInbox(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		l := w.plain()
		defer l.Abort()
		s := <-p.sessions
		wrote := later(func() int {
			n := 0
			for ; n < 100; n++ {
				if _, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 100<<10)}}); err != nil {
					break
				}
			}
			return n
		})
		synctest.Wait()
		assert.LessOrEqual(t, s.in.Held(), receiveBuffer+100<<10+64, "the link is not read any more")
		send(t, s, "x")
		err := s.Flush(context.Background())
		assert.ErrorIs(t, err, holdfast.ErrReceiveBufferFull)
		l.Abort()
		assert.Less(t, wrote(), 100)
	})
}
