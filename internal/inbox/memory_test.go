package inbox

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/chunk"
	"github.com/holdfast-ws/holdfast/transport"
)

// sizes are around each bound of a block.
var sizes = []int{0, 1, 128, 2048 - head, 2049 - head, large - 1, large, large + 1, maxBlock - head, maxBlock, 100_000, 1 << 20, 1<<20 + 1}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + n)
	}
	return p
}

func TestDataIsCopied(t *testing.T) {
	for _, n := range sizes {
		for _, waits := range []bool{true, false} {
			bubble(t, 1<<22, func(t *testing.T, b *box) {
				data := pattern(n)
				var c, d *call
				dst := append(make([]byte, 0, n+3), "abc"...)
				ask := func() {
					c = b.receive(t.Context())
					d = b.start(func(c *call) { c.m, c.err = b.ReceiveAppend(t.Context(), dst) })
				}
				if waits {
					ask()
				}
				for range 2 {
					b.Put(transport.Message{Type: transport.Binary, Data: data, Epoch: 5})
				}
				clear(data)
				if !waits {
					ask()
				}
				require.True(t, c.returned() && d.returned())
				require.Equal(t, transport.Message{Type: transport.Binary, Data: pattern(n), Epoch: 5}, c.m)
				assert.Equal(t, n, cap(c.m.Data), "exactly sized")
				require.Equal(t, transport.Message{Type: transport.Binary, Data: append([]byte("abc"), pattern(n)...), Epoch: 5}, d.m)
				assert.Same(t, &dst[0], &d.m.Data[0], "there was room")
			})
		}
	}
}

func TestReceiveAppendGrows(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("hello")
		m, err := b.ReceiveAppend(t.Context(), []byte("abc"))
		require.NoError(t, err)
		assert.Equal(t, "abchello", string(m.Data))
	})
}

// Keep takes memory only where the message is large and fills it.
func TestKeep(t *testing.T) {
	for _, test := range []struct {
		name        string
		n, capacity int
		kept        bool
	}{
		{"small", large - 1, large, false},
		{"large", large, large, true},
		{"half full", large, 2 * large, true},
		{"nearly empty", large, 2*large + 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, 1<<20, func(t *testing.T, b *box) {
				keep := func() bool {
					mem := &chunk.Chunk{B: append(make([]byte, 0, test.capacity), pattern(test.n)...)}
					next := b.Keep(transport.Message{Type: transport.Text, Data: mem.B, Epoch: 9}, mem)
					if next != nil {
						require.Same(t, mem, next)
						clear(mem.B)
					}
					return next == nil
				}
				assert.Equal(t, test.kept, keep())
				m, err := b.Receive(t.Context())
				require.NoError(t, err)
				require.Equal(t, transport.Message{Type: transport.Text, Data: pattern(test.n), Epoch: 9}, m)
				waiting := b.receive(t.Context())
				assert.False(t, keep(), "a receiver waits, who has a copy")
				b.Wake()
				require.True(t, waiting.returned())
				assert.Equal(t, pattern(test.n), waiting.m.Data)
				b.Close(errEnd)
				assert.False(t, keep())
			})
		})
	}
}

func TestAddLeavesTheWakeToWake(t *testing.T) {
	bubble(t, 2*(Overhead+1), func(t *testing.T, b *box) {
		add := func(s string) { b.Add(transport.Message{Data: []byte(s)}) }
		ctx, cancel := context.WithCancel(t.Context())
		first, second, third := b.receive(t.Context()), b.receive(ctx), b.receive(t.Context())
		add("a")
		add("b")
		add("c")
		first.waits()
		cancel() // it has its message already
		second.gets("b")
		first.waits()
		b.Wake()
		first.gets("a")
		third.gets("c")

		waiting := b.receive(t.Context())
		for _, s := range []string{"d", "e", "f"} {
			b.room(nil).hasRoom(true)
			add(s)
		}
		waiting.waits()
		reader := b.room(nil) // which has to wait, so it wakes first
		waiting.gets("d")
		reader.waits()
		b.receive(t.Context()).gets("e")
		reader.hasRoom(true)

		waiting = b.receive(t.Context())
		waiting.gets("f")
		waiting = b.receive(t.Context())
		b.Close(errEnd)
		waiting.fails(errEnd)
	})
}

// Who makes room may not have said so yet when the reader looks.
func TestReaderFindsRoomItself(t *testing.T) {
	bubble(t, 1, func(t *testing.T, b *box) {
		b.put("a")
		reader := b.room(nil)
		reader.waits()
		time.Sleep(time.Second)
		b.ready.taking.Lock()
		var m transport.Message
		b.ready.front, b.ready.back = b.ready.back, store{}
		b.ready.take(nil, false, &m)
		b.ready.taking.Unlock()
		b.Queue.room <- struct{}{} // a late signal
		reader.hasRoom(true)
		paused, resumed := b.Paused()
		assert.False(t, paused)
		assert.Equal(t, time.Now(), resumed)
	})
}

func TestAnEmptyQueueHoldsNothing(t *testing.T) {
	bubble(t, 1<<30, func(t *testing.T, b *box) {
		for range 2 {
			for _, n := range sizes {
				b.Put(transport.Message{Data: make([]byte, n)})
			}
			b.Hold()
			for _, n := range sizes {
				b.Put(transport.Message{Data: make([]byte, n)})
			}
			b.Release(false)
			b.Hold()
			b.put("a b c")
			b.Release(true)
			for range 2 * len(sizes) {
				_, err := b.Receive(t.Context())
				require.NoError(t, err)
			}
			for _, l := range []*lane{&b.ready, &b.held} {
				assert.Zero(t, l.front)
				assert.Zero(t, l.back)
			}
		}
	})
}

// What small messages take is not much more than what they count.
func TestBlocksAreFilled(t *testing.T) {
	for _, n := range []int{0, 1, 100, 1000, large - 1} {
		var s store
		counted, taken := 0, 0
		for counted < 1<<20 {
			s.push(transport.Message{Data: make([]byte, n)})
			counted += n + Overhead
		}
		for b := s.first; b != nil; b = b.next {
			taken += cap(b.mem.B)
		}
		assert.Less(t, taken, counted*5/4, "messages of %d bytes", n)
		s.clear()
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": ctx} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 128, 5000, 100_000} {
				q := New(1<<22, func() {})
				data := bytes.Repeat([]byte("x"), n)
				dst := make([]byte, 0, n)
				owned, borrowed := 0.0, 0.0
				count := func(f func()) float64 { return testing.AllocsPerRun(200, f) }
				put := func() {
					require.True(t, q.Room(nil))
					for range 10 {
						q.Put(transport.Message{Data: data})
					}
				}
				owned = count(func() {
					put()
					for range 10 {
						_, _ = q.Receive(ctx)
					}
				})
				borrowed = count(func() {
					put()
					for range 10 {
						_, _ = q.ReceiveAppend(ctx, dst)
					}
				})
				switch {
				case n == 0:
					assert.Zero(t, owned)
				case n < 100_000: // for those the garbage collector runs all the time
					assert.Equal(t, 10.0, owned, "of %d bytes", n)
				}
				assert.Zero(t, borrowed, "of %d bytes", n)
			}
		})
		t.Run(name+", waiting", func(t *testing.T) {
			q := New(1<<22, func() {})
			data := []byte(strings.Repeat("x", 128))
			dst := make([]byte, 0, 128)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					q.mu.Lock()
					waits, ended := q.ready.waiting.Len() > 0, q.ready.err != nil
					q.mu.Unlock()
					if ended {
						return
					}
					if waits {
						q.Put(transport.Message{Data: data})
					}
					runtime.Gosched()
				}
			}()
			assert.Equal(t, 1.0, testing.AllocsPerRun(500, func() { _, _ = q.Receive(ctx) }))
			assert.Zero(t, testing.AllocsPerRun(500, func() { _, _ = q.ReceiveAppend(ctx, dst) }))
			q.Close(errEnd)
			<-done
		})
	}
}
