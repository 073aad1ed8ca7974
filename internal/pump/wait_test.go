package pump

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
)

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

func TestSendSyncAsksAgainOnTheNextLink(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		c := w.connect(10 * time.Millisecond)
		time.Sleep(time.Second)
		sync := w.client.sync(t.Context(), number(1, 0))
		time.Sleep(5 * time.Millisecond) // neither it nor the PING has arrived
		c.cut()
		w.connect(10 * time.Millisecond)
		time.Sleep(40 * time.Millisecond)
		require.NoError(t, sync.returns(), "it does not wait for the ACK's timer")
		w.server.gets(1, 1)
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
