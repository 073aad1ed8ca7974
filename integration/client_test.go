//go:build linux

package integration

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
)

const (
	messages = 2000 // in each direction
	ahead    = 200  // how many are on their way at most
	patience = 60 * time.Second
)

// client is a Conn with what it has told of itself.
type client struct {
	*holdfast.Conn
	t      *testing.T
	name   string
	first  time.Duration // from Dial to the echo of the first message
	events *events
}

var clients atomic.Int64

// connect connects with the defaults but for the delays between attempts.
func connect(t *testing.T, endpoint string, change func(o *holdfast.Options)) *client {
	t.Helper()
	c := &client{t: t, name: fmt.Sprintf("client%d", clients.Add(1)), events: newEvents()}
	o := &holdfast.Options{
		Fallback: []holdfast.Transport{fallback.LongPoll(nil)},
		Retry:    holdfast.RetryPolicy{MaxRetries: 100, InitialDelay: 50 * time.Millisecond, MaxDelay: 500 * time.Millisecond},
		Proxy:    func(*http.Request) (*url.URL, error) { return nil, nil },
		OnEvent:  c.events.add,
	}
	if change != nil {
		change(o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := holdfast.Dial(ctx, endpoint, o)
	require.NoError(t, err)
	c.Conn = conn
	t.Cleanup(func() {
		_ = conn.CloseNow()
		if t.Failed() {
			t.Log(c.events)
		}
	})
	return c
}

// dial connects, and takes the time until the first message has come back.
func dial(t *testing.T, endpoint string, change func(o *holdfast.Options)) *client {
	t.Helper()
	start := time.Now()
	c := connect(t, endpoint, change)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, c.Send(ctx, holdfast.Text, format(c.name, 0)))
	m, err := c.Receive(ctx)
	require.NoError(t, err)
	c.first = time.Since(start)
	require.Equal(t, string(format(c.name, 0)), string(m.Data))
	return c
}

// through sends requests through a proxy.
func through(b *box) func(*http.Request) (*url.URL, error) {
	return http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr})
}

// exchange sends the messages from number 1 on and requires each to come back
// once and in order; after half of them it calls middle. Then the server must have
// got what the client has.
func (c *client) exchange(l *ledger, middle func()) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	room := make(chan struct{}, ahead)
	sent := make(chan error, 1)
	go func() { sent <- c.sendAll(ctx, room) }()
	for n := 1; n < messages; n++ {
		m, err := c.Receive(ctx)
		require.NoError(c.t, err, "message %d", n)
		require.Equal(c.t, string(format(c.name, n)), string(m.Data))
		require.EqualValues(c.t, 1, m.Epoch)
		if n == messages/2 && middle != nil {
			middle()
		}
		<-room
	}
	require.NoError(c.t, <-sent)
	require.NoError(c.t, c.Flush(ctx))
	assert.Equal(c.t, upTo(messages), l.of(c.name))
	assert.EqualValues(c.t, 1, c.Stats().Epoch)
	assert.Empty(c.t, c.events.of(holdfast.EventGap))
	assert.Empty(c.t, c.events.of(holdfast.EventDropped))
}

func (c *client) sendAll(ctx context.Context, room chan<- struct{}) error {
	for n := 1; n < messages; n++ {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.Send(ctx, holdfast.Text, format(c.name, n)); err != nil {
			return err
		}
	}
	return nil
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// resumed requires that the session went on over more than one link.
func (c *client) resumed() {
	c.t.Helper()
	connected := c.events.of(holdfast.EventConnected)
	require.Greater(c.t, len(connected), 1, "no link was lost")
	for _, e := range connected[1:] {
		assert.True(c.t, e.Resumed)
	}
}

// events are those of one Conn.
type events struct {
	mu    sync.Mutex
	all   []holdfast.Event
	added chan struct{} // closed and replaced with each
}

func newEvents() *events { return &events{added: make(chan struct{})} }

func (l *events) add(e holdfast.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
	close(l.added)
	l.added = make(chan struct{})
}

func (l *events) of(kind holdfast.EventKind) (of []holdfast.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all {
		if e.Kind == kind {
			of = append(of, e)
		}
	}
	return of
}

// await waits for an event that matches.
func (l *events) await(t *testing.T, what string, match func(holdfast.Event) bool) holdfast.Event {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for at := 0; ; {
		l.mu.Lock()
		all, added := l.all, l.added
		l.mu.Unlock()
		for ; at < len(all); at++ {
			if match(all[at]) {
				return all[at]
			}
		}
		select {
		case <-added:
		case <-deadline.C:
			require.Fail(t, "no such event", "%s\n%v", what, l)
		}
	}
}

func (l *events) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := "events:\n"
	for _, e := range l.all {
		text += fmt.Sprintf("%s %-15s %-9s epoch %d resumed %v count %d delay %v %v\n",
			e.Time.Format("05.000"), e.Kind, e.Transport, e.Epoch, e.Resumed, e.Count, e.Delay, e.Err)
	}
	return text
}

// fellBack requires that the Conn has fallen back, and returns why.
func (c *client) fellBack() *holdfast.DialError {
	c.t.Helper()
	e := c.events.await(c.t, "fell back", func(e holdfast.Event) bool { return e.Kind == holdfast.EventFellBack })
	var why *holdfast.DialError
	require.ErrorAs(c.t, e.Err, &why)
	require.Equal(c.t, "longpoll", c.Stats().Transport)
	return why
}

// direct requires that WebSocket carries the connection, and always has.
func (c *client) direct() {
	c.t.Helper()
	require.Equal(c.t, "websocket", c.Stats().Transport)
	assert.Empty(c.t, c.events.of(holdfast.EventFellBack))
}

// backOn requires that a transport carries the Conn again after a loss. For
// WebSocket that takes a probe where the middlebox came back between its attempt
// and the fallback's.
func (c *client) backOn(transport string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.Stats().Transport == transport }, patience, 5*time.Millisecond, transport)
}
