package outbox

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// lane is a writer that writes to a slice.
type lane struct {
	*Writer
	q     *Queue
	gate  chan struct{} // each write waits for it, if not nil
	mu    sync.Mutex
	wrote []string
	fails error
	busy  atomic.Int32
	errs  []error
}

func newLane(t *testing.T, q *Queue) *lane {
	l := &lane{q: q}
	l.Writer = NewWriter(func(bool) (bool, error) {
		assert.EqualValues(t, 1, l.busy.Add(1), "one at a time")
		defer l.busy.Add(-1)
		for !l.Stopping() {
			group, due := q.TakeNow()
			if !due {
				return false, nil
			}
			if l.gate != nil {
				<-l.gate
			}
			l.mu.Lock()
			for _, m := range group {
				l.wrote = append(l.wrote, string(m.Data))
			}
			err := l.fails
			l.mu.Unlock()
			q.WrittenBy(l.Writer, len(group))
			if err != nil {
				return false, err
			}
		}
		return false, nil
	}, false, func(err error) { l.errs = append(l.errs, err) })
	return l
}

func TestWriterHasAGoroutineWhileThereIsWork(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		before := runtime.NumGoroutine()
		l := newLane(t, b.Queue)
		b.Use(l.Writer)
		synctest.Wait()
		assert.Equal(t, []string{"a"}, l.wrote, "what was there")
		b.push("b c")
		synctest.Wait()
		assert.Equal(t, []string{"a", "b", "c"}, l.wrote)
		assert.Equal(t, before, runtime.NumGoroutine())
		l.Stop()
		l.Wait()
		b.push("d")
		synctest.Wait()
		assert.Len(t, l.wrote, 3, "it is stopped")
		b.Leave(l.Writer)
		assert.Equal(t, "d", b.write())
	})
}

func TestWriterStopsAfterWhatItIsWriting(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		l := newLane(t, b.Queue)
		l.gate = make(chan struct{})
		b.Use(l.Writer)
		b.push("a")
		synctest.Wait()
		b.push("b")
		l.Stop()
		l.Stop()
		wait := b.start(func() error { l.Wait(); return nil })
		wait.waits()
		close(l.gate)
		wait.succeeds()
		assert.Equal(t, []string{"a"}, l.wrote)
		b.stats(1, 1, 1)
	})
}

func TestWriterEndsWithAnError(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		l := newLane(t, b.Queue)
		l.fails = errLink
		b.Use(l.Writer)
		b.push("a")
		synctest.Wait()
		l.Wait() // without Stop
		b.push("b")
		synctest.Wait()
		assert.Equal(t, []error{errLink}, l.errs)
		assert.Equal(t, []string{"a"}, l.wrote)
		l.Stop()
		l.Wait()
	})
}

// A writer that cannot be joined changes nothing that comes after its link.
func TestWriterThatComesBackLate(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			late := newLane(t, b.Queue)
			late.gate = make(chan struct{})
			b.Use(late.Writer)
			b.push("a b")
			synctest.Wait() // "a" or both are in its hands
			late.Stop()
			lost := b.LinkDown(errLink)
			next := newLane(t, b.Queue)
			b.Use(next.Writer)
			b.push("c")
			synctest.Wait()
			close(late.gate)
			late.Wait()
			synctest.Wait()
			if keep {
				assert.Zero(t, lost)
				assert.Equal(t, []string{"a", "b", "c"}, next.wrote)
			} else {
				assert.Equal(t, 3-len(next.wrote), lost)
			}
			assert.Subset(t, []string{"a", "b"}, late.wrote)
			assert.Equal(t, "c", next.wrote[len(next.wrote)-1])
			b.stats(0, 0, len(next.wrote))
		})
	}
}

// No wake is lost, and nothing is written twice, whoever sends.
func TestWriterUnderManySenders(t *testing.T) {
	q := New(Limits{MaxBytes: 1 << 20, MaxMessages: 100}, func(int, error) {})
	l := newLane(t, q)
	q.Use(l.Writer)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if err := q.Push(t.Context(), transport.Text, []byte("x"), nil); err != nil {
					assert.NoError(t, err)
					return
				}
			}
		})
	}
	wg.Wait()
	q.BeginClose(errEnd)
	<-q.Drained()
	l.Stop()
	l.Wait()
	require.Len(t, l.wrote, 16000)
	assert.Equal(t, Left{MaybeSent: 16000}, q.Close(errors.New("over")))
}

func TestPushAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool loses things under the race detector")
	}
	for _, keep := range []bool{false, true} {
		q := New(Limits{MaxBytes: 1 << 20, MaxMessages: 1 << 20, Keep: keep}, func(int, error) {})
		data := make([]byte, 128)
		ctx := t.Context()
		round := func() {
			for range 500 {
				_ = q.Push(ctx, transport.Text, data, nil)
			}
			group, _ := q.TakeNow()
			q.Written(len(group))
			q.RequestPing()
			id, _ := q.NextPing(false)
			q.Pong(id)
		}
		round()
		assert.LessOrEqual(t, testing.AllocsPerRun(1000, round), 3.0, "of 500 messages")
		q.Close(errEnd)
	}
}
