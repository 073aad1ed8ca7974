package pump

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

var errEnd = errors.New("the end")

// testingT is what *testing.T, *rapid.T and *testing.B share.
type testingT interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
}

// setup is how a side is made; zero values are ample.
type setup struct {
	limits      outbox.Limits
	window      int
	maxMessage  int // taken
	peerMessage int // taken by the peer
}

// side is an End with its queues and what it has told.
type side struct {
	*End
	t     testingT
	out   *outbox.Queue
	in    *inbox.Queue
	setup setup

	beforeDropped func() // called between a drop and End.Dropped, if not nil

	mu      sync.Mutex
	gaps    []gap
	pongs   int
	goAways []uint64
	drops   int
}

type gap struct{ count, epoch uint64 }

func newSide(t testingT, s setup) *side {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&s.limits.MaxBytes, 1<<30)
	def(&s.limits.MaxMessages, 1<<20)
	def(&s.window, 1<<20)
	def(&s.maxMessage, 1<<20)
	def(&s.peerMessage, math.MaxInt)
	d := &side{t: t, setup: s}
	var made sync.Mutex // New may drop, too
	made.Lock()
	d.out = outbox.New(s.limits, func(n int, _ error) {
		if made.TryLock() {
			made.Unlock()
			if d.beforeDropped != nil {
				d.beforeDropped()
			}
			d.Dropped()
		}
		d.mu.Lock()
		d.drops += n
		d.mu.Unlock()
	})
	d.in = inbox.New(s.window, func() {})
	d.End = New(Config{
		Session: session.Config{MaxMessage: int64(s.maxMessage), Window: int64(s.window)},
		Out:     d.out, In: d.in, MaxMessage: s.peerMessage, Epoch: 1,
		OnGap: func(count, epoch uint64) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.gaps = append(d.gaps, gap{count, epoch})
		},
		OnPong: func(time.Duration) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.pongs++
		},
		OnGoAway: func(reason uint64) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.goAways = append(d.goAways, reason)
		},
	})
	made.Unlock()
	return d
}

// end ends the queues, so that whoever waits goes.
func (d *side) end() {
	d.out.Close(errEnd)
	d.in.Close(errEnd)
}

// world is a client and a server, and the links between them.
type world struct {
	t              testingT
	client, server *side
	links          []interface{ cut() }
}

func newWorld(t testingT, client, server setup) *world {
	return &world{t: t, client: newSide(t, client), server: newSide(t, server)}
}

// bubble runs f with a world in a bubble. Both sides flow.
func bubble(t *testing.T, client, server setup, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, client, server)
		defer w.end()
		w.client.Flow()
		w.server.Flow()
		f(t, w)
	})
}

func (w *world) end() {
	for _, c := range w.links {
		c.cut()
	}
	w.client.end()
	w.server.end()
}

// conn is a link and the goroutines that serve its two ends.
type conn struct {
	t        testingT
	client   *Attachment
	writer   *outbox.Writer // the client's
	a, b     *memLink
	stop     chan struct{}
	stopOnce sync.Once
	wg       sync.WaitGroup

	mu       sync.Mutex
	rejected bool // its ATTACH was stale
}

// connect attaches a new link, beside the one that there may be.
func (w *world) connect(delay time.Duration) *conn {
	w.t.Helper()
	next, window := w.server.RecvNext()
	return w.attach(wire.WelcomePayload{RecvNext: next, Window: window}, delay)
}

func (w *world) attach(p wire.WelcomePayload, delay time.Duration) *conn {
	w.t.Helper()
	c := &conn{t: w.t, stop: make(chan struct{})}
	c.a, c.b = newLink(delay)
	at, err := w.client.Attach(p, false)
	require.NoError(w.t, err)
	c.client = at
	c.writer = at.Writer(c.a, func(err error) { // the client writes on demand
		assert.ErrorIs(c.t, err, errCut)
		c.a.Abort()
	})
	w.client.out.Use(c.writer)
	c.wg.Go(func() { c.serve(at, c.a, nil) })
	c.wg.Go(func() { c.accept(w.server) })
	w.links = append(w.links, c)
	return c
}

// serve is a link's life at one end.
func (c *conn) serve(at *Attachment, l *memLink, first []byte) {
	var wg sync.WaitGroup
	if at == c.client {
		wg.Go(func() {
			select {
			case <-c.stop:
			case <-l.gone:
			}
			c.writer.Stop()
			c.writer.Wait()
		})
	} else {
		wg.Go(func() {
			if err := at.Write(l, c.stop); err != nil {
				assert.ErrorIs(c.t, err, errCut)
				l.Abort()
			}
		})
	}
	err := at.Receive(first)
	if err == nil {
		err = at.Read(l)
	}
	if !errors.Is(err, errClosed) {
		assert.ErrorIs(c.t, err, errCut)
	}
	l.Abort()
	wg.Wait()
	at.Detach()
}

func (c *conn) accept(server *side) {
	_, b, err := c.b.Read(nil)
	if err != nil {
		return
	}
	f, _, err := wire.Parse(b)
	if !assert.NoError(c.t, err) || !assert.Equal(c.t, wire.Attach, f.Type, "what comes first") {
		return
	}
	p, err := wire.ParseAttach(f.Payload)
	assert.NoError(c.t, err)
	at, err := server.Attached(p, false)
	if err != nil {
		assert.ErrorIs(c.t, err, session.ErrStale)
		c.mu.Lock()
		c.rejected = true
		c.mu.Unlock()
		c.b.Abort()
		return
	}
	c.serve(at, c.b, b)
}

// cut ends the link without a word, and joins who serves it.
func (c *conn) cut() {
	c.a.Abort()
	c.stopOnce.Do(func() { close(c.stop) })
	c.wg.Wait()
}

// number makes the message n, of size bytes or the least that it takes.
func number(n uint64, size int) transport.Message {
	data := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(data, n)
	for i := 8; i < len(data); i++ {
		data[i] = byte(n) + byte(i)
	}
	return transport.Message{Type: transport.Binary, Data: data}
}

// accept is Push.
func accept(ctx context.Context, out *outbox.Queue, m transport.Message) error {
	return out.Push(ctx, m.Type, m.Data, nil)
}

// numberOf checks a message and returns its number.
func numberOf(t testingT, m transport.Message) uint64 {
	t.Helper()
	require.GreaterOrEqual(t, len(m.Data), 8)
	n := binary.BigEndian.Uint64(m.Data)
	for i := 8; i < len(m.Data); i += 61 {
		if m.Data[i] != byte(n)+byte(i) {
			require.Fail(t, "a message is damaged", "number %d, at %d", n, i)
		}
	}
	return n
}

// push accepts the messages from to last.
func (d *side) push(from, last uint64, size int) {
	d.t.Helper()
	for n := from; n <= last; n++ {
		require.NoError(d.t, accept(context.Background(), d.out, number(n, size)))
	}
}

// gets receives exactly the messages from to last.
func (d *side) gets(from, last uint64) {
	d.t.Helper()
	for n := from; n <= last; n++ {
		m, ok := d.get()
		require.True(d.t, ok, "message %d has not come", n)
		require.Equal(d.t, n, numberOf(d.t, m))
	}
}

// get receives a message, if one comes in a while.
func (d *side) get() (transport.Message, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, err := d.in.Receive(ctx)
	return m, err == nil
}

// getsNothing asserts that nothing is there to receive, or comes soon.
func (d *side) getsNothing() {
	d.t.Helper()
	_, ok := d.get()
	require.False(d.t, ok, "a message has come")
}

func (d *side) told() (gaps []gap, pongs, drops int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gaps, d.pongs, d.drops
}

// call is a call in a goroutine of its own, in a bubble.
type call struct {
	t    testingT
	done chan struct{}
	err  error
}

func start(t testingT, f func() error) *call {
	c := &call{t: t, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = f()
	}()
	return c
}

func (c *call) waits() {
	c.t.Helper()
	synctest.Wait()
	if closed(c.done) {
		require.Fail(c.t, "it has returned", "%v", c.err)
	}
}

func (c *call) returns() error {
	c.t.Helper()
	synctest.Wait()
	require.True(c.t, closed(c.done), "it has not returned")
	return c.err
}

// sync is SendSync.
func (d *side) sync(ctx context.Context, m transport.Message) *call {
	return start(d.t, func() error {
		w := outbox.NewWaiter()
		if err := d.out.Push(ctx, m.Type, m.Data, w); err != nil {
			return err
		}
		return d.out.Wait(ctx, w, time.Second, errors.New("no pong"))
	})
}

func (d *side) flush(ctx context.Context) *call {
	return start(d.t, func() error { return d.out.Wait(ctx, d.out.Flush(), time.Second, errors.New("no pong")) })
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
