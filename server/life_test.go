package server

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestHandlerOutcomes(t *testing.T) {
	for _, tt := range outcomes {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, New(func(ctx context.Context, s *Session) error {
				send(t, s, "first")
				return tt.result()
			}, nil))
			defer w.stop()
			c := w.client()
			require.Equal(t, 200, c.open().status)
			a := c.poll(1, time.Minute, attachFrame(1, 1))
			got := a.frames
			for len(got) == 0 || got[len(got)-1].Type != wire.Close {
				a = c.poll(1, time.Minute, ackFrame(0))
				require.Equal(t, 200, a.status)
				got = a.frames
			}
			assert.Equal(t, []string{"first"}, texts(got), "CLOSE comes after it")
			p, err := wire.ParseClose(frameOf(t, got, wire.Close).Payload)
			require.NoError(t, err)
			assert.Equal(t, wire.ClosePayload{Code: tt.code, Reason: tt.reason}, p)

			assert.Equal(t, 1, w.count(), "until the client answers")
			a = c.send(1, c.closeFrame(2, tt.code, ""))
			require.Equal(t, 200, a.status)
			assert.EqualValues(t, 1, frameOf(t, a.frames, wire.Ack).Ack)
			assert.Zero(t, w.count())
			a = c.open()
			assert.Equal(t, 410, a.status)
			r := rejectOf(t, a.frames)
			assert.Equal(t, wire.RejectPayload{Status: 410, Code: tt.code, Reason: tt.reason, RecvNext: 2}, r, "the tombstone")
			time.Sleep(2*time.Minute + time.Second)
			assert.Zero(t, c.tombstone().RecvNext, "it is forgotten")
		})
	}
}

func (c *client) tombstone() wire.RejectPayload {
	a := c.open()
	require.Equal(c.t, 410, a.status)
	return rejectOf(c.t, a.frames)
}

func TestWhatComesAfterTheHandlerIsDropped(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		<-p.sessions
		p.result <- nil
		synctest.Wait()
		for range 40 { // more than the window, were it not taken
			a := c.send(1, c.data(string(make([]byte, 60<<10))))
			require.Equal(t, 200, a.status)
			require.EqualValues(t, c.seq, frameOf(t, a.frames, wire.Ack).Ack)
		}
		frameOf(t, c.poll(1, 0, ackFrame(0)).frames, wire.Close)
		assert.Equal(t, 200, c.send(1, c.closeFrame(1, 1000, "")).status)
		assert.Zero(t, w.count())
	})
}

func TestPeerCloses(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		send(t, s, "a")
		poll := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		synctest.Wait()
		poll()
		require.Equal(t, 200, c.send(1, append(c.data("last"), c.closeFrame(0, 4000, "bye")...)).status)
		synctest.Wait()
		want := &holdfast.CloseError{Code: 4000, Reason: "bye", Remote: true}
		assert.Equal(t, want, context.Cause(s.ctx), "the handler's context has ended")
		m, err := s.Receive(s.ctx)
		require.NoError(t, err, "what came before is still there, also with that context")
		assert.Equal(t, "last", string(m.Data))
		_, err = s.Receive(s.ctx)
		assert.Equal(t, want, err)
		var closed *holdfast.CloseError
		require.ErrorAs(t, s.Send(context.Background(), holdfast.Text, nil), &closed)
		assert.Equal(t, want, closed)
		a := c.poll(1, time.Minute, ackFrame(0))
		assert.Equal(t, []string{"a"}, texts(a.frames), "what had been accepted comes first")
		answer, err := wire.ParseClose(frameOf(t, a.frames, wire.Close).Payload)
		require.NoError(t, err)
		assert.EqualValues(t, 4000, answer.Code)
		assert.Equal(t, 200, c.send(1, ackFrame(2)).status, "the last ACK too is answered")
		assert.Zero(t, w.count())
		assert.Equal(t, wire.RejectPayload{Status: 410, Code: 4000, Reason: "bye", RecvNext: 3}, c.tombstone())
	})
}

func TestPeerClosesOverWebSocket(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		write(t, l, c.closeFrame(0, 1000, ""))
		var got []wire.Frame
		for len(got) == 0 || got[len(got)-1].Type != wire.Close {
			got = readFrames(t, l)
		}
		assert.EqualValues(t, 1, got[len(got)-1].Ack)
		write(t, l, ackFrame(1))
		var err error
		for err == nil {
			_, _, err = l.Read(nil)
		}
		assert.Equal(t, &transport.CloseError{Code: 1000}, err)
		l.Abort()
		<-s.done
		assert.Zero(t, w.count())
	})
}

func TestExpiry(t *testing.T) {
	parkedBubble(t, &Options{ResumeTTL: time.Minute}, func(w *world, p *parked) {
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		write(t, l, c.data("kept"))
		send(t, s, "never read")
		synctest.Wait()
		l.Abort()
		synctest.Wait()
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		assert.Equal(t, 1, w.count())
		assert.NoError(t, s.ctx.Err())
		time.Sleep(2)
		synctest.Wait()
		assert.Zero(t, w.count())
		assert.Equal(t, errExpired, context.Cause(s.ctx))
		assert.Equal(t, "kept", receive(t, s))
		_, err := s.Receive(context.Background())
		assert.Equal(t, holdfast.StatusAbnormalClosure, code(err))
		assert.ErrorIs(t, s.Send(context.Background(), holdfast.Text, nil), errExpired)
		var unsent *holdfast.UnsentError
		require.ErrorAs(t, s.Close(), &unsent)
		assert.Equal(t, 1, unsent.MaybeSent)
		r := c.tombstone()
		assert.Zero(t, r.Code, "it was not closed")
		assert.NotEmpty(t, r.Reason)
		assert.EqualValues(t, 2, r.RecvNext)
		time.Sleep(time.Minute)
		assert.Equal(t, wire.RejectPayload{Status: 410}, c.tombstone())
	})
}

func TestExpiryOfAPollingSession(t *testing.T) {
	parkedBubble(t, &Options{ResumeTTL: time.Minute, Keepalive: holdfast.Keepalive{Timeout: 7 * time.Second}}, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		c.poll(1, 20*time.Second, ackFrame(0))
		time.Sleep(27*time.Second - 1)
		assert.Equal(t, "longpoll", s.Transport(), "it may only be between two polls")
		time.Sleep(1)
		assert.Empty(t, s.Transport())
		time.Sleep(time.Minute - 1)
		assert.Equal(t, 200, c.poll(1, 0, ackFrame(0)).status, "it comes back in time")
		assert.Equal(t, "longpoll", s.Transport())
		time.Sleep(7*time.Second + time.Minute + 1)
		synctest.Wait()
		assert.Equal(t, 410, c.poll(1, 0, ackFrame(0)).status)
	})
}

func TestAttachedSessionsDoNotExpire(t *testing.T) {
	parkedBubble(t, &Options{ResumeTTL: time.Second}, func(w *world, p *parked) {
		c, ws := w.client(), w.client()
		c.attachPoll()
		l := ws.attachWS(1)
		go func() {
			for {
				_, b, err := l.Read(nil)
				if err != nil {
					return
				}
				for len(b) > 0 {
					f, n, err := wire.Parse(b)
					if err != nil {
						return
					}
					b = b[n:]
					if f.Type == wire.Ping {
						_, _ = l.Write(batch(frame(wire.Pong, f.Payload)))
					}
				}
			}
		}()
		for range 10 {
			require.Equal(t, 200, c.poll(1, time.Minute, ackFrame(0)).status)
		}
		assert.Equal(t, 2, w.count())
		l.Abort()
	})
}

func TestClosingIsBounded(t *testing.T) {
	parkedBubble(t, &Options{ResumeTTL: time.Minute}, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		<-p.sessions
		p.result <- nil
		for range 2 {
			assert.Equal(t, 200, c.poll(1, 29*time.Second, nil).status) // never answers the CLOSE
		}
		time.Sleep(time.Minute + time.Second)
		assert.Equal(t, wire.RejectPayload{Status: 410, Code: 1000, RecvNext: 1}, c.tombstone())
		assert.Zero(t, w.count())
	})
}

func TestSessionClose(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		send(t, s, "x")
		closing := later(func() error { return s.CloseWith(context.Background(), 4001, "done") })
		synctest.Wait()
		assert.ErrorIs(t, s.Send(context.Background(), holdfast.Text, nil), holdfast.ErrClosed)
		c.send(1, c.data("crossed"))
		a := c.poll(1, time.Minute, ackFrame(0))
		assert.Equal(t, []string{"x"}, texts(a.frames))
		said, err := wire.ParseClose(frameOf(t, a.frames, wire.Close).Payload)
		require.NoError(t, err)
		assert.Equal(t, wire.ClosePayload{Code: 4001, Reason: "done"}, said)
		c.send(1, c.closeFrame(2, 4001, ""))
		assert.NoError(t, closing())
		assert.NoError(t, s.Close(), "again")
		for m, err := range s.Messages(context.Background()) {
			require.NoError(t, err)
			assert.Equal(t, "crossed", string(m.Data))
		}
		_, err = s.Receive(context.Background())
		assert.Equal(t, holdfast.ErrClosed, err)
	})
}

func TestSessionCloseGivesUp(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		send(t, s, "abc")
		start := time.Now()
		var unsent *holdfast.UnsentError
		require.ErrorAs(t, s.Close(), &unsent)
		assert.Equal(t, closeTimeout, time.Since(start))
		assert.Equal(t, &holdfast.UnsentError{Messages: 1, Bytes: 3, Err: context.DeadlineExceeded}, unsent)
		assert.Equal(t, wire.RejectPayload{Status: 410, Code: 1000, RecvNext: 1}, c.tombstone())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		assert.ErrorAs(t, s.CloseWith(ctx, 1000, ""), &unsent, "what was left stays left")
	})
}

func TestCloseArguments(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		for _, code := range []holdfast.StatusCode{0, 999, 1004, 1005, 1006, 1015, 2000, 5000} {
			assert.ErrorAs(t, s.CloseWith(context.Background(), code, ""), new(*holdfast.OptionError), "%d", code)
		}
		assert.ErrorAs(t, s.CloseWith(context.Background(), 1000, string(make([]byte, 124))), new(*holdfast.OptionError))
		assert.ErrorAs(t, s.CloseWith(context.Background(), 1000, "\xff"), new(*holdfast.OptionError))
		assert.ErrorAs(t, s.CloseWith(nil, 1000, ""), new(*holdfast.OptionError)) //nolint:staticcheck // nil on purpose
		send(t, s, "it goes on")
	})
}

func TestSendArguments(t *testing.T) {
	parkedBubble(t, &Options{SendBuffer: holdfast.SendBuffer{MaxMessages: 1, WhenFull: holdfast.WhenFullFail}}, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		ctx := context.Background()
		for _, err := range []error{s.Send(ctx, 0, nil), s.Send(ctx, holdfast.Text, []byte{0xff}), s.Send(nil, holdfast.Text, nil)} { //nolint:staticcheck // nil on purpose
			assert.ErrorAs(t, err, new(*holdfast.OptionError))
			var e *holdfast.SendError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, holdfast.NotSent, e.Outcome)
		}
		assert.ErrorIs(t, s.Send(ctx, holdfast.Binary, make([]byte, 1<<20+1)), holdfast.ErrMessageTooBig, "HELLO says what the client takes")
		data := []byte("copied")
		require.NoError(t, s.Send(ctx, holdfast.Text, data))
		copy(data, "xxxxxx")
		assert.ErrorIs(t, s.Send(ctx, holdfast.Text, nil), holdfast.ErrBufferFull)
		assert.Equal(t, []string{"copied"}, texts(c.poll(1, 0, ackFrame(0)).frames))
	})
}

func TestFlush(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		assert.NoError(t, s.Flush(context.Background()), "nothing to prove")
		send(t, s, "x")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := s.Flush(ctx)
		var e *holdfast.SendError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, 1, e.Count)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		flushed := later(func() error { return s.Flush(context.Background()) })
		require.Equal(t, []string{"x"}, texts(c.poll(1, 0, ackFrame(0)).frames))
		c.poll(1, 0, ackFrame(1))
		assert.NoError(t, flushed())
	})
}

func TestGapsReachTheHandler(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		gap := wire.Append(nil, wire.Frame{Type: wire.Gap, Seq: 1, Payload: wire.GapPayload{Count: 5}.Append(nil)})
		c.seq = 5
		require.Equal(t, 200, c.send(1, append(gap, c.data("after")...)).status)
		m, err := s.Receive(context.Background())
		require.NoError(t, err)
		assert.EqualValues(t, 2, m.Epoch)
	})
}

func TestDropOldestLeavesAGap(t *testing.T) {
	parkedBubble(t, &Options{SendBuffer: holdfast.SendBuffer{MaxMessages: 2, WhenFull: holdfast.WhenFullDropOldest}}, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		send(t, s, "1", "2", "3", "4")
		a := c.poll(1, 0, ackFrame(0))
		assert.Equal(t, []string{"3", "4"}, texts(a.frames))
		frameOf(t, a.frames, wire.Gap)
		var e *holdfast.SendError
		c.poll(1, 0, ackFrame(3))
		require.ErrorAs(t, s.Flush(context.Background()), &e)
		assert.Equal(t, 2, e.Count)
		assert.ErrorIs(t, e, holdfast.ErrDropped)
	})
}

func TestRequestOfASession(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.header.Set("Cookie", "a=b")
		l := c.attachWS(1)
		defer l.Abort()
		s := <-p.sessions
		r := s.Request()
		assert.Equal(t, "/path", r.URL.Path)
		assert.Equal(t, "a=b", r.Header.Get("Cookie"))
		assert.Empty(t, r.Header.Get(headerHello), "no secret")
		n, err := r.Body.Read(make([]byte, 1))
		assert.Zero(t, n)
		assert.Error(t, err)
		assert.NoError(t, r.Context().Err())
		assert.Equal(t, c.sid, s.ID())
	})
}

func TestHandlersContextHasTheRequestsValues(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		got := make(chan any, 1)
		s := New(func(ctx context.Context, _ *Session) error { got <- ctx.Value(key{}); return nil }, nil)
		w := newWorld(t, s, func(h *http.Server) { h.Handler = withValue(s, key{}, "v") })
		defer w.stop()
		w.client().attachPoll()
		assert.Equal(t, "v", <-got)
	})
}

func TestContextOfReceive(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errors.New("mine"))
		c.send(1, c.data("x"))
		_, err := s.Receive(ctx)
		assert.Equal(t, context.Canceled, err)
		assert.Equal(t, "x", receive(t, s), "nothing is lost")
		_, err = s.Receive(nil) //nolint:staticcheck // nil on purpose
		assert.Error(t, err)
		assert.Error(t, s.Flush(nil)) //nolint:staticcheck // nil on purpose
	})
}
