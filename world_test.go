package holdfast_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/internal/memnet"
)

const worldURL = "ws://server.test/stream"

// world is a server, a network and what happened, inside a bubble.
type world struct {
	*testing.T
	net     *memnet.Network
	server  *holdfasttest.Server
	network *holdfasttest.Network

	mu     sync.Mutex
	events []holdfast.Event
}

// bubble runs f in a bubble with a world; what f leaves running fails the test.
func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: memnet.New(), network: holdfasttest.NewNetwork()}
		w.serve()
		defer func() { w.server.Close() }()
		f(w)
	})
}

// serve starts a server, or one anew after it was closed.
func (w *world) serve() {
	l, err := w.net.Listen("server.test:80")
	require.NoError(w, err)
	w.server = holdfasttest.NewServer(l)
}

// options are for the world: its network, delays of exactly 1 s, no keepalive.
func (w *world) options() *holdfast.Options {
	return &holdfast.Options{
		DialContext: w.net.DialContext,
		Network:     w.network,
		Retry:       holdfast.RetryPolicy{New: func() holdfast.BackOff { return constant(time.Second) }},
		Keepalive:   holdfast.Keepalive{Interval: -1},
		OnEvent: func(e holdfast.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
}

// dial connects with the world's options as changed by change.
func (w *world) dial(change func(o *holdfast.Options)) *holdfast.Conn {
	w.Helper()
	c, err := w.tryDial(change)
	require.NoError(w, err)
	return c
}

func (w *world) tryDial(change func(o *holdfast.Options)) (*holdfast.Conn, error) {
	o := w.options()
	if change != nil {
		change(o)
	}
	return holdfast.Dial(w.Context(), worldURL, o)
}

// seen waits until nothing moves and returns the events of a kind.
func (w *world) seen(kind holdfast.EventKind) (of []holdfast.Event) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			of = append(of, e)
		}
	}
	return of
}

func (w *world) kinds() (kinds []holdfast.EventKind) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// receive expects a message.
func (w *world) receive(c *holdfast.Conn) holdfast.Message {
	w.Helper()
	m, err := c.Receive(w.Context())
	require.NoError(w, err)
	return m
}

func (w *world) send(c *holdfast.Conn, text string) {
	w.Helper()
	require.NoError(w, c.Send(w.Context(), holdfast.Text, []byte(text)))
}

// within returns a context that ends after d of the bubble's time.
func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), d)
	w.Cleanup(cancel)
	return ctx
}

type constant time.Duration

func (c constant) NextBackOff() time.Duration { return time.Duration(c) }
func (c constant) Reset()                     {}
