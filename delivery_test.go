package holdfast_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func TestPromise07SendIsAcceptedConnectedOrNot(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Close()
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		data := []byte("first")
		require.NoError(w, c.Send(w.Context(), holdfast.Text, data))
		copy(data, "XXXXX") // Send has copied
		w.send(c, "second")
		assert.Equal(w, 2, c.Stats().Queued)
		w.serve()
		assert.Equal(w, "first", string(w.receive(c).Data))
		assert.Equal(w, "second", string(w.receive(c).Data))
		require.NoError(w, c.Close())
	})
}

func TestPromise07FullBuffer(t *testing.T) {
	full := func(when holdfast.WhenFull) func(o *holdfast.Options) {
		return func(o *holdfast.Options) {
			o.Background = true
			o.SendBuffer = holdfast.SendBuffer{MaxMessages: 3, WhenFull: when}
		}
	}
	fill := func(w *world, c *holdfast.Conn) {
		for i := range 3 {
			w.send(c, fmt.Sprint(i))
		}
	}
	t.Run("block", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Close()
			c := w.dial(full(holdfast.WhenFullBlock))
			fill(w, c)
			err := c.Send(w.within(time.Second), holdfast.Text, nil)
			require.ErrorIs(w, err, context.DeadlineExceeded)
			wantSendError(w, err, holdfast.NotSent, 1)
			done := make(chan error)
			go func() { done <- c.Send(w.Context(), holdfast.Text, []byte("3")) }()
			w.serve()
			require.NoError(w, <-done)
			for i := range 4 {
				assert.Equal(w, fmt.Sprint(i), string(w.receive(c).Data))
			}
			require.NoError(w, c.Close())
		})
	})
	t.Run("fail", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Close()
			c := w.dial(full(holdfast.WhenFullFail))
			fill(w, c)
			err := c.Send(w.Context(), holdfast.Text, nil)
			require.ErrorIs(w, err, holdfast.ErrBufferFull)
			wantSendError(w, err, holdfast.NotSent, 1)
			var unsent *holdfast.UnsentError
			require.ErrorAs(w, c.Close(), &unsent)
			assert.Equal(w, 3, unsent.Messages)
			assert.Equal(w, int64(3), unsent.Bytes)
		})
	})
	t.Run("drop oldest", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Close()
			c := w.dial(full(holdfast.WhenFullDropOldest))
			fill(w, c)
			w.send(c, "3")
			w.send(c, "4")
			assert.Equal(w, uint64(2), c.Stats().Dropped)
			w.serve()
			for i := 2; i < 5; i++ {
				assert.Equal(w, fmt.Sprint(i), string(w.receive(c).Data))
			}
			wantSendError(w, c.Flush(w.Context()), holdfast.NotSent, 2)
			require.NoError(w, c.Flush(w.Context()), "reported once")
			n := 0
			for _, e := range w.seen(holdfast.EventDropped) {
				n += e.Count
			}
			assert.Equal(w, 2, n)
			require.NoError(w, c.Close())
		})
	})
}

func wantSendError(t require.TestingT, err error, o holdfast.Outcome, count int) {
	var se *holdfast.SendError
	require.ErrorAs(t, err, &se)
	assert.Equal(t, o, se.Outcome, err)
	assert.Equal(t, count, se.Count, err)
}

func TestPromise07StaleMessagesAreDropped(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Close()
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Retry.MaxRetries = holdfast.Unlimited
			o.SendBuffer.MaxAge = time.Minute
		})
		w.send(c, "old")
		time.Sleep(59 * time.Second)
		w.send(c, "new")
		time.Sleep(time.Second)
		dropped := w.seen(holdfast.EventDropped)
		require.Len(w, dropped, 1)
		assert.Equal(w, 1, dropped[0].Count)
		w.serve()
		assert.Equal(w, "new", string(w.receive(c).Data))
		require.NoError(w, c.Close())
	})
}

func TestPromise07AnEndedContextQueuesNothing(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		ended, cancel := context.WithCancel(w.Context())
		cancel()
		for _, err := range []error{c.Send(ended, holdfast.Text, nil), c.SendSync(ended, holdfast.Text, nil)} {
			require.ErrorIs(w, err, context.Canceled)
			wantSendError(w, err, holdfast.NotSent, 1)
		}
		require.NoError(w, c.Flush(ended), "nothing to prove")
		synctest.Wait()
		assert.Zero(w, c.Stats().MessagesSent)
		require.NoError(w, c.Close())
	})
}

func TestPromise07SendSyncMeansThatThePeerHasRead(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetLatency(50 * time.Millisecond)
		read := make(chan string, 10)
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for {
				_, data, err := p.Receive()
				if err != nil {
					return
				}
				read <- string(data)
			}
		})
		c := w.dial(nil)
		start := time.Now()
		require.NoError(w, c.SendSync(w.Context(), holdfast.Text, []byte("x")))
		assert.Equal(w, 100*time.Millisecond, time.Since(start))
		assert.Len(w, read, 1)
		assert.Equal(w, 100*time.Millisecond, c.Stats().RTT)
		assert.Zero(w, c.Stats().Unacknowledged)
		w.send(c, "y")
		w.send(c, "z")
		require.NoError(w, c.Flush(w.Context()))
		assert.Len(w, read, 3)
		require.NoError(w, c.Close())
	})
}

func TestPromise07NoPong(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			p.OnPing(func([]byte) ([]byte, bool) { return nil, true })
			_, _, _ = p.Receive()
			_, _, _ = p.Receive()
		})
		c := w.dial(nil)
		start := time.Now()
		err := c.SendSync(w.Context(), holdfast.Text, []byte("x"))
		assert.Equal(w, 10*time.Second, time.Since(start))
		require.ErrorIs(w, err, holdfast.ErrNoPong)
		wantSendError(w, err, holdfast.MaybeSent, 1)
		assert.Equal(w, holdfast.StateConnected, c.State(), "an unmatched pong is life")
		require.NoError(w, c.Close())
	})
}

func TestPromise07AnEndedContextWithdraws(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Close()
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		err := c.SendSync(w.within(time.Second), holdfast.Text, []byte("withdrawn"))
		require.ErrorIs(w, err, context.DeadlineExceeded)
		wantSendError(w, err, holdfast.NotSent, 1)
		w.send(c, "stays")
		err = c.Flush(w.within(time.Second))
		require.ErrorIs(w, err, context.DeadlineExceeded)
		wantSendError(w, err, holdfast.MaybeSent, 1)
		w.serve()
		assert.Equal(w, "stays", string(w.receive(c).Data))
		require.NoError(w, c.Close())
	})
}

func TestPromise07FullInboxIsNamedAtOnce(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for range 10 {
				_ = p.Send(holdfast.Binary, make([]byte, 1000))
			}
			for {
				if _, _, err := p.Receive(); err != nil {
					return
				}
			}
		})
		c := w.dial(func(o *holdfast.Options) { o.ReceiveBuffer = 3000 })
		synctest.Wait()
		start := time.Now()
		require.NoError(w, c.Flush(w.Context()), "nothing to flush")
		err := c.SendSync(w.Context(), holdfast.Text, nil)
		require.ErrorIs(w, err, holdfast.ErrReceiveBufferFull)
		assert.Zero(w, time.Since(start))
		for range 10 {
			w.receive(c)
		}
		require.NoError(w, c.SendSync(w.Context(), holdfast.Text, nil))
		require.NoError(w, c.Close())
	})
	bubble(t, func(w *world) { // while SendSync waits for a place in the send buffer
		begin := make(chan struct{})
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			<-begin
			for range 10 {
				_ = p.Send(holdfast.Binary, make([]byte, 1000))
			}
			for {
				if _, _, err := p.Receive(); err != nil {
					return
				}
			}
		})
		c := w.dial(func(o *holdfast.Options) {
			o.ReceiveBuffer = 3000
			o.Delivery = holdfast.AtLeastOnce
			o.SendBuffer.MaxMessages = 1
		})
		w.send(c, "kept")
		done := make(chan error)
		go func() { done <- c.SendSync(w.Context(), holdfast.Text, nil) }()
		synctest.Wait()
		close(begin)
		require.ErrorIs(w, <-done, holdfast.ErrReceiveBufferFull)
		for range 10 {
			w.receive(c)
		}
		require.NoError(w, c.Close())
	})
}

// cut drops the client's link after it has written what is not read.
func cutUnread(w *world, texts ...string) (c *holdfast.Conn) {
	return cutUnreadWith(w, nil, texts...)
}

func cutUnreadWith(w *world, change func(*holdfast.Options), texts ...string) (c *holdfast.Conn) {
	w.server.OnConnect(func(p *holdfasttest.Peer) {
		if p.N() == 1 {
			<-p.Done() // never reads
			return
		}
		for {
			typ, data, err := p.Receive()
			if err != nil || p.Send(typ, data) != nil {
				return
			}
		}
	})
	c = w.dial(change)
	for _, text := range texts {
		w.send(c, text)
	}
	synctest.Wait()
	return c
}

func TestPromise07AtMostOnceSaysWhatMayBeLost(t *testing.T) {
	bubble(t, func(w *world) {
		c := cutUnread(w, "a", "b")
		sync := make(chan error)
		go func() { sync <- c.SendSync(w.Context(), holdfast.Text, []byte("c")) }()
		synctest.Wait()
		w.server.DropAll()
		err := <-sync
		wantSendError(w, err, holdfast.MaybeSent, 1)
		var ce *holdfast.CloseError
		require.ErrorAs(w, err, &ce)
		assert.Equal(w, uint64(3), c.Stats().Unknown)
		w.send(c, "d")
		m := w.receive(c)
		assert.Equal(w, "d", string(m.Data), "nothing twice")
		assert.Equal(w, uint64(2), m.Epoch)
		wantSendError(w, c.Flush(w.Context()), holdfast.MaybeSent, 2)
		require.NoError(w, c.Flush(w.Context()))
		lost := w.seen(holdfast.EventDisconnected)
		require.Len(w, lost, 1)
		assert.Equal(w, 3, lost[0].Count)
		require.NoError(w, c.Close())
	})
}

func TestPromise07AtLeastOnceSendsAgain(t *testing.T) {
	bubble(t, func(w *world) {
		c := cutUnreadWith(w, func(o *holdfast.Options) { o.Delivery = holdfast.AtLeastOnce }, "a", "b")
		sync := make(chan error)
		go func() { sync <- c.SendSync(w.Context(), holdfast.Text, []byte("c")) }()
		synctest.Wait()
		assert.Equal(w, 3, c.Stats().Unacknowledged)
		w.server.DropAll()
		require.NoError(w, <-sync)
		for _, want := range []string{"a", "b", "c"} {
			assert.Equal(w, want, string(w.receive(c).Data))
		}
		require.NoError(w, c.Flush(w.Context()))
		assert.Zero(w, c.Stats().Unknown)
		assert.Zero(w, c.Stats().Unacknowledged)
		require.NoError(w, c.Close())
	})
}

func TestPromise07AtLeastOnceAsksForReceiptsByItself(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) {
			o.Delivery = holdfast.AtLeastOnce
			o.SendBuffer.MaxMessages = 8
		})
		w.send(c, "one")
		synctest.Wait()
		assert.Equal(w, 1, c.Stats().Unacknowledged)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Zero(w, c.Stats().Unacknowledged, "after 1 s")
		w.send(c, "two")
		w.send(c, "three")
		synctest.Wait()
		assert.Zero(w, c.Stats().Unacknowledged, "after a quarter of the buffer")
		for range 1000 {
			w.send(c, "more")
			w.receive(c)
		}
		require.NoError(w, c.Close())
	})
}

func TestPromise08EpochShowsGaps(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for i := range 3 {
				_ = p.Send(holdfast.Text, []byte(fmt.Sprint(p.N(), "-", i)))
			}
			if p.N() < 3 {
				_ = p.Close(1012, "")
				return
			}
			_, _, _ = p.Receive()
		})
		c := w.dial(nil)
		for n := 1; n <= 3; n++ {
			for i := range 3 {
				m := w.receive(c)
				assert.Equal(w, fmt.Sprint(n, "-", i), string(m.Data))
				assert.Equal(w, uint64(n), m.Epoch)
			}
		}
		gaps := w.seen(holdfast.EventGap)
		require.Len(w, gaps, 2)
		assert.Equal(w, uint64(3), gaps[1].Epoch)
		require.NoError(w, c.Close())
	})
}

func TestPromise08WhatWasReceivedComesBeforeTheError(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for i := range 3 {
				_ = p.Send(holdfast.Text, []byte(fmt.Sprint(i)))
			}
			_ = p.Close(1000, "done")
		})
		c := w.dial(nil)
		<-c.Done()
		var got []string
		for m, err := range c.Messages(w.Context()) {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, string(m.Data))
		}
		require.Len(w, got, 4, "the error once")
		assert.Equal(w, []string{"0", "1", "2"}, got[:3])
		assert.Contains(w, got[3], `1000 normal closure "done"`)
		for range 3 { // every receiver gets it
			_, err := c.Receive(w.Context())
			require.Equal(w, c.Err(), err)
		}
		require.NoError(w, c.Close())
	})
}

func TestPromise08MessagesEndsSilentlyAfterClose(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		w.send(c, "a")
		w.send(c, "b")
		w.send(c, "c")
		for m, err := range c.Messages(w.Context()) {
			require.NoError(w, err)
			require.Equal(w, "a", string(m.Data))
			break // loses nothing
		}
		synctest.Wait()
		require.NoError(w, c.Close())
		var got []string
		for m, err := range c.Messages(w.Context()) {
			require.NoError(w, err)
			got = append(got, string(m.Data))
		}
		assert.Equal(w, []string{"b", "c"}, got)
		_, err := c.Receive(w.Context())
		require.ErrorIs(w, err, holdfast.ErrClosed)
		require.ErrorIs(w, err, net.ErrClosed)
	})
}

func TestPromise08ReceiveAppend(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		w.send(c, "world")
		m, err := c.ReceiveAppend(w.Context(), []byte("hello "))
		require.NoError(w, err)
		assert.Equal(w, "hello world", string(m.Data))
		_, err = c.ReceiveAppend(w.within(time.Second), nil)
		require.ErrorIs(w, err, context.DeadlineExceeded)
		require.NoError(w, c.Close())
	})
}

func TestPromise11NobodysContextDestroysTheLink(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetLatency(time.Millisecond)
		dialCtx, cancel := context.WithCancel(w.Context())
		c, err := holdfast.Dial(dialCtx, worldURL, w.options())
		require.NoError(w, err)
		cancel()
		for range 50 {
			_, err := c.Receive(w.within(time.Microsecond))
			require.ErrorIs(w, err, context.DeadlineExceeded)
			err = c.SendSync(w.within(time.Microsecond), holdfast.Text, []byte("x"))
			require.ErrorIs(w, err, context.DeadlineExceeded)
			err = c.Flush(w.within(time.Microsecond))
			require.ErrorIs(w, err, context.DeadlineExceeded)
		}
		for range 50 {
			w.receive(c)
		}
		assert.Equal(w, 1, w.net.Dials())
		require.NoError(w, c.Close())
	})
}

func TestPromise11DialsContextBoundsTheFirstConnection(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(refuse(503, nil))
		start := time.Now()
		_, err := holdfast.Dial(w.within(90*time.Second), worldURL, &holdfast.Options{
			DialContext: w.net.DialContext, Network: w.network,
			Retry: holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited},
		})
		assert.Equal(w, 90*time.Second, time.Since(start))
		require.ErrorIs(w, err, context.DeadlineExceeded)
		var de *holdfast.DialError
		require.ErrorAs(w, err, &de, "the last failure")
		assert.Equal(w, 503, de.StatusCode)

		w.network.SetOnline(false)
		_, err = holdfast.Dial(w.within(time.Minute), worldURL, w.options())
		require.ErrorIs(w, err, context.DeadlineExceeded, "it blocks while offline")
	})
}

func TestPromise11BackgroundReturnsAfterValidation(t *testing.T) {
	bubble(t, func(w *world) {
		ended, cancel := context.WithCancel(w.Context())
		cancel()
		o := w.options()
		o.Background = true
		c, err := holdfast.Dial(ended, worldURL, o)
		require.NoError(w, err)
		require.NoError(w, c.WaitConnected(w.Context()))
		require.NoError(w, c.Close())
		require.ErrorIs(w, c.WaitConnected(w.Context()), holdfast.ErrClosed)
		_, err = holdfast.Dial(w.Context(), "http://server.test", o)
		var oe *holdfast.OptionError
		require.ErrorAs(w, err, &oe)
	})
}

func TestPromise07BadMessages(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.MaxMessageSize = 100 })
		for _, r := range []struct {
			typ   holdfast.MessageType
			data  string
			field string
		}{{0, "", "typ"}, {3, "", "typ"}, {8, "", "typ"}, {-1, "", "typ"}, {holdfast.Text, "\xff", "data"}} {
			err := c.Send(w.Context(), r.typ, []byte(r.data))
			wantSendError(w, err, holdfast.NotSent, 1)
			var oe *holdfast.OptionError
			require.ErrorAs(w, err, &oe)
			assert.Equal(w, r.field, oe.Field)
		}
		err := c.Send(w.Context(), holdfast.Text, []byte(strings.Repeat("x", 101)))
		require.ErrorIs(w, err, holdfast.ErrMessageTooBig)
		require.NoError(w, c.Send(w.Context(), holdfast.Text, []byte(strings.Repeat("x", 100))))
		assert.Len(w, w.receive(c).Data, 100)
		for _, r := range []struct {
			code   holdfast.StatusCode
			reason string
			field  string
		}{{0, "", "code"}, {1005, "", "code"}, {1006, "", "code"}, {1015, "", "code"}, {1004, "", "code"}, {2000, "", "code"}, {5000, "", "code"}, {1000, strings.Repeat("x", 124), "reason"}, {1000, "\xff", "reason"}} {
			var oe *holdfast.OptionError
			require.ErrorAs(w, c.CloseWith(w.Context(), r.code, r.reason), &oe)
			assert.Equal(w, r.field, oe.Field)
		}
		assert.Equal(w, holdfast.StateConnected, c.State())
		require.NoError(w, c.CloseWith(w.Context(), 4999, strings.Repeat("x", 123)))
		require.ErrorIs(w, c.Err(), holdfast.ErrClosed)
	})
}
