package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

const pongTimeout = 10 * time.Second

var (
	errNoPong = errors.New("no pong")
	errLink   = errors.New("the link is lost")
	errEnd    = errors.New("the end")
)

// box is a Queue with the test as its writer, inside a bubble.
type box struct {
	*Queue
	t *testing.T

	heard sync.Mutex
	drops []string // what onDrop heard: "n cause"
}

// bubble runs f with a Queue in a bubble: what would block for ever, or leaves
// a goroutine behind, fails the test. Limits that are 0 are as good as none.
func bubble(t *testing.T, l Limits, f func(t *testing.T, b *box)) {
	t.Helper()
	if l.MaxBytes == 0 {
		l.MaxBytes = 1 << 30
	}
	if l.MaxMessages == 0 {
		l.MaxMessages = 1 << 20
	}
	synctest.Test(t, func(t *testing.T) {
		b := &box{t: t}
		b.Queue = New(l, func(n int, err error) {
			b.heard.Lock()
			defer b.heard.Unlock()
			b.drops = append(b.drops, fmt.Sprintf("%d %v", n, err))
		})
		defer b.Close(errEnd)
		f(t, b)
	})
}

func text(s string) transport.Message {
	return transport.Message{Type: transport.Text, Data: []byte(s)}
}

func (b *box) Push(ctx context.Context, m transport.Message, w *Waiter) error {
	return b.Queue.Push(ctx, m.Type, m.Data, w)
}

func texts(group []transport.Message) string {
	var all []string
	for _, m := range group {
		all = append(all, string(m.Data))
	}
	return strings.Join(all, " ")
}

// push accepts messages, given as words.
func (b *box) push(words string) {
	b.t.Helper()
	for _, s := range strings.Fields(words) {
		require.NoError(b.t, b.Push(b.t.Context(), text(s), nil))
	}
}

// take takes a group and returns its words.
func (b *box) take() string {
	b.t.Helper()
	group, ok := b.Take(nil)
	require.True(b.t, ok)
	return texts(group)
}

// write takes a group and hands all of it to the link.
func (b *box) write() string {
	b.t.Helper()
	group, ok := b.Take(nil)
	require.True(b.t, ok)
	words := texts(group)
	b.Written(len(group))
	return words
}

// idle says that the writer has nothing to do.
func (b *box) idle() bool {
	stop := make(chan struct{})
	take := b.waiting(stop)
	synctest.Wait()
	waits := !isClosed(take)
	close(stop)
	<-take
	return waits
}

// waiting is a writer that waits in Take; what it returns is closed when Take
// has returned.
func (b *box) waiting(stop chan struct{}) <-chan struct{} {
	returned := make(chan struct{})
	go func() {
		_, _ = b.Take(stop)
		close(returned)
	}()
	return returned
}

// wakes asserts that a writer that waits in Take hears of what f does.
func (b *box) wakes(f func()) {
	b.t.Helper()
	stop := make(chan struct{})
	take := b.waiting(stop)
	synctest.Wait()
	assert.False(b.t, isClosed(take), "there is nothing to do yet")
	f()
	synctest.Wait()
	assert.True(b.t, isClosed(take), "the writer was not woken")
	close(stop)
	<-take
}

// ping sends the ping that is due.
func (b *box) ping() uint64 {
	b.t.Helper()
	id, due := b.NextPing(false)
	require.True(b.t, due, "a ping is due")
	return id
}

func (b *box) noPing() {
	b.t.Helper()
	_, due := b.NextPing(false)
	require.False(b.t, due, "no ping is due")
}

// prove has the peer prove what is written.
func (b *box) prove() {
	b.t.Helper()
	b.RequestPing()
	_, ok := b.Pong(b.ping())
	require.True(b.t, ok)
}

// dropped returns what onDrop heard.
func (b *box) dropped() []string {
	b.heard.Lock()
	defer b.heard.Unlock()
	return slices.Clone(b.drops)
}

// stats asserts what the Queue holds: queued, their bytes, unacknowledged.
func (b *box) stats(queued int, bytes int64, unacknowledged int) {
	b.t.Helper()
	s := b.Stats()
	assert.Equal(b.t, [3]int64{int64(queued), bytes, int64(unacknowledged)},
		[3]int64{int64(s.Queued), s.QueuedBytes, int64(s.Unacknowledged)}, "queued, bytes, unacknowledged")
}

// call is a call in a goroutine of its own.
type call struct {
	t    *testing.T
	done chan struct{}
	err  error
}

func (b *box) start(f func() error) *call {
	c := &call{t: b.t, done: make(chan struct{})}
	go func() {
		c.err = f()
		close(c.done)
	}()
	synctest.Wait()
	return c
}

// send is Push, which may block; sync is Push and Wait, flush Flush and Wait.
func (b *box) send(ctx context.Context, s string) *call {
	return b.start(func() error { return b.Push(ctx, text(s), nil) })
}

func (b *box) sync(ctx context.Context, s string) *call {
	return b.start(func() error {
		w := NewWaiter()
		if err := b.Push(ctx, text(s), w); err != nil {
			return err
		}
		return b.Wait(ctx, w, pongTimeout, errNoPong)
	})
}

func (b *box) flush(ctx context.Context) *call {
	return b.start(func() error { return b.Wait(ctx, b.Flush(), pongTimeout, errNoPong) })
}

func (c *call) waits() {
	c.t.Helper()
	synctest.Wait()
	require.False(c.t, isClosed(c.done), "it has returned")
}

// returns waits for the call and returns its error.
func (c *call) returns() error {
	c.t.Helper()
	synctest.Wait()
	require.True(c.t, isClosed(c.done), "it has not returned")
	return c.err
}

func (c *call) succeeds() {
	c.t.Helper()
	require.NoError(c.t, c.returns())
}

// loses asserts that the call returned a Loss.
func (c *call) loses(want Loss) {
	c.t.Helper()
	var loss *Loss
	require.ErrorAs(c.t, c.returns(), &loss)
	assert.Equal(c.t, want, *loss)
}
