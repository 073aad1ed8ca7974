package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

var errEnd = errors.New("the end")

// box is a Queue in a bubble, with the test as its reader.
type box struct {
	*Queue
	t      *testing.T
	pauses atomic.Int32 // what onPause heard
}

func bubble(t *testing.T, limit int, f func(t *testing.T, b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &box{t: t}
		b.Queue = New(limit, func() { b.pauses.Add(1) })
		f(t, b)
		b.Close(errEnd)
		b.Release(true)
	})
}

func (b *box) put(words string) {
	b.t.Helper()
	for _, s := range strings.Fields(words) {
		b.Put(transport.Message{Type: transport.Text, Data: []byte(s)})
	}
}

// call is a call in a goroutine of its own.
type call struct {
	t    *testing.T
	done chan struct{}
	m    transport.Message
	ok   bool
	err  error
}

func (b *box) start(f func(c *call)) *call {
	c := &call{t: b.t, done: make(chan struct{})}
	go func() {
		f(c)
		close(c.done)
	}()
	synctest.Wait()
	return c
}

func (b *box) receive(ctx context.Context) *call {
	return b.start(func(c *call) { c.m, c.err = b.Receive(ctx) })
}

func (b *box) takeHeld(ctx context.Context) *call {
	return b.start(func(c *call) { c.m, c.err = b.TakeHeld(ctx) })
}

func (b *box) room(stop <-chan struct{}) *call {
	return b.start(func(c *call) { c.ok = b.Room(stop) })
}

func (c *call) returned() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *call) waits() {
	c.t.Helper()
	require.False(c.t, c.returned(), "it has returned")
}

func (c *call) gets(word string) {
	c.t.Helper()
	require.True(c.t, c.returned(), "it waits")
	require.NoError(c.t, c.err)
	require.Equal(c.t, word, string(c.m.Data))
}

func (c *call) fails(err error) {
	c.t.Helper()
	require.True(c.t, c.returned(), "it waits")
	require.ErrorIs(c.t, c.err, err)
	require.Zero(c.t, c.m)
}

// hasRoom asserts that Room returned ok.
func (c *call) hasRoom(ok bool) {
	c.t.Helper()
	require.True(c.t, c.returned(), "it waits")
	require.Equal(c.t, ok, c.ok)
}

func TestMessagesComeInOrder(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		for i := range 1000 {
			b.Put(transport.Message{Type: transport.Binary, Data: []byte(fmt.Sprint(i)), Epoch: uint64(i)})
		}
		for i := range 1000 {
			m, err := b.Receive(t.Context())
			require.NoError(t, err)
			require.Equal(t, transport.Message{Type: transport.Binary, Data: []byte(fmt.Sprint(i)), Epoch: uint64(i)}, m)
		}
	})
}

func TestEachMessageGoesToOneReceiver(t *testing.T) {
	const receivers, messages = 8, 5000
	bubble(t, 4096, func(t *testing.T, b *box) {
		got := make([][]uint64, receivers)
		var wg sync.WaitGroup
		for i := range receivers {
			wg.Go(func() {
				for {
					m, err := b.Receive(t.Context())
					if err != nil {
						assert.ErrorIs(t, err, errEnd)
						return
					}
					got[i] = append(got[i], m.Epoch)
				}
			})
		}
		for i := range messages {
			require.True(t, b.Room(nil))
			b.Put(transport.Message{Epoch: uint64(i)})
		}
		b.Close(errEnd)
		wg.Wait()
		seen := map[uint64]bool{}
		for _, list := range got {
			for i, n := range list {
				assert.False(t, seen[n], "twice")
				seen[n] = true
				assert.True(t, i == 0 || list[i-1] < n, "out of order")
			}
		}
		assert.Len(t, seen, messages)
	})
}

func TestReceiversAreServedInTheirOrder(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		first, gone, second := b.receive(t.Context()), b.receive(ctx), b.receive(t.Context())
		cancel()
		gone.fails(context.Canceled)
		third := b.receive(t.Context())
		b.put("a")
		first.gets("a")
		second.waits()
		b.put("b c d")
		second.gets("b")
		third.gets("c")
		b.receive(t.Context()).gets("d")
	})
}

func TestEndedContextLosesNothing(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		waiting := b.receive(ctx)
		cancel()
		waiting.fails(context.Canceled)
		b.put("a")
		b.receive(ctx).fails(context.Canceled) // though there is a message
		b.receive(t.Context()).gets("a")
		assert.Zero(t, b.ready.waiting.Len())
	})
}

// A receiver whose context ends as its message arrives has the one or the other.
func TestEndedContextAtTheSameMoment(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			c := b.receive(ctx)
			go cancel()
			b.put("a")
			if require.True(t, c.returned()); c.err != nil {
				c.fails(context.Canceled)
				b.receive(t.Context()).gets("a")
			}
			require.Zero(t, b.Stats().Queued)
		}
	})
}

func TestCloseComesAfterWhatWasReceived(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("a b")
		b.Close(errEnd)
		b.Close(context.Canceled) // the first counts
		b.put("late")
		b.receive(t.Context()).gets("a")
		b.receive(t.Context()).gets("b")
		for range 3 {
			b.receive(t.Context()).fails(errEnd)
		}
	})
}

func TestCloseTellsEveryReceiver(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		calls := []*call{b.receive(t.Context()), b.receive(t.Context()), b.receive(t.Context())}
		b.Close(errEnd)
		for _, c := range calls {
			c.fails(errEnd)
		}
	})
}

func TestStats(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		assert.Zero(t, b.Stats())
		b.put("a bb ccc")
		assert.Equal(t, Stats{Received: 3, ReceivedBytes: 6, Queued: 3, QueuedBytes: 6}, b.Stats())
		b.receive(t.Context()).gets("a")
		assert.Equal(t, Stats{Received: 3, ReceivedBytes: 6, Queued: 2, QueuedBytes: 5}, b.Stats())
		b.Hold()
		b.put("dddd")
		assert.Equal(t, Stats{Received: 4, ReceivedBytes: 10, Queued: 3, QueuedBytes: 9}, b.Stats())
		b.Release(false)
		assert.Equal(t, Stats{Received: 4, ReceivedBytes: 10, Queued: 3, QueuedBytes: 9}, b.Stats())
		for range 3 {
			_, err := b.Receive(t.Context())
			require.NoError(t, err)
		}
		waiting := b.receive(t.Context())
		b.put("eeeee")
		waiting.gets("eeeee")
		assert.Equal(t, Stats{Received: 5, ReceivedBytes: 15}, b.Stats())
		b.Hold()
		b.put("ff")
		b.Release(true)
		assert.Equal(t, Stats{Received: 6, ReceivedBytes: 17}, b.Stats())
	})
}
