package pump

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestMessagesGoBothWaysInOrder(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.client.push(1, 500, 100)
		w.connect(0)
		w.server.push(1, 500, 100)
		w.server.gets(1, 500)
		w.client.gets(1, 500)
		w.client.push(501, 600, 100)
		w.server.gets(501, 600)
		w.client.getsNothing()
		w.server.getsNothing()
	})
}

func TestMessageLargerThanAFrameAndTheWindow(t *testing.T) {
	bubble(t, setup{}, setup{window: 70 << 10}, func(t *testing.T, w *world) {
		w.connect(time.Millisecond)
		w.client.push(1, 3, 500<<10)
		w.server.gets(1, 3)
		w.client.push(4, 4, 1<<20)
		w.client.push(5, 300, 1000)
		w.server.gets(4, 300)
	})
}

func TestNothingIsLostOverLinkCuts(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		var n uint64 = 1
		for i := range 30 {
			c := w.connect(time.Duration(i%5) * time.Millisecond)
			w.client.push(n, n+19, 200<<(i%10))
			w.server.push(n, n+19, 200)
			time.Sleep(time.Duration(i) * 300 * time.Microsecond)
			c.cut()
			w.client.push(n+20, n+24, 10)
			w.server.push(n+20, n+24, 10)
			n += 25
		}
		w.connect(0)
		w.server.gets(1, n-1)
		w.client.gets(1, n-1)
		w.client.getsNothing()
		w.server.getsNothing()
		require.NoError(t, w.client.flush(t.Context()).returns())
		gaps, _, _ := w.server.told()
		assert.Empty(t, gaps)
	})
}

func TestSwitchWhileBothLinksLive(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		var n uint64 = 1
		var old *conn
		for i := range 40 {
			w.client.push(n, n+49, 100)
			w.server.push(n, n+49, 100)
			c := w.connect(time.Duration(1+i%7) * time.Millisecond)
			if old != nil {
				assert.True(t, closed(old.client.Gone()))
			}
			time.Sleep(time.Duration(i%4) * time.Millisecond)
			if old != nil {
				old.cut()
			}
			old = c
			n += 50
		}
		w.server.gets(1, n-1)
		w.client.gets(1, n-1)
		w.client.getsNothing()
		w.server.getsNothing()
	})
}

// What the writer of the old link takes from Ready is not lost for the new one.
func TestTheOldWriterDoesNotTakeTheNewOnesToken(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		var old *conn
		for n := uint64(1); n <= 300; n++ {
			c := w.connect(0)
			if old != nil {
				go old.cut()
			}
			w.client.push(n, n, 0)
			w.server.push(n, n, 0)
			w.server.gets(n, n)
			w.client.gets(n, n)
			old = c
		}
	})
}

func TestAStaleAttachmentOnlyAcknowledges(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		first := w.connect(0)
		synctest.Wait()
		stale := w.server.Current()
		w.server.push(1, 1, 0)
		w.client.push(1, 1, 0)
		synctest.Wait()
		second := w.connect(0)
		synctest.Wait()
		assert.NotSame(t, stale, w.server.Current())
		assert.True(t, closed(stale.Gone()))
		assert.True(t, closed(first.client.Gone()))
		assert.False(t, closed(second.client.Gone()))

		w.server.push(2, 2, 0)
		synctest.Wait()
		require.Equal(t, 1, w.server.out.Stats().Unacknowledged)
		data := wire.Append(nil, wire.Frame{Type: wire.Data, Seq: 2, Ack: 2, Payload: []byte("stale")})
		require.NoError(t, stale.Receive(data))
		w.server.gets(1, 1)
		w.server.getsNothing()
		assert.Zero(t, w.server.out.Stats().Unacknowledged, "its ack counts")
		assert.Empty(t, stale.Next(nil, maxWrite))
		assert.Empty(t, stale.Poll())
		stale.Detach() // of no effect
		w.client.push(2, 2, 0)
		w.server.gets(2, 2)
		w.client.gets(1, 2)
	})
}

// An acknowledgement by the old link may open the window of the new one.
func TestAStaleAcknowledgementWakesTheNewWriter(t *testing.T) {
	bubble(t, setup{window: 1 << 10, maxMessage: 100}, setup{}, func(t *testing.T, w *world) {
		w.connect(0)
		synctest.Wait()
		stale := w.server.Current()
		w.server.push(1, 20, 100)
		synctest.Wait()
		require.Positive(t, w.server.out.Stats().Queued, "the window is closed")
		// The new link of the server's does not lead to the client.
		next, window := w.client.RecvNext()
		at, err := w.server.Attached(wire.AttachPayload{Attachment: 2, RecvNext: next, Window: window}, false)
		require.NoError(t, err)
		l, far := newLink(0)
		written := start(t, func() error { return at.Write(l, nil) })
		synctest.Wait()
		for len(far.in) > 0 {
			<-far.in
		}
		ack := wire.AckPayload{RecvNext: next, Window: 1 << 20}.Append(nil)
		require.NoError(t, stale.Receive(wire.Append(nil, wire.Frame{Type: wire.Ack, Ack: next - 1, Payload: ack})))
		synctest.Wait()
		assert.Zero(t, w.server.out.Stats().Queued)
		l.Abort()
		at.Detach()
		require.NoError(t, written.returns())
	})
}

func TestWindowClosesAndReopens(t *testing.T) {
	for name, window := range map[string]int{"of a few messages": 2000, "of a part of one": 300, "of nothing": 1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, setup{}, setup{window: window, maxMessage: 500}, func(t *testing.T, w *world) {
				w.connect(time.Millisecond)
				w.client.push(1, 50, 500)
				time.Sleep(time.Second)
				held := w.server.in.Held()
				assert.LessOrEqual(t, held, max(window, 500+inbox64))
				queued := w.client.out.Stats().Queued
				time.Sleep(time.Hour)
				assert.Equal(t, queued, w.client.out.Stats().Queued, "nobody takes anything")
				for n := uint64(1); n <= 50; n++ {
					w.server.gets(n, n)
					time.Sleep(10 * time.Millisecond) // a slow receiver
				}
			})
		})
	}
}

const inbox64 = 64

// A receiver that waits takes each message as it comes: nothing is ever held, and
// the window is open at once.
func TestWindowWithAReceiverThatWaits(t *testing.T) {
	bubble(t, setup{}, setup{window: 1000, maxMessage: 900}, func(t *testing.T, w *world) {
		w.connect(time.Millisecond)
		got := start(t, func() error { w.server.gets(1, 100); return nil })
		began := time.Now()
		w.client.push(1, 100, 900)
		<-got.done
		assert.Equal(t, 2*time.Millisecond*99+time.Millisecond, time.Since(began), "no ACK waits for the timer")
	})
}

func TestAcknowledgementsAreDelayed(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.connect(0)
		synctest.Wait()
		w.client.push(1, 3, 0)
		w.server.gets(1, 3)
		unacked := func() int {
			synctest.Wait()
			return w.client.out.Stats().Unacknowledged
		}
		time.Sleep(ackDelay - 1)
		assert.Equal(t, 3, unacked())
		time.Sleep(1)
		assert.Zero(t, unacked())

		w.client.push(4, 3+63, 0)
		assert.Equal(t, 63, unacked())
		w.client.push(67, 67, 0)
		assert.Zero(t, unacked(), "64 messages are acknowledged at once")

		w.client.push(68, 68, 64<<10)
		assert.Zero(t, unacked(), "and so are 64 KiB")

		w.client.push(69, 69, 0)
		assert.Equal(t, 1, unacked())
		w.server.push(1, 1, 0)
		assert.Zero(t, unacked(), "data acknowledges")
		w.server.gets(4, 69)
	})
}

func TestDetachStopsTheAckTimer(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(0)
		synctest.Wait()
		w.client.push(1, 1, 0)
		synctest.Wait()
		timer := func() *time.Timer {
			w.server.End.mu.Lock()
			defer w.server.End.mu.Unlock()
			return w.server.ackTimer
		}
		first := timer()
		require.NotNil(t, first)
		c.cut()
		assert.Nil(t, timer())
		assert.False(t, first.Stop(), "it is stopped already")

		time.Sleep(ackDelay / 2)
		w.connect(0)
		synctest.Wait()
		w.client.push(2, 2, 0)
		synctest.Wait()
		require.NotNil(t, timer())
		time.Sleep(ackDelay - 1)
		synctest.Wait()
		assert.Equal(t, 1, w.client.out.Stats().Unacknowledged, "its own time counts")
		time.Sleep(1)
		synctest.Wait()
		assert.Zero(t, w.client.out.Stats().Unacknowledged)
		assert.Nil(t, timer())
	})
}

func TestSendSyncAndFlushAskForTheAcknowledgement(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.client.push(1, 2, 0)
		early := w.client.flush(t.Context())
		early.waits()
		w.connect(10 * time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, early.returns())
		sync := w.client.sync(t.Context(), number(3, 0))
		sync.waits()
		flush := w.client.flush(t.Context())
		time.Sleep(20*time.Millisecond - 1)
		sync.waits()
		flush.waits()
		time.Sleep(1)
		require.NoError(t, sync.returns())
		require.NoError(t, flush.returns())
		w.server.gets(1, 3)
		_, pongs, _ := w.client.told()
		assert.Positive(t, pongs)
	})
}

func TestSendSyncOverACutLink(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(10 * time.Millisecond)
		synctest.Wait()
		sync := w.client.sync(t.Context(), number(1, 0))
		time.Sleep(15 * time.Millisecond) // it has arrived, and the PONG is on its way
		c.cut()
		time.Sleep(time.Hour)
		sync.waits()
		w.connect(10 * time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, sync.returns())
		w.server.gets(1, 1)
		w.server.getsNothing()
	})
}

func TestSendSyncToAFullReceiverWaits(t *testing.T) {
	bubble(t, setup{}, setup{window: 1000, maxMessage: 300}, func(t *testing.T, w *world) {
		w.connect(0)
		w.client.push(1, 9, 300)
		ctx, cancel := context.WithCancel(t.Context())
		withdrawn := w.client.sync(ctx, number(99, 0))
		sync := w.client.sync(t.Context(), number(10, 0))
		time.Sleep(time.Hour)
		withdrawn.waits()
		cancel()
		var loss *outbox.Loss
		require.ErrorAs(t, withdrawn.returns(), &loss)
		assert.False(t, loss.Maybe)
		sync.waits()
		w.server.gets(1, 10)
		require.NoError(t, sync.returns())
		gaps, _, _ := w.server.told()
		assert.Empty(t, gaps, "its sender knows")
	})
}

func TestDropOldestIsAGapAtItsPlace(t *testing.T) {
	bubble(t, setup{limits: outbox.Limits{MaxMessages: 3, WhenFull: outbox.DropOldest}}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(0)
		w.client.push(1, 3, 0)
		w.server.gets(1, 3)
		require.NoError(t, w.client.flush(t.Context()).returns())
		c.cut()
		w.client.push(4, 10, 0)
		_, _, drops := w.client.told()
		require.Equal(t, 4, drops)
		w.connect(0)
		for n := uint64(8); n <= 10; n++ {
			m, ok := w.server.get()
			require.True(t, ok)
			require.Equal(t, n, numberOf(t, m))
			assert.Equal(t, uint64(2), m.Epoch)
		}
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{1, 2}}, gaps)
	})
}

// What was sent and gave way becomes a gap too, in front of what follows; what has
// arrived all the same is no gap.
func TestDropOldestOfWhatWasSent(t *testing.T) {
	limits := outbox.Limits{MaxMessages: 3, WhenFull: outbox.DropOldest}
	bubble(t, setup{limits: limits}, setup{window: 600, maxMessage: 500}, func(t *testing.T, w *world) {
		w.connect(0)
		w.client.push(1, 1, 500)
		synctest.Wait() // it fills the window
		w.client.push(2, 9, 500)
		time.Sleep(time.Second)
		w.server.gets(1, 1)
		w.server.gets(7, 9)
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{1, 2}}, gaps)
		require.Error(t, w.client.flush(t.Context()).returns())
	})
	bubble(t, setup{limits: limits}, setup{}, func(t *testing.T, w *world) {
		lost := w.connect(time.Minute)
		for n := range uint64(6) {
			w.client.push(n+1, n+1, 500)
			synctest.Wait()
		}
		lost.cut()
		w.connect(0)
		for n := uint64(4); n <= 6; n++ {
			m, ok := w.server.get()
			require.True(t, ok)
			require.Equal(t, n, numberOf(t, m))
			assert.Equal(t, uint64(2), m.Epoch)
		}
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{3, 2}}, gaps)
		require.Error(t, w.client.flush(t.Context()).returns())
		late := w.connect(time.Second)
		w.client.push(7, 9, 500)
		synctest.Wait()
		w.client.push(10, 10, 500) // in place of 7, which arrives
		w.server.gets(7, 10)
		time.Sleep(time.Minute)
		require.Error(t, w.client.flush(t.Context()).returns())
		late.cut()
		w.connect(0)
		w.server.getsNothing()
		gaps, _, _ = w.server.told()
		assert.Len(t, gaps, 1)
	})
}

func TestDropOldestInsideALargeMessage(t *testing.T) {
	limits := outbox.Limits{MaxMessages: 1, WhenFull: outbox.DropOldest}
	bubble(t, setup{limits: limits}, setup{window: 100 << 10}, func(t *testing.T, w *world) {
		w.connect(0)
		w.server.in.Put(number(1000, 0)) // so that the rest of it finds no room
		w.client.push(1, 1, 300<<10)
		synctest.Wait()
		require.Equal(t, 1, w.client.out.Stats().Unacknowledged)
		w.client.push(2, 2, 0)
		synctest.Wait()
		gaps, _, _ := w.server.told()
		assert.Len(t, gaps, 1, "though the window is closed")
		w.server.gets(1000, 1000)
		m, ok := w.server.get()
		require.True(t, ok)
		assert.Equal(t, uint64(2), numberOf(t, m))
		assert.Equal(t, uint64(2), m.Epoch)
	})
}

func TestMaxAgeIsAGap(t *testing.T) {
	bubble(t, setup{limits: outbox.Limits{MaxAge: time.Second}}, setup{}, func(t *testing.T, w *world) {
		w.client.push(1, 2, 0)
		time.Sleep(2 * time.Second)
		w.connect(0)
		synctest.Wait()
		gaps, _, _ := w.server.told()
		assert.Equal(t, []gap{{1, 2}}, gaps)
		w.client.push(3, 3, 0)
		m, ok := w.server.get()
		require.True(t, ok)
		assert.Equal(t, uint64(2), m.Epoch)
		assert.Equal(t, uint64(2), w.server.Epoch())
	})
}

func TestAPeerThatTakesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 4}, func(n int, err error) {
			assert.Equal(t, 1, n)
			assert.ErrorIs(t, err, outbox.ErrTooBig)
		})
		push := func(size int) error { return out.Push(t.Context(), number(1, size), nil) }
		for _, size := range []int{10, 101, 100, 10} {
			require.NoError(t, push(size))
		}
		big := start(t, func() error { return push(101) })
		small := start(t, func() error { return push(100) })
		big.waits()
		small.waits()
		w := newWorld(t, setup{peerMessage: 100}, setup{maxMessage: 100})
		defer w.end()
		w.client.out.Close(errEnd)
		w.client.out = out
		w.client.End = New(Config{Session: w.client.c.Session, Out: out, In: w.client.in, MaxMessage: 100, Epoch: 1})
		require.ErrorIs(t, big.returns(), outbox.ErrTooBig)
		require.NoError(t, small.returns())
		require.ErrorIs(t, push(101), outbox.ErrTooBig)
		w.client.Flow()
		w.connect(0)
		for _, want := range []struct {
			size  int
			epoch uint64
		}{{10, 1}, {100, 2}, {10, 2}, {100, 2}} {
			m, ok := w.server.get()
			require.True(t, ok)
			assert.Len(t, m.Data, want.size)
			assert.Equal(t, want.epoch, m.Epoch)
		}
		w.server.getsNothing()
	})
}

func TestSendNowGoesAheadOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, setup{})
		defer w.end()
		w.server.Flow()
		w.client.push(4, 6, 0)
		now := start(t, func() error {
			for n := uint64(1); n <= 3; n++ {
				if err := w.client.SendNow(t.Context(), number(n, 100<<10)); err != nil {
					return err
				}
			}
			return nil
		})
		now.waits()
		w.connect(time.Millisecond)
		w.server.gets(1, 3)
		require.NoError(t, now.returns())
		w.server.getsNothing()
		w.client.Flow()
		w.server.gets(4, 6)
	})
}

func TestSendNowWaitsForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, setup{window: 200, maxMessage: 500})
		defer w.end()
		w.connect(0)
		synctest.Wait()
		send := func(ctx context.Context, n uint64) *call {
			return start(t, func() error { return w.client.SendNow(ctx, number(n, 500)) })
		}
		require.NoError(t, send(t.Context(), 1).returns())
		ctx, cancel := context.WithCancel(t.Context())
		gone, second := send(ctx, 99), send(t.Context(), 2)
		gone.waits()
		cancel()
		require.ErrorIs(t, gone.returns(), context.Canceled)
		second.waits()
		w.server.gets(1, 1)
		require.NoError(t, second.returns())
		w.server.gets(2, 2)
		w.server.getsNothing()
	})
}

func TestGoAway(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.connect(0)
		synctest.Wait()
		w.server.Current().GoAway(wire.GoAwayRestart)
		synctest.Wait()
		w.client.mu.Lock()
		defer w.client.mu.Unlock()
		assert.Equal(t, []uint64{wire.GoAwayRestart}, w.client.goAways)
	})
}

func TestReadEndsWithTheRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSide(t, setup{})
		defer d.end()
		at, err := d.Attach(wire.WelcomePayload{RecvNext: 1, Window: 1000}, false)
		require.NoError(t, err)
		at.Next(nil, maxWrite)
		p := wire.RejectPayload{Status: 410, Code: 1001, Reason: "restart", RecvNext: 1}
		ping := wire.Append(nil, wire.Frame{Type: wire.Data, Seq: 1, Payload: number(1, 0).Data})
		err = at.Receive(wire.Append(ping, wire.Frame{Type: wire.Reject, Payload: p.Append(nil)}))
		var refused *Rejected
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, p, refused.RejectPayload)
		assert.Equal(t, `the session was refused with status 410: it was closed with 1001 "restart"`, err.Error())
		d.gets(1, 1)
		require.ErrorIs(t, at.Receive(ping[:5]), wire.ErrShort)
	})
}

func TestSettleAfterATombstone(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(time.Minute)
		w.client.push(1, 2, 0)
		sync := w.client.sync(t.Context(), number(3, 0))
		sync.waits()
		c.cut()
		w.client.Settle(3)
		assert.Equal(t, 1, w.client.out.Stats().Unacknowledged)
		sync.waits()
		assert.Equal(t, 1, w.client.out.EndAcks(errEnd))
		require.ErrorIs(t, sync.returns(), errEnd)
	})
}

func TestWriteEndsWithStop(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		at, err := w.client.Attach(wire.WelcomePayload{RecvNext: 1, Window: 1000}, false)
		require.NoError(t, err)
		l, far := newLink(0)
		stop := make(chan struct{})
		write := start(t, func() error { return at.Write(l, stop) })
		write.waits()
		close(stop)
		require.NoError(t, write.returns())
		assert.True(t, len(w.client.out.Ready()) == 1, "what it took is handed on")
		assert.Len(t, far.in, 1)
		assert.True(t, bytes.HasPrefix((<-far.in).data, []byte{byte(wire.Attach)}))
		at.Detach()
	})
}

func TestPlainMessagesGoThroughWithTheirEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 100}, func(int, error) {})
		d := newSide(t, setup{})
		defer d.end()
		a, b := newLink(0)
		stop := make(chan struct{})
		write := start(t, func() error { return WritePlain(a, out, Pinger{}, stop) })
		read := start(t, func() error { return ReadPlain(b, d.in, 7, stop) })
		for n := uint64(1); n <= 3; n++ {
			require.NoError(t, out.Push(t.Context(), number(n, 0), nil))
			m, ok := d.get()
			require.True(t, ok)
			assert.Equal(t, transport.Message{Type: transport.Binary, Data: number(n, 0).Data, Epoch: 7}, m)
		}
		close(stop)
		require.NoError(t, write.returns())
		read.waits()
		a.Abort()
		require.ErrorIs(t, read.returns(), errCut)
		out.Close(errEnd)
	})
}
