package pump

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

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

func TestNextIsOfThePresentAttachmentAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSide(t, setup{})
		defer d.end()
		d.Flow()
		d.push(1, 1, 0)
		w := wire.WelcomePayload{RecvNext: 1, Window: 1 << 20}
		first, err := d.Attach(w, false)
		require.NoError(t, err)
		second, err := d.Attach(w, false)
		require.NoError(t, err)
		assert.Equal(t, [2]uint64{1, 2}, [2]uint64{first.Number(), second.Number()})
		for len(d.out.Ready()) > 0 {
			<-d.out.Ready()
		}
		assert.Empty(t, first.Next(nil, maxWrite))
		assert.Len(t, d.out.Ready(), 1, "the token is handed on")
		assert.NotEmpty(t, second.Next(nil, maxWrite))
		second.Detach()
		assert.Empty(t, second.Next(nil, maxWrite))
		assert.Nil(t, d.Current())
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
