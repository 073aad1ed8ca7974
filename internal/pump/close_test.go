package pump

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers has a side answer the peer's CLOSE with its own, as what serves it does.
func answers(d *side, code uint16) *call {
	return start(d.t, func() error {
		<-d.PeerClosed()
		d.out.BeginClose(errEnd)
		d.Close(code, "")
		return nil
	})
}

func isDone(d *side) bool {
	synctest.Wait()
	return closed(d.Done())
}

// ways runs f over a link that streams and over one that is answered.
func ways(t *testing.T, client, server setup, f func(t *testing.T, w *world, connect func())) {
	for _, way := range []string{"stream", "requests"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, client, server, func(t *testing.T, w *world) {
				f(t, w, func() {
					if way == "stream" {
						w.connect(5 * time.Millisecond)
					} else {
						w.poll(10*time.Millisecond, nil)
					}
				})
			})
		})
	}
}

func TestCloseComesAfterEverything(t *testing.T) {
	ways(t, setup{}, setup{}, func(t *testing.T, w *world, connect func()) {
		w.client.push(1, 100, 10<<10)
		w.server.push(1, 100, 10<<10)
		w.client.out.BeginClose(errEnd)
		w.client.Close(1001, "bye")
		answered := answers(w.server, 1000)
		connect()
		time.Sleep(10 * time.Second)
		require.NoError(t, answered.returns())
		code, reason := w.server.PeerClose()
		assert.Equal(t, uint16(1001), code)
		assert.Equal(t, "bye", reason)
		code, reason = w.client.PeerClose()
		assert.Equal(t, uint16(1000), code)
		assert.Empty(t, reason)
		assert.True(t, isDone(w.client))
		assert.True(t, isDone(w.server))
		w.server.gets(1, 100)
		w.client.gets(1, 100)
	})
}

func TestServerCloses(t *testing.T) {
	ways(t, setup{}, setup{}, func(t *testing.T, w *world, connect func()) {
		connect()
		time.Sleep(time.Second)
		w.server.push(1, 10, 0)
		w.server.out.BeginClose(errEnd)
		w.server.Close(1001, "")
		answers(w.client, 1001)
		time.Sleep(time.Second)
		assert.True(t, isDone(w.client))
		assert.True(t, isDone(w.server))
		w.client.gets(1, 10)
	})
}

func TestBothCloseAtOnce(t *testing.T) {
	ways(t, setup{}, setup{}, func(t *testing.T, w *world, connect func()) {
		connect()
		time.Sleep(time.Second)
		for _, d := range []*side{w.client, w.server} {
			d.push(1, 10, 0)
			d.out.BeginClose(errEnd)
			d.Close(1000, "")
			d.Close(1011, "the first counts")
		}
		time.Sleep(time.Second)
		for _, d := range []*side{w.client, w.server} {
			code, reason := d.PeerClose()
			assert.Equal(t, uint16(1000), code)
			assert.Empty(t, reason)
			assert.True(t, isDone(d))
			d.gets(1, 10)
		}
	})
}

func TestCloseWaitsForTheWindow(t *testing.T) {
	ways(t, setup{}, setup{window: 1000, maxMessage: 500}, func(t *testing.T, w *world, connect func()) {
		connect()
		w.client.push(1, 10, 500)
		w.client.out.BeginClose(errEnd)
		w.client.Close(1000, "")
		time.Sleep(time.Hour)
		assert.False(t, closed(w.server.PeerClosed()))
		w.server.gets(1, 10)
		time.Sleep(time.Second)
		assert.True(t, closed(w.server.PeerClosed()))
		assert.False(t, isDone(w.client))
	})
}

// What CLOSE waits for may be withdrawn, which nothing else would tell the writer.
func TestCloseAfterTheLastMessageIsWithdrawn(t *testing.T) {
	bubble(t, setup{}, setup{window: 1000, maxMessage: 500}, func(t *testing.T, w *world) {
		w.connect(0)
		w.client.push(1, 1, 500)
		synctest.Wait()
		w.client.push(2, 2, 300)
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		sync := w.client.sync(ctx, number(3, 500))
		sync.waits()
		require.Equal(t, 1, w.client.out.Stats().Queued)
		w.client.out.BeginClose(errEnd)
		w.client.Close(1000, "")
		synctest.Wait()
		cancel()
		require.Error(t, sync.returns())
		assert.True(t, closed(w.server.PeerClosed()))
		w.server.gets(1, 2)
	})
}

func TestAnswerLeavesTheQueue(t *testing.T) {
	ways(t, setup{}, setup{window: 1000, maxMessage: 500}, func(t *testing.T, w *world, connect func()) {
		connect()
		time.Sleep(time.Second)
		w.client.push(1, 5, 500)
		time.Sleep(time.Second)
		w.server.out.BeginClose(errEnd)
		w.server.Close(1012, "restart")
		time.Sleep(time.Second)
		require.True(t, closed(w.client.PeerClosed()))
		queued := w.client.out.Stats().Queued
		require.Positive(t, queued)
		w.client.Answer()
		w.server.gets(1, uint64(5-queued))
		time.Sleep(time.Second)
		assert.True(t, isDone(w.client))
		assert.True(t, isDone(w.server))
		code, _ := w.server.PeerClose()
		assert.Equal(t, uint16(1012), code)
		assert.Equal(t, queued, w.client.out.Stats().Queued, "they are for the next session")
		assert.Zero(t, w.client.out.Stats().Unacknowledged)
	})
}

// The link may go as soon as Done says so: the peer is Done too.
func TestLinkMayGoWithDone(t *testing.T) {
	for range 20 {
		bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
			c := w.connect(5 * time.Millisecond)
			synctest.Wait()
			answers(w.server, 1000)
			w.client.out.BeginClose(errEnd)
			w.client.Close(1000, "")
			<-w.client.Done()
			c.stopOnce.Do(func() { close(c.stop) })
			require.NoError(t, c.a.Close(t.Context(), 1000, ""))
			time.Sleep(time.Second)
			assert.True(t, isDone(w.server))
		})
		bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
			c := w.poll(10*time.Millisecond, nil)
			time.Sleep(time.Second)
			answers(w.server, 1000)
			w.client.out.BeginClose(errEnd)
			w.client.Close(1000, "")
			<-w.client.Done()
			c.cut()
			time.Sleep(time.Second)
			assert.True(t, isDone(w.server))
		})
	}
}

func TestDoneWithoutALink(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(5 * time.Millisecond)
		synctest.Wait()
		answers(w.server, 1000)
		w.client.out.BeginClose(errEnd)
		w.client.Close(1000, "")
		<-w.client.PeerClosed() // the ACK is still to be written, or on its way
		c.cut()
		assert.True(t, isDone(w.client))
		assert.False(t, isDone(w.server), "it does not know")
		w.connect(time.Millisecond) // the next link tells
		time.Sleep(time.Second)
		assert.True(t, isDone(w.server))
	})
}

func TestCloseOverCuts(t *testing.T) {
	for cut := time.Duration(0); cut < 30*time.Millisecond; cut += time.Millisecond {
		bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
			w.client.push(1, 5, 0)
			w.server.push(1, 5, 0)
			c := w.connect(5 * time.Millisecond)
			w.client.out.BeginClose(errEnd)
			w.client.Close(1000, "")
			answers(w.server, 1000)
			time.Sleep(cut)
			c.cut()
			w.connect(5 * time.Millisecond)
			time.Sleep(time.Second)
			assert.True(t, isDone(w.client))
			assert.True(t, isDone(w.server))
			w.server.gets(1, 5)
			w.client.gets(1, 5)
		})
	}
}

func TestSettleEndsWhatWasClosed(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(5 * time.Millisecond)
		synctest.Wait()
		w.client.push(1, 3, 0)
		w.client.out.BeginClose(errEnd)
		w.client.Close(1000, "")
		time.Sleep(6 * time.Millisecond)
		c.cut()
		next, _ := w.server.RecvNext()
		w.client.Settle(next)
		assert.Zero(t, w.client.out.Stats().Unacknowledged)
		assert.False(t, isDone(w.client), "the server has not closed")
	})
}
