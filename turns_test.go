package holdfast_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// A Receive that waits may read the link itself: none of what follows may tell.

// exchange has one message go there and back, after which a Receive reads.
func (w *world) exchange(c *holdfast.Conn) {
	w.Helper()
	w.send(c, "there and back")
	require.Equal(w, "there and back", string(w.receive(c).Data))
}

// received is a Receive under way.
type received struct {
	m   holdfast.Message
	err error
}

func (w *world) receiving(ctx context.Context, c *holdfast.Conn) <-chan received {
	ch := make(chan received, 1)
	go func() {
		m, err := c.Receive(ctx)
		ch <- received{m, err}
	}()
	synctest.Wait()
	return ch
}

func TestPromise11AContextThatEndsWhileReceiveReads(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		defer c.CloseNow()
		for range 3 {
			w.exchange(c)
			ctx, cancel := context.WithCancel(w.Context())
			r := w.receiving(ctx, c)
			cancel()
			require.ErrorIs(t, (<-r).err, context.Canceled)
		}
		w.exchange(c)
		assert.Empty(t, w.seen(holdfast.EventDisconnected))
	})
}

func TestPromise06KeepaliveFindsAFrozenPeerWhileReceiveReads(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Keepalive = holdfast.Keepalive{} })
		defer c.CloseNow()
		w.exchange(c)
		r := w.receiving(w.Context(), c)
		began := time.Now()
		w.server.FreezeAll(true)
		time.Sleep(36 * time.Second)
		lost := w.seen(holdfast.EventDisconnected)
		require.Len(t, lost, 1)
		assert.Equal(t, 35*time.Second, lost[0].Time.Sub(began))
		require.NoError(t, c.WaitConnected(w.Context()))
		w.send(c, "anew")
		assert.Equal(t, "anew", string((<-r).m.Data), "the same Receive goes on with the next link")
	})
}

func TestPromise08AReceiveThatReadsGoesOnWithTheNextLink(t *testing.T) {
	for name, lose := range map[string]func(w *world, c *holdfast.Conn){
		"dropped":     func(w *world, _ *holdfast.Conn) { w.server.DropAll() },
		"reset":       func(w *world, _ *holdfast.Conn) { w.server.ResetAll() },
		"closed 1012": func(w *world, _ *holdfast.Conn) { w.server.CloseAll(1012, "") },
		"Reconnect":   func(_ *world, c *holdfast.Conn) { c.Reconnect() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				c := w.dial(nil)
				defer c.CloseNow()
				w.exchange(c)
				r := w.receiving(w.Context(), c)
				lose(w, c)
				time.Sleep(2 * time.Second)
				require.Len(t, w.seen(holdfast.EventDisconnected), 1)
				w.send(c, "next")
				got := <-r
				require.NoError(t, got.err)
				assert.Equal(t, uint64(2), got.m.Epoch)
			})
		})
	}
}

func TestCloseEndsAReceiveThatReads(t *testing.T) {
	for name, end := range map[string]func(c *holdfast.Conn) error{"Close": (*holdfast.Conn).Close, "CloseNow": (*holdfast.Conn).CloseNow} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				c := w.dial(nil)
				w.exchange(c)
				r := w.receiving(w.Context(), c)
				began := time.Now()
				_ = end(c) // CloseNow has no receipt for the message
				require.ErrorIs(t, (<-r).err, holdfast.ErrClosed)
				assert.Zero(t, time.Since(began))
			})
		})
	}
}

// Whoever waits for a receipt does not wait for the next Receive.
func TestFlushAfterReceiveIsAnsweredAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		defer c.CloseNow()
		for range 3 {
			w.exchange(c)
			w.exchange(c)
			began := time.Now()
			require.NoError(t, c.SendSync(w.Context(), holdfast.Text, []byte("x")))
			w.send(c, "y")
			require.NoError(t, c.Flush(w.Context()))
			assert.Zero(t, time.Since(began))
			w.receive(c)
			w.receive(c)
		}
	})
}

// The peer hears and is heard though the program has stopped receiving.
func TestTheLinkIsReadWhileNobodyReceives(t *testing.T) {
	bubble(t, func(w *world) {
		pongs := make(chan string, 1)
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			p.OnPong(func(b []byte) { pongs <- string(b) })
			typ, data, err := p.Receive()
			for ; err == nil; typ, data, err = p.Receive() {
				_ = p.Send(typ, data)
			}
		})
		c := w.dial(nil)
		defer c.CloseNow()
		w.exchange(c)
		w.exchange(c)
		require.NoError(t, w.server.Peers()[0].Ping([]byte("still there?")))
		assert.Equal(t, "still there?", <-pongs)
		w.server.DropAll()
		time.Sleep(10 * time.Millisecond)
		assert.Len(t, w.seen(holdfast.EventDisconnected), 1)
	})
}

// A session goes over to another link while a Receive reads the one before.
func TestPromise09AReceiveThatReadsFollowsItsSession(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		c := p.dial(nil)
		defer c.CloseNow()
		for i := range 10 {
			require.NoError(t, c.Send(p.Context(), holdfast.Text, []byte{byte('a' + i)}))
			m, err := c.Receive(p.Context())
			require.NoError(t, err)
			require.Equal(t, []byte{byte('a' + i)}, m.Data)
			require.Equal(t, uint64(1), m.Epoch)
			if i%3 == 2 {
				c.Reconnect()
			}
		}
	})
}

// TestAllocationsOfAnExchange: one message there and one back, over TCP.
func TestAllocationsOfAnExchange(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := holdfasttest.NewServer(l)
	defer srv.Close()
	c, err := holdfast.Dial(t.Context(), srv.URL(), &holdfast.Options{Network: holdfasttest.NewNetwork()})
	require.NoError(t, err)
	defer c.CloseNow()
	ctx, payload, buf := context.Background(), make([]byte, 128), make([]byte, 0, 256)
	exchange := func(receive func() error) func() {
		return func() {
			if err := c.Send(ctx, holdfast.Binary, payload); err != nil {
				t.Error(err)
			}
			if err := receive(); err != nil {
				t.Error(err)
			}
		}
	}
	appended := testing.AllocsPerRun(500, exchange(func() error { _, err := c.ReceiveAppend(ctx, buf); return err }))
	owned := testing.AllocsPerRun(500, exchange(func() error { _, err := c.Receive(ctx); return err }))
	assert.InDelta(t, 1, owned-appended, 0.5, "Receive allocates the message, and what else is allocated is the server's")
}

// Send writes a lone message itself, and yet does not wait for a peer that does not
// read.
func TestPromise07SendDoesNotWaitForTheNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := holdfasttest.NewServer(l)
	defer srv.Close()
	srv.OnConnect(func(p *holdfasttest.Peer) { <-p.Done() })
	c, err := holdfast.Dial(t.Context(), srv.URL(), &holdfast.Options{
		Network:    holdfasttest.NewNetwork(),
		SendBuffer: holdfast.SendBuffer{MaxBytes: 1 << 20, WhenFull: holdfast.WhenFullFail},
	})
	require.NoError(t, err)
	defer c.CloseNow()
	for err = nil; err == nil; { // the network takes some megabytes, then the buffer fills
		err = c.Send(t.Context(), holdfast.Binary, make([]byte, 10_000))
		runtime.Gosched()
	}
	require.ErrorIs(t, err, holdfast.ErrBufferFull)
}
