package pump

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

var errBroken = errors.New("interrupted")

// feed is a link whose messages come in parts, as the test gives them.
type feed struct {
	transport.Link
	reader *Reader

	mu      sync.Mutex
	parts   []part
	end     error
	broken  bool
	changed chan struct{}
	reading bool
	helped  int // messages read by a receiver
	own     int // and by Run
}

type part struct {
	data []byte
	last bool
}

func newFeed() *feed { return &feed{changed: make(chan struct{})} }

// change does something that whoever waits is to see.
func (f *feed) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) put(texts ...string) {
	f.change(func() {
		for _, s := range texts {
			f.parts = append(f.parts, part{[]byte(s), true})
		}
	})
}

func (f *feed) putPart(s string, last bool) {
	f.change(func() { f.parts = append(f.parts, part{[]byte(s), last}) })
}

func (f *feed) Interruptible() bool { return true }
func (f *feed) fail(err error)      { f.change(func() { f.end = err }) }
func (f *feed) Interrupt()          { f.change(func() { f.broken = true }) }

func (f *feed) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = false
}

func (f *feed) Interrupted(err error) bool { return errors.Is(err, errBroken) }

func (f *feed) Peek() (size int, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.parts) == 0 {
		return 0, f.end != nil
	}
	return max(1, len(f.parts[0].data)), f.parts[0].last
}

// wait waits for a part, with f.mu held.
func (f *feed) wait() error {
	for len(f.parts) == 0 {
		switch {
		case f.broken:
			return errBroken
		case f.end != nil:
			return f.end
		}
		changed := f.changed
		f.mu.Unlock()
		<-changed
		f.mu.Lock()
	}
	return nil
}

// enter notices two that read at the same time.
func (f *feed) enter() {
	if f.reading {
		panic("two read the link")
	}
	f.reading = true
}

func (f *feed) Await() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter()
	_ = f.wait()
	f.reading = false
	return true
}

func (f *feed) Read(dst []byte) (transport.MessageType, []byte, error) {
	f.reader.mu.Lock()
	helping := f.reader.helping
	f.reader.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter()
	defer func() { f.reading = false }()
	for {
		if err := f.wait(); err != nil {
			return 0, dst, err
		}
		p := f.parts[0]
		f.parts = f.parts[1:]
		if dst = append(dst, p.data...); p.last {
			if helping {
				f.helped++
			} else {
				f.own++
			}
			return transport.Text, dst, nil
		}
	}
}

func (f *feed) by() (receivers, run int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.helped, f.own
}

// desk is a feed, its queue, and Run at work.
type desk struct {
	*feed
	in   *inbox.Queue
	run  *call
	stop chan struct{}
}

// newDesk is for a bubble. What is running at its end has to end by itself.
func newDesk(t *testing.T) *desk {
	d := &desk{feed: newFeed(), in: inbox.New(1<<20, func() {}), stop: make(chan struct{})}
	d.reader = NewPlainReader(d.feed, d.in, 1, d.stop)
	d.in.Use(d.reader)
	d.run = start(t, d.reader.Run)
	return d
}

func (d *desk) receive(ctx context.Context, t *testing.T, want string) *call {
	return start(t, func() error {
		m, err := d.in.Receive(ctx)
		if err == nil {
			assert.Equal(t, want, string(m.Data))
		}
		return err
	})
}

// lend makes Run lend the link: a message has come alone to who waited.
func (d *desk) lend(t *testing.T) {
	t.Helper()
	first := d.receive(t.Context(), t, "first")
	first.waits()
	d.put("first")
	require.NoError(t, first.returns())
}

func (d *desk) finish(t *testing.T) {
	t.Helper()
	d.in.Close(errEnd)
	d.fail(errEnd)
	time.Sleep(2 * grace) // it may be lent
	require.ErrorIs(t, d.run.returns(), errEnd)
}

func turns(t *testing.T, f func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		f(t, d)
		d.finish(t)
	})
}

func TestAReceiverReadsWhereMessagesComeOneAtATime(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		for range 3 {
			next := d.receive(t.Context(), t, "next")
			next.waits()
			d.put("next")
			require.NoError(t, next.returns())
		}
		receivers, run := d.by()
		assert.Equal(t, 3, receivers)
		assert.Equal(t, 1, run)
	})
}

func TestRunReadsOnWhenNoReceiverHasComeForAWhile(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		d.put("late")
		time.Sleep(grace - 1)
		synctest.Wait()
		assert.Zero(t, d.in.Stats().Queued, "a receiver is expected")
		time.Sleep(1)
		synctest.Wait()
		assert.Equal(t, 1, d.in.Stats().Queued)
		require.NoError(t, d.receive(t.Context(), t, "late").returns())
		_, run := d.by()
		assert.Equal(t, 2, run)
	})
}

func TestAReceiverMayWaitForLong(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		next := d.receive(t.Context(), t, "next")
		time.Sleep(time.Hour)
		next.waits()
		d.put("next")
		require.NoError(t, next.returns())
		receivers, _ := d.by()
		assert.Equal(t, 1, receivers)
	})
}

// at checks that no time passes in f.
func at(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	assert.Zero(t, time.Since(began), "nobody waits for the grace to be over")
}

func TestKickHasTheLinkReadAtOnce(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		d.put("pong")
		at(t, func() {
			d.in.Kick()
			synctest.Wait()
			assert.Equal(t, 1, d.in.Stats().Queued)
		})
	})
}

func TestASecondReceiverDoesNotWaitForTheFirst(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		one, two := d.receive(t.Context(), t, "a"), (*call)(nil)
		one.waits()
		two = d.receive(t.Context(), t, "b")
		two.waits()
		at(t, func() {
			d.put("a")
			require.NoError(t, one.returns())
			d.put("b")
			require.NoError(t, two.returns())
		})
	})
}

func TestWhatComesTogetherIsReadByRun(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		one := d.receive(t.Context(), t, "a")
		one.waits()
		at(t, func() {
			d.put("a", "b", "c")
			require.NoError(t, one.returns())
			synctest.Wait()
			assert.Equal(t, 2, d.in.Stats().Queued)
		})
		require.NoError(t, d.receive(t.Context(), t, "b").returns())
		require.NoError(t, d.receive(t.Context(), t, "c").returns())
		d.lend(t)
		next := d.receive(t.Context(), t, "d")
		next.waits()
		at(t, func() {
			d.put("d", "e")
			require.NoError(t, next.returns())
			synctest.Wait()
			assert.Equal(t, 1, d.in.Stats().Queued, "more is at hand: Run goes on")
		})
	})
}

func TestLargeMessagesAreReadByRun(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		large := string(make([]byte, maxHelped+1))
		for range 3 {
			next := d.receive(t.Context(), t, large)
			next.waits()
			d.put(large)
			require.NoError(t, next.returns())
		}
		receivers, _ := d.by()
		assert.Zero(t, receivers)
	})
}

func TestAContextEndsInTheMiddleOfAMessage(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		ctx, cancel := context.WithCancel(t.Context())
		next := d.receive(ctx, t, "")
		next.waits()
		d.putPart("in two ", false)
		next.waits()
		cancel()
		at(t, func() { require.ErrorIs(t, next.returns(), context.Canceled) })
		d.putPart("parts", true)
		at(t, func() { require.NoError(t, d.receive(t.Context(), t, "in two parts").returns()) })
	})
}

func TestAContextEndsBetweenMessages(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			next := d.receive(ctx, t, "")
			next.waits()
			cancel()
			require.ErrorIs(t, next.returns(), context.Canceled)
		}
		next := d.receive(t.Context(), t, "next")
		next.waits()
		d.put("next")
		require.NoError(t, next.returns())
	})
}

func TestAnErrorThatAReceiverMeetsIsRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.lend(t)
		next := d.receive(t.Context(), t, "")
		next.waits()
		d.fail(errSourceEnd)
		at(t, func() { require.ErrorIs(t, d.run.returns(), errSourceEnd) })
		next.waits() // for another link
		d.in.Put(transport.Message{Type: transport.Text, Data: nil})
		require.NoError(t, next.returns())
	})
}

// What comes by another link wakes a receiver that reads this one.
func TestAReceiverIsInterruptedByWhatComesOtherwise(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		next := d.receive(t.Context(), t, "from elsewhere")
		next.waits()
		at(t, func() {
			d.in.Put(transport.Message{Type: transport.Text, Data: []byte("from elsewhere")})
			require.NoError(t, next.returns())
		})
		again := d.receive(t.Context(), t, "here")
		again.waits()
		d.put("here")
		require.NoError(t, again.returns())
	})
}

func TestRunReadsForWhoCloses(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.lend(t)
		d.put("before the end")
		at(t, func() {
			close(d.stop)
			synctest.Wait()
			assert.Equal(t, 1, d.in.Stats().Queued)
		})
		last := d.receive(t.Context(), t, "before the end")
		require.NoError(t, last.returns())
	})
}

func TestALinkThatIsNotInUseIsNotLent(t *testing.T) {
	turns(t, func(t *testing.T, d *desk) {
		d.in.Leave(d.reader)
		for range 3 {
			next := d.receive(t.Context(), t, "next")
			next.waits()
			at(t, func() {
				d.put("next")
				require.NoError(t, next.returns())
			})
		}
		receivers, run := d.by()
		assert.Zero(t, receivers)
		assert.Equal(t, 3, run)
	})
}

// TestTurnsInRandomOrder: receivers with contexts that end, messages alone, in
// bursts and in parts, and kicks.
func TestTurnsInRandomOrder(t *testing.T) {
	const messages = 3000
	for _, receivers := range []int{1, 2, 4} {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		f := newFeed()
		in := inbox.New(1<<20, func() {})
		f.reader = NewPlainReader(f, in, 1, nil)
		in.Use(f.reader)
		ended := make(chan error, 1)
		go func() { ended <- f.reader.Run() }()
		got := make(chan uint64, messages)
		var wg sync.WaitGroup
		for i := range receivers {
			random := rand.New(rand.NewPCG(seed, uint64(i+2)))
			wg.Go(func() {
				var last uint64
				for {
					ctx, cancel := context.WithCancel(context.Background())
					if random.IntN(4) == 0 {
						go func() {
							runtime.Gosched()
							cancel()
						}()
					}
					m, err := in.Receive(ctx)
					cancel()
					switch {
					case err == nil:
						n := binary.BigEndian.Uint64(m.Data)
						assert.Greater(t, n, last, "seed %d: in order for each receiver", seed)
						last = n
						got <- n
					case !errors.Is(err, context.Canceled):
						return
					}
				}
			})
		}
		seen := map[uint64]bool{}
		take := func() {
			n := <-got
			assert.False(t, seen[n], "seed %d: %d came twice", seed, n)
			seen[n] = true
		}
		for sent := 0; sent < messages; {
			n := 1
			if random.IntN(5) == 0 {
				n = 1 + random.IntN(20)
			}
			for range n {
				sent++
				p := binary.BigEndian.AppendUint64(nil, uint64(sent))
				if random.IntN(4) == 0 {
					f.putPart(string(p[:3]), false)
					runtime.Gosched()
					p = p[3:]
				}
				f.putPart(string(p), true)
			}
			if random.IntN(10) == 0 {
				in.Kick()
			}
			for len(seen) < sent && random.IntN(8) > 0 {
				take()
			}
		}
		for len(seen) < messages {
			take()
		}
		f.fail(errEnd)
		assert.ErrorIs(t, <-ended, errEnd)
		in.Close(errEnd)
		wg.Wait()
		if helped, own := f.by(); receivers == 1 {
			assert.Positive(t, helped)
			assert.Positive(t, own)
		}
	}
}
