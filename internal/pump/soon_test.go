package pump

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// tap is a link that takes at once what the test lets it.
type tap struct {
	transport.Link

	mu     sync.Mutex
	shut   bool // WriteSoon takes nothing
	slow   bool // WriteSoon takes all, and is behind
	err    error
	soon   []string // written without waiting
	waited []string // by Write
	begun  int      // calls of Write
	pings  int
	gate   chan struct{} // Write and Ping wait for it, if not nil
}

func (p *tap) WritesSoon() bool { return true }

func (p *tap) WriteSoon(msgs []transport.Message) (n int, behind bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return 0, true, nil
	}
	for _, m := range msgs {
		p.soon = append(p.soon, string(m.Data))
	}
	return len(msgs), p.slow, p.err
}

func (p *tap) Write(msgs []transport.Message) (int, error) {
	if p.gate != nil {
		<-p.gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun++
	if p.err != nil {
		return 0, p.err
	}
	for _, m := range msgs {
		p.waited = append(p.waited, string(m.Data))
	}
	return len(msgs), nil
}

func (p *tap) Ping(uint64) error {
	if p.gate != nil {
		<-p.gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pings++
	return nil
}

func push(t *testing.T, q *outbox.Queue, text string) {
	t.Helper()
	require.NoError(t, q.Push(t.Context(), transport.Text, []byte(text), nil))
}

// outlet is a queue that a plain writer writes to a tap.
func outlet(t *testing.T, f func(p *tap, q *outbox.Queue, w *outbox.Writer, failed chan error)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		p, failed := &tap{}, make(chan error, 1)
		q := outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 1000}, func(int, error) {})
		w := PlainWriter(p, q, Pinger{}, func(err error) { failed <- err })
		q.Use(w)
		time.Sleep(time.Millisecond) // it is quiet from here on
		f(p, q, w, failed)
		w.Stop()
		w.Wait()
	})
}

func TestALoneMessageIsWrittenByItsSender(t *testing.T) {
	outlet(t, func(p *tap, q *outbox.Queue, _ *outbox.Writer, _ chan error) {
		push(t, q, "a")
		assert.Equal(t, []string{"a"}, p.soon, "when Push returns")
		assert.Zero(t, p.begun)
		assert.Equal(t, uint64(1), q.Stats().Sent)
	})
}

func TestPushDoesNotWaitForTheNetwork(t *testing.T) {
	outlet(t, func(p *tap, q *outbox.Queue, _ *outbox.Writer, _ chan error) {
		p.gate, p.shut = make(chan struct{}), true
		push(t, q, "a") // returns, though nothing is written
		push(t, q, "b")
		synctest.Wait()
		assert.Empty(t, p.waited)
		close(p.gate)
		synctest.Wait()
		assert.Equal(t, []string{"a", "b"}, p.waited)
		assert.Empty(t, p.soon)
	})
}

func TestTheRestGoesBeforeWhatFollows(t *testing.T) {
	outlet(t, func(p *tap, q *outbox.Queue, _ *outbox.Writer, _ chan error) {
		p.gate, p.slow = make(chan struct{}), true
		push(t, q, "a")
		assert.Equal(t, []string{"a"}, p.soon)
		push(t, q, "b")
		close(p.gate)
		synctest.Wait()
		assert.Equal(t, []string{"a"}, p.soon)
		assert.Equal(t, []string{"b"}, p.waited)
		assert.Equal(t, 2, p.begun, "one for the rest of a")
	})
}

func TestTheRestIsWrittenThoughTheWriterIsStopped(t *testing.T) {
	outlet(t, func(p *tap, q *outbox.Queue, w *outbox.Writer, _ chan error) {
		p.gate, p.slow = make(chan struct{}), true
		push(t, q, "a")
		w.Stop()
		close(p.gate)
		w.Wait()
		assert.Equal(t, 1, p.begun)
		assert.Empty(t, p.waited)
	})
}

func TestAPingThatIsDueFollows(t *testing.T) {
	outlet(t, func(p *tap, q *outbox.Queue, _ *outbox.Writer, _ chan error) {
		waiter := outbox.NewWaiter()
		require.NoError(t, q.Push(t.Context(), transport.Text, []byte("a"), waiter)) // SendSync
		synctest.Wait()
		assert.Equal(t, []string{"a"}, p.soon)
		assert.Equal(t, 1, p.pings)
	})
}

func TestAnErrorOfAWriteThatDidNotWait(t *testing.T) {
	outlet(t, func(p *tap, q *outbox.Queue, _ *outbox.Writer, failed chan error) {
		p.err = errors.New("reset")
		push(t, q, "a")
		assert.Equal(t, p.err, <-failed)
		assert.Equal(t, 1, q.LinkDown(p.err), "it may have left")
	})
}

// Frames that have been taken from the session are written, on whichever way.
func TestABatchThatCannotLeaveAtOnceLeavesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tap := range map[string]*tap{"at once": {}, "later": {shut: true}, "in two": {slow: true}} {
			s := newSide(t, setup{})
			at, err := s.End.Attach(wire.WelcomePayload{RecvNext: 1, Window: 1 << 20}, false)
			require.NoError(t, err)
			s.Flow()
			w := at.Writer(tap, func(error) {})
			s.out.Use(w)
			for range 3 {
				time.Sleep(time.Millisecond)
				push(t, s.out, "message")
			}
			synctest.Wait()
			w.Stop()
			w.Wait()
			var seen []uint64
			for _, batch := range append(tap.soon, tap.waited...) {
				for rest := []byte(batch); len(rest) > 0; {
					f, n, err := wire.Parse(rest)
					require.NoError(t, err)
					if rest = rest[n:]; f.Type == wire.Data {
						seen = append(seen, f.Seq)
					}
				}
			}
			assert.ElementsMatch(t, []uint64{1, 2, 3}, seen, name)
			assert.Equal(t, name != "later", len(tap.waited) == 1, "%s: ATTACH alone", name)
			s.End.Forget()
		}
	})
}
