package server

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

func TestPollEchoes(t *testing.T) {
	bubble(t, echo, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		poll := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		synctest.Wait()
		a := c.send(1, append(c.data("one"), c.data("two")...))
		require.Equal(t, 200, a.status)
		ack := frameOf(t, a.frames, wire.Ack)
		assert.Equal(t, []wire.Type{wire.Ack}, types(a.frames), "a send is answered with ACK alone")
		assert.EqualValues(t, 2, ack.Ack)
		got := poll()
		assert.Equal(t, 200, got.status)
		list := texts(got.frames)
		if len(list) < 2 {
			list = append(list, texts(c.poll(1, time.Minute, ackFrame(1)).frames)...)
		}
		assert.Equal(t, []string{"one", "two"}, list)
	})
}

func TestPollAnswersAreNobodyElses(t *testing.T) {
	bubble(t, echo, nil, func(w *world) {
		c := w.client()
		a := c.open()
		for _, a := range []reply{a, c.poll(1, 0, attachFrame(1, 1)), c.send(1, nil), c.send(7, nil)} {
			assert.Equal(t, "1", a.header.Get(headerVersion))
			assert.Equal(t, wire.MediaType, a.header.Get("Content-Type"))
			assert.Equal(t, "no-store, no-transform", a.header.Get("Cache-Control"))
			assert.Equal(t, "no", a.header.Get("X-Accel-Buffering"))
			assert.NotEmpty(t, a.header.Get("Content-Length"))
		}
	})
}

func TestPollHangs(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		for _, tt := range []struct{ ask, want time.Duration }{
			{20 * time.Second, 20 * time.Second}, {0, 0}, {time.Hour, time.Minute}, {1500 * time.Millisecond, 1500 * time.Millisecond},
		} {
			start := time.Now()
			a := c.poll(1, tt.ask, ackFrame(0))
			assert.Equal(t, tt.want, time.Since(start))
			assert.Equal(t, 200, a.status)
			assert.Equal(t, []wire.Type{wire.Ping}, types(a.frames))
		}
		h := pollHeader(1, 100, 0)
		h.Del(headerHang)
		start := time.Now()
		_, err := c.post(context.Background(), "poll", h, ackFrame(0))
		require.NoError(t, err)
		assert.Equal(t, 20*time.Second, time.Since(start), "by default")
	})
}

func TestPollHangOutlivesTheServersTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, New(idle, nil), func(h *http.Server) { h.ReadTimeout, h.WriteTimeout = 2*time.Second, 2*time.Second })
		defer w.stop()
		c := w.client()
		c.attachPoll()
		a := c.poll(1, 30*time.Second, ackFrame(0))
		assert.Equal(t, []wire.Type{wire.Ping}, types(a.frames))
	})
}

func TestPollAnswerIsBounded(t *testing.T) {
	parkedBubble(t, &Options{}, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		big := make([]byte, 900<<10)
		require.NoError(t, s.Send(context.Background(), 2, big))
		got, acked := 0, uint64(0)
		for got < len(big) {
			a := c.poll(1, 0, ackNext(acked))
			require.LessOrEqual(t, len(a.body), wire.MaxBatch)
			for _, f := range a.frames {
				if f.Type == wire.Data {
					require.Equal(t, acked+1, f.Seq)
					acked, got = f.Seq, got+len(f.Payload)
				}
			}
		}
		assert.Equal(t, len(big), got)
	})
}

// ackNext wants the frame after next, and has no whole message.
func ackNext(received uint64) []byte {
	return frame(wire.Ack, wire.AckPayload{RecvNext: received + 1, Window: 1 << 20}.Append(nil))
}

func TestPollLostAnswerComesAgain(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		send(t, <-p.sessions, "a", "b")
		first := c.poll(1, time.Second, ackFrame(0)) // is lost
		require.Equal(t, []string{"a", "b"}, texts(first.frames))
		again := c.poll(1, time.Second, ackFrame(0))
		assert.Equal(t, []string{"a", "b"}, texts(again.frames))
		half := c.poll(1, time.Second, ackFrame(1))
		assert.Equal(t, []string{"b"}, texts(half.frames))
		assert.Equal(t, []wire.Type{wire.Ping}, types(c.poll(1, time.Second, ackFrame(2)).frames))
	})
}

func TestPollOfAClientThatGoesAway(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		ctx, cancel := context.WithCancel(context.Background())
		hanging := later(func() error { _, err := c.tryPoll(ctx, 1, time.Minute, ackFrame(0)); return err })
		synctest.Wait()
		cancel()
		require.Error(t, hanging())
		synctest.Wait()
		send(t, s, "kept")
		assert.Equal(t, []string{"kept"}, texts(c.poll(1, time.Minute, ackFrame(0)).frames))
	})
}

func TestPollIsSuperseded(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		old := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		synctest.Wait()
		same := later(func() reply {
			a, err := c.post(context.Background(), "poll", pollHeader(1, c.k, time.Minute), ackFrame(0))
			require.NoError(t, err)
			return a
		})
		a := old()
		assert.Equal(t, 409, a.status, "an equal number replaces")
		assert.Equal(t, "1", a.header.Get(headerAttachment))
		assert.EqualValues(t, 1, rejectOf(t, a.frames).Attachment)

		low, err := c.post(context.Background(), "poll", pollHeader(1, c.k-1, time.Minute), ackFrame(0))
		require.NoError(t, err)
		assert.Equal(t, 409, low.status, "a lower one has no effect")
		next := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		assert.Equal(t, 409, same().status, "a higher one replaces")
		synctest.Wait()
		send(t, s, "x")
		assert.Equal(t, []string{"x"}, texts(next().frames), "the last poll has it")
	})
}

func TestPollsRaceForOnePlace(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		var polls []func() reply
		for k := range uint64(20) {
			polls = append(polls, later(func() reply {
				a, err := c.post(context.Background(), "poll", pollHeader(1, 10+k, time.Minute), ackFrame(0))
				require.NoError(t, err)
				return a
			}))
		}
		synctest.Wait()
		send(t, s, "x")
		winners := 0
		for _, poll := range polls {
			switch a := poll(); a.status {
			case 200:
				winners++
				assert.Equal(t, []string{"x"}, texts(a.frames))
			default:
				assert.Equal(t, 409, a.status)
			}
		}
		assert.Equal(t, 1, winners)
	})
}

func TestAttachmentNumbers(t *testing.T) {
	bubble(t, echo, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		old := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		synctest.Wait()
		a := c.send(3, append(attachFrame(3, 1), c.data("x")...))
		assert.Equal(t, 200, a.status, "a send may attach")
		a = old()
		assert.Equal(t, 409, a.status)
		assert.Equal(t, "3", a.header.Get(headerAttachment))
		assert.Equal(t, []string{"x"}, texts(c.poll(3, time.Minute, ackFrame(0)).frames))

		for _, a := range []reply{c.poll(2, 0, ackFrame(0)), c.send(2, c.data("stale"))} {
			assert.Equal(t, 409, a.status)
			assert.Equal(t, "3", a.header.Get(headerAttachment))
			r := rejectOf(t, a.frames)
			assert.Equal(t, 409, r.Status)
			assert.EqualValues(t, 3, r.Attachment)
		}
		c.seq--
		assert.Equal(t, 400, c.poll(4, 0, ackFrame(0)).status, "a new one begins with ATTACH")
		assert.Equal(t, 400, c.poll(4, 0, attachFrame(5, 1)).status, "of its own number")
		assert.Equal(t, 400, c.poll(4, 0, attachFrame(4, 9)).status, "and wants what was sent")
		assert.Equal(t, 200, c.send(3, append(attachFrame(3, 1), c.data("y")...)).status, "the present number is no change")
		assert.Equal(t, []string{"y"}, texts(c.poll(3, time.Minute, ackFrame(1)).frames))
	})
}

func TestSendTakesThePrefix(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		first, lost, third := c.data("1"), c.data("2"), c.data("3")
		a := c.send(1, append(first, third...))
		assert.Equal(t, 200, a.status)
		ack, err := wire.ParseAck(frameOf(t, a.frames, wire.Ack).Payload)
		require.NoError(t, err)
		assert.EqualValues(t, 2, ack.RecvNext)
		for range 2 { // its answer was lost: it comes again
			assert.Equal(t, 200, c.send(1, append(append(first, lost...), third...)).status)
		}
		for _, want := range []string{"1", "2", "3"} {
			assert.Equal(t, want, receive(t, s))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = s.Receive(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "none twice")
	})
}

func TestSendIsHeldBackByTheWindow(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		chunk := string(make([]byte, 60<<10))
		taken := 0
		var window uint64
		for range 30 {
			f := c.data(chunk)
			a := c.send(1, f)
			require.Equal(t, 200, a.status, "beyond the window too")
			ack, err := wire.ParseAck(frameOf(t, a.frames, wire.Ack).Payload)
			require.NoError(t, err)
			window = ack.Window
			if ack.RecvNext == c.seq {
				c.seq--
				break
			}
			taken++
		}
		assert.LessOrEqual(t, taken*(60<<10), receiveBuffer)
		assert.Less(t, window, uint64(60<<10))
		poll := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		synctest.Wait()
		for range taken {
			receive(t, s)
		}
		start := time.Now()
		ack, err := wire.ParseAck(frameOf(t, poll().frames, wire.Ack).Payload)
		require.NoError(t, err)
		assert.Zero(t, time.Since(start), "the poll ends when the window reopens")
		assert.Greater(t, ack.Window, uint64(60<<10))
	})
}

func TestCloseOpAborts(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		hanging := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		synctest.Wait()
		c.send(1, c.data("last"))
		for range 2 {
			a, err := c.post(context.Background(), "close", nil, nil)
			require.NoError(t, err)
			assert.Equal(t, 200, a.status)
			assert.Empty(t, a.body)
		}
		assert.Equal(t, 410, hanging().status)
		assert.Equal(t, "last", receive(t, s), "what had come is there")
		_, err := s.Receive(context.Background())
		assert.Equal(t, errAborted, err)
		a := c.send(1, nil)
		assert.Equal(t, 410, a.status)
		r := rejectOf(t, a.frames)
		assert.EqualValues(t, 2, r.RecvNext)
		assert.Zero(t, r.Code)
	})
}

func TestPollOverHTTPHeaders(t *testing.T) {
	bubble(t, idle, &Options{Subprotocols: []string{"b", "a"}}, func(w *world) {
		c := w.client()
		c.header.Set(headerSubprotocol, "x, a,b")
		assert.Equal(t, "b", c.open().header.Get(headerSubprotocol), "the server's order counts")
		for _, h := range []http.Header{
			{headerAttachment: {""}}, {headerAttachment: {"0"}}, {headerAttachment: {"01"}}, {headerAttachment: {"-1"}},
			{headerPoll: {""}}, {headerPoll: {"x"}}, {headerHang: {"-1"}}, {headerHang: {"1s"}},
			{headerOp: {""}}, {headerOp: {"Poll"}},
			{headerSession: {""}}, {headerSession: {c.sid}}, {headerSession: {c.credential() + "x"}}, {headerSession: {".." + c.credential()[len(c.sid)+1:]}},
		} {
			all := pollHeader(1, 1, 0)
			for k, v := range h {
				all[k] = v
			}
			a, err := c.post(context.Background(), "poll", all, attachFrame(1, 1))
			require.NoError(t, err)
			assert.Equal(t, 400, a.status, "%v", h)
			assert.Equal(t, 400, rejectOf(t, a.frames).Status)
		}
	})
}
