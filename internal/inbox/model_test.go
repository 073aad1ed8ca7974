package inbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/internal/chunk"
	"github.com/holdfast-ws/holdfast/transport"
)

// numbered is a message that shows if a byte of it is wrong.
func numbered(n uint64, size int) transport.Message {
	d := make([]byte, size)
	for i := range d {
		d[i] = byte(n) + byte(i*13)
	}
	return transport.Message{Type: transport.MessageType(1 + n%2), Data: d, Epoch: n}
}

func intact(m transport.Message) bool {
	want := numbered(m.Epoch, len(m.Data))
	return m.Type == want.Type && bytes.Equal(m.Data, want.Data)
}

// asked is a call that waits in the model.
type asked struct {
	cancel context.CancelFunc
	done   bool
	m      transport.Message
	err    error
}

// modelLane is what a lane is to do, in slices.
type modelLane struct {
	msgs    []transport.Message
	waiting []*asked
	err     error
}

func (l *modelLane) put(m transport.Message, want map[*asked]any) {
	if len(l.waiting) > 0 {
		want[l.waiting[0]] = m
		l.waiting = l.waiting[1:]
		return
	}
	l.msgs = append(l.msgs, m)
}

func (l *modelLane) end(err error, want map[*asked]any) {
	if l.err != nil {
		return
	}
	l.err = err
	for _, a := range l.waiting {
		want[a] = err
	}
	l.waiting = nil
}

func (l *modelLane) size() (size int) {
	for _, m := range l.msgs {
		size += len(m.Data) + Overhead
	}
	return size
}

// TestLikeSlices holds the queue beside two slices.
func TestLikeSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			q := New(1<<30, func() {})
			var ready, held modelLane
			held.err = errNotHeld
			holding := false
			next := uint64(0)
			all := []*asked{}
			want := map[*asked]any{} // what a call returns: a message or an error
			lane := func() *modelLane {
				if holding {
					return &held
				}
				return &ready
			}
			message := func(t *rapid.T) transport.Message {
				next++
				m := numbered(next, rapid.OneOf(rapid.IntRange(0, 300), rapid.SampledFrom(sizes[:11])).Draw(t, "size"))
				if ready.err == nil {
					lane().put(m, want)
				}
				return transport.Message{Type: m.Type, Data: slices.Clone(m.Data), Epoch: m.Epoch}
			}
			ask := func(l *modelLane, f func(ctx context.Context) (transport.Message, error)) {
				ctx, cancel := context.WithCancel(t.Context())
				a := &asked{cancel: cancel}
				all = append(all, a)
				switch {
				case len(l.msgs) > 0:
					want[a] = l.msgs[0]
					l.msgs = l.msgs[1:]
				case l.err != nil:
					want[a] = l.err
				default:
					l.waiting = append(l.waiting, a)
				}
				go func() {
					a.m, a.err = f(ctx)
					a.done = true
				}()
				synctest.Wait()
			}
			several := func(f func(t *rapid.T)) func(t *rapid.T) {
				return func(t *rapid.T) {
					for range rapid.IntRange(1, 40).Draw(t, "times") {
						f(t)
					}
				}
			}
			t.Repeat(map[string]func(*rapid.T){
				"Put": several(func(t *rapid.T) {
					m := message(t)
					q.Put(m)
					clear(m.Data)
				}),
				"Add": several(func(t *rapid.T) {
					m := message(t)
					q.Add(m)
					clear(m.Data)
				}),
				"Keep": several(func(t *rapid.T) {
					m := message(t)
					mem := chunk.Get(len(m.Data))
					mem.B = append(mem.B, m.Data...)
					m.Data = mem.B
					if next := q.Keep(m, mem); next != nil {
						clear(mem.B)
						next.Put()
					}
				}),
				"Receive": several(func(*rapid.T) { ask(&ready, q.Receive) }),
				"ReceiveAppend": several(func(*rapid.T) {
					ask(&ready, func(ctx context.Context) (transport.Message, error) { return q.ReceiveAppend(ctx, nil) })
				}),
				"TakeHeld": several(func(*rapid.T) { ask(&held, q.TakeHeld) }),
				"cancel": func(t *rapid.T) {
					for _, l := range []*modelLane{&ready, &held} {
						if len(l.waiting) > 0 {
							i := rapid.IntRange(0, len(l.waiting)-1).Draw(t, "which")
							want[l.waiting[i]] = context.Canceled
							l.waiting[i].cancel()
							l.waiting = slices.Delete(l.waiting, i, i+1)
						}
					}
				},
				"Hold": func(*rapid.T) {
					held.end(errNotHeld, want)
					holding, held = true, modelLane{}
					q.Hold()
				},
				"EndHeld": func(*rapid.T) {
					if holding {
						held.end(errLink, want)
					}
					q.EndHeld(errLink)
				},
				"Release": func(t *rapid.T) {
					forget := rapid.Bool().Draw(t, "forget")
					for _, m := range held.msgs {
						if !forget && ready.err == nil {
							ready.put(m, want)
						}
					}
					held.end(errNotHeld, want)
					holding, held = false, modelLane{err: held.err}
					q.Release(forget)
				},
				"Close": func(t *rapid.T) {
					if rapid.IntRange(0, 20).Draw(t, "rarely") == 0 {
						ready.end(errEnd, want)
						q.Close(errEnd)
					}
				},
				"": func(t *rapid.T) {
					q.Wake()
					synctest.Wait()
					require.Equal(t, lane().size(), q.Held())
					s := q.Stats()
					require.Equal(t, len(ready.msgs)+len(held.msgs), s.Queued)
					require.EqualValues(t, ready.size()+held.size()-s.Queued*Overhead, s.QueuedBytes)
					for _, a := range all {
						w, returned := want[a]
						require.Equal(t, returned, a.done)
						switch w := w.(type) {
						case error:
							require.Equal(t, w, a.err)
							require.Zero(t, a.m)
						case transport.Message:
							require.NoError(t, a.err)
							require.Equal(t, w.Epoch, a.m.Epoch)
							require.Len(t, a.m.Data, len(w.Data))
							require.True(t, intact(a.m))
						}
					}
					all = slices.DeleteFunc(all, func(a *asked) bool { return a.done })
				},
			})
			for _, a := range all {
				a.cancel()
			}
			synctest.Wait()
		})
	})
}

// TestStress has many receivers at a full queue, some of whom give up, and a
// supervisor that holds and releases. No message is lost, twice, damaged or out of
// order.
func TestStress(t *testing.T) {
	const messages, receivers = 10_000, 4
	for _, n := range []int{1, receivers} {
		var pauses atomic.Int32
		q := New(64<<10, func() { pauses.Add(1) })
		var seen [messages]atomic.Bool
		check := func(m transport.Message, err error, last *uint64) bool {
			if err != nil {
				return assert.ErrorIs(t, err, context.Canceled)
			}
			ok := assert.Greater(t, m.Epoch, *last) && assert.True(t, intact(m), "message %d", m.Epoch)
			*last = m.Epoch
			return ok && assert.False(t, seen[m.Epoch-1].Swap(true), "twice")
		}
		var wg, told sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				var last uint64
				var buf []byte
				for k := 0; ; k++ {
					ctx, cancel := context.WithCancel(context.Background())
					if k%3 == i%3 {
						go cancel()
					}
					var m transport.Message
					var err error
					if k%2 == 0 {
						m, err = q.Receive(ctx)
					} else {
						m, err = q.ReceiveAppend(ctx, buf[:0])
						buf = m.Data
					}
					cancel()
					if err == errEnd || !check(m, err, &last) {
						return
					}
				}
			})
		}
		stop := make(chan struct{})
		told.Go(func() { // looks at the size, and is told of it
			for {
				heard := make(chan struct{})
				if !q.NotifyAt(16<<10, func() { close(heard) }) {
					select {
					case <-heard:
					case <-stop:
						return
					}
				}
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		})
		told.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					q.Hold()
					q.Stats()
					q.Release(false)
					runtime.Gosched()
				}
			}
		})
		for i := range messages {
			if !assert.True(t, q.Room(nil)) {
				break
			}
			size := binary.LittleEndian.Uint16([]byte{byte(i * 31), byte(i%40) / 8})
			m := numbered(uint64(i+1), int(size))
			switch i % 3 {
			case 0:
				q.Put(m)
			case 1:
				q.Add(m)
			default:
				mem := chunk.Get(len(m.Data))
				mem.B = append(mem.B, m.Data...)
				m.Data = mem.B
				if next := q.Keep(m, mem); next != nil {
					next.Put()
				}
			}
		}
		q.Wake()
		close(stop)
		told.Wait()
		q.Close(errEnd)
		wg.Wait()
		for i := range seen {
			if !assert.True(t, seen[i].Load(), "message %d", i+1) {
				break
			}
		}
	}
}
