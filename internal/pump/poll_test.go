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
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

const hang = 20 * time.Second

var errStalePoll = errors.New("409")

// trouble is what happens to a request.
type trouble int

const (
	none       trouble = iota
	noRequest          // it does not arrive
	noAnswer           // it does, and the answer does not
	cutRequest         // half of its frames arrive
	cutAnswer          // half of the answer's frames arrive
	troubles
)

// pollLink is a link that is answered: the client's end, with the server behind it.
type pollLink struct {
	transport.Link
	server  *side
	rtt     time.Duration
	trouble func() trouble // before each request
	client  *Attachment
	gone    chan struct{}
	once    sync.Once

	mu sync.Mutex
	at *Attachment // the server's
	// sends and polls are what arrived at the server.
	sends, polls int
}

// half keeps the first half of the frames.
func half(frames []byte) []byte {
	end := 0
	for _, n, err := wire.Parse(frames); err == nil && end+n <= (len(frames)+1)/2; _, n, err = wire.Parse(frames[end:]) {
		end += n
	}
	return frames[:end]
}

// reach is what the server does with Holdfast-Attachment.
func (l *pollLink) reach(body []byte) (*Attachment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != nil {
		if closed(l.at.Gone()) {
			return nil, errStalePoll
		}
		return l.at, nil
	}
	f, _, err := wire.Parse(body)
	if err != nil || f.Type != wire.Attach {
		return nil, errors.New("400")
	}
	p, err := wire.ParseAttach(f.Payload)
	if err != nil {
		return nil, err
	}
	l.at, err = l.server.Attached(p, true)
	return l.at, err
}

// wait is half a round trip.
func (l *pollLink) wait() error {
	select {
	case <-l.gone:
		return errCut
	case <-time.After(l.rtt / 2):
		return nil
	}
}

// request makes a request until it is answered.
func (l *pollLink) request(body func() []byte, serve func(at *Attachment) ([]byte, error)) ([]byte, error) {
	for {
		b := body()
		if closed(l.client.Gone()) {
			return nil, errStalePoll
		}
		tr := l.trouble()
		if err := l.wait(); err != nil {
			return nil, err
		}
		if tr == noRequest {
			continue
		}
		if tr == cutRequest {
			if b = half(b); len(b) == 0 {
				continue
			}
		}
		at, err := l.reach(b)
		if err != nil {
			return nil, err
		}
		if err := at.Receive(b); err != nil && !errors.Is(err, session.ErrAhead) && !errors.Is(err, session.ErrFull) {
			return nil, err
		}
		answer, err := serve(at)
		if err != nil {
			return nil, err
		}
		if err := l.wait(); err != nil {
			return nil, err
		}
		switch tr {
		case noAnswer:
			continue
		case cutAnswer:
			answer = half(answer)
		}
		return answer, nil
	}
}

func (l *pollLink) Write(msgs []transport.Message) (n int, err error) {
	answer, err := l.request(func() []byte { return msgs[0].Data }, func(at *Attachment) ([]byte, error) {
		l.mu.Lock()
		l.sends++
		l.mu.Unlock()
		return at.Poll(), nil
	})
	if err == nil {
		err = l.client.Receive(answer)
	}
	return 1, err
}

func (l *pollLink) Read(dst []byte) (transport.MessageType, []byte, error) {
	answer, err := l.request(l.client.Poll, func(at *Attachment) ([]byte, error) {
		l.mu.Lock()
		l.polls++
		l.mu.Unlock()
		at.Rewind()
		timeout := time.After(hang)
		for {
			if frames := at.Next(nil, wire.MaxBatch-2*wire.MaxHeader-64); len(frames) > 0 {
				return frames, nil
			}
			select {
			case <-at.Ready():
			case <-at.Gone():
				l.server.out.Wake()
				return nil, errStalePoll
			case <-l.gone:
				return nil, errCut
			case <-timeout:
				return wire.Append(nil, wire.Frame{Type: wire.Ping, Payload: make([]byte, 8)}), nil
			}
		}
	})
	return transport.Binary, append(dst, answer...), err
}

func (l *pollLink) Abort() { l.once.Do(func() { close(l.gone) }) }

// pollConn is a pollLink and the goroutines that serve it.
type pollConn struct {
	*pollLink
	stop     chan struct{}
	stopOnce sync.Once
	wg       sync.WaitGroup
}

// poll attaches a link that is answered.
func (w *world) poll(rtt time.Duration, tr func() trouble) *pollConn {
	w.t.Helper()
	next, window := w.server.RecvNext()
	return w.pollAfter(wire.WelcomePayload{RecvNext: next, Window: window}, rtt, tr)
}

// pollAfter attaches a link that WELCOME opened.
func (w *world) pollAfter(p wire.WelcomePayload, rtt time.Duration, tr func() trouble) *pollConn {
	w.t.Helper()
	if tr == nil {
		tr = func() trouble { return none }
	}
	c := &pollConn{stop: make(chan struct{}), pollLink: &pollLink{server: w.server, rtt: rtt, trouble: tr, gone: make(chan struct{})}}
	at, err := w.client.Attach(p, true)
	w.client.out.Use(nil)
	require.NoError(w.t, err)
	c.client = at
	check := func(err error) {
		if err != nil && !errors.Is(err, errStalePoll) && !errors.Is(err, session.ErrStale) {
			assert.ErrorIs(w.t, err, errCut)
		}
		c.Abort()
	}
	c.wg.Go(func() {
		if err := at.Write(c.pollLink, c.stop); err != nil {
			check(err)
		}
	})
	c.wg.Go(func() {
		check(at.Read(c.pollLink))
		c.stopOnce.Do(func() { close(c.stop) })
	})
	w.links = append(w.links, c)
	return c
}

func (c *pollConn) cut() {
	c.Abort()
	c.stopOnce.Do(func() { close(c.stop) })
	c.wg.Wait()
	c.client.Detach()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at != nil {
		c.at.Detach()
	}
}

func (c *pollConn) counts() (sends, polls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sends, c.polls
}

func TestMessagesGoBothWaysByRequests(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		w.client.push(1, 500, 1000)
		w.server.push(1, 500, 1000)
		c := w.poll(10*time.Millisecond, nil)
		w.server.gets(1, 500)
		w.client.gets(1, 500)
		w.client.push(501, 501, 400<<10)
		w.server.push(501, 501, 400<<10)
		w.server.gets(501, 501)
		w.client.gets(501, 501)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, d := range []*side{w.client, w.server} {
			assert.Zero(t, d.out.Stats().Unacknowledged)
			assert.Zero(t, d.out.Stats().Queued)
		}
		sends, polls := c.counts()
		time.Sleep(time.Hour)
		moreSends, morePolls := c.counts()
		assert.Equal(t, sends, moreSends, "nothing is sent while there is nothing to say")
		assert.LessOrEqual(t, morePolls-polls, int(time.Hour/hang)+1)
	})
}

func TestRequestsThatFailLoseNothing(t *testing.T) {
	for name, kind := range map[string]trouble{"lost requests": noRequest, "lost answers": noAnswer,
		"partial acceptance": cutRequest, "cut answers": cutAnswer} {
		t.Run(name, func(t *testing.T) {
			bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
				var mu sync.Mutex
				i := 0
				w.poll(10*time.Millisecond, func() trouble {
					mu.Lock()
					defer mu.Unlock()
					if i++; i%3 > 0 {
						return kind
					}
					return none
				})
				for n := uint64(1); n <= 300; n += 30 {
					w.client.push(n, n+29, 100)
					w.server.push(n, n+29, 100)
					time.Sleep(25 * time.Millisecond)
				}
				w.server.gets(1, 300)
				w.client.gets(1, 300)
				w.client.getsNothing()
				w.server.getsNothing()
			})
		})
	}
}

func TestWindowReopensByRequests(t *testing.T) {
	bubble(t, setup{window: 2000, maxMessage: 500}, setup{window: 2000, maxMessage: 500}, func(t *testing.T, w *world) {
		w.poll(10*time.Millisecond, nil)
		w.client.push(1, 30, 500)
		w.server.push(1, 30, 500)
		time.Sleep(time.Minute)
		require.Positive(t, w.client.out.Stats().Queued)
		require.Positive(t, w.server.out.Stats().Queued)
		for n := uint64(1); n <= 30; n++ {
			began := time.Now()
			w.server.gets(n, n)
			w.client.gets(n, n)
			assert.Less(t, time.Since(began), time.Second, "neither waits for the poll's time-out")
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func TestSwitchBetweenPollsAndStreams(t *testing.T) {
	bubble(t, setup{}, setup{}, func(t *testing.T, w *world) {
		var n uint64 = 1
		var old interface{ cut() }
		for i := range 40 {
			w.client.push(n, n+19, 1000)
			w.server.push(n, n+19, 1000)
			var c interface{ cut() }
			if delay := time.Duration(1+i%5) * time.Millisecond; i%3 > 0 {
				c = w.poll(delay, nil)
			} else {
				c = w.connect(delay)
			}
			time.Sleep(time.Duration(i%4) * 3 * time.Millisecond)
			if old != nil {
				old.cut()
			}
			old = c
			n += 20
		}
		w.server.gets(1, n-1)
		w.client.gets(1, n-1)
		w.client.getsNothing()
		w.server.getsNothing()
	})
}

func TestSendSyncByRequests(t *testing.T) {
	bubble(t, setup{}, setup{limits: outbox.Limits{}}, func(t *testing.T, w *world) {
		w.poll(10*time.Millisecond, nil)
		time.Sleep(time.Second)
		there := w.client.sync(t.Context(), number(1, 0))
		back := w.server.sync(t.Context(), number(1, 0))
		time.Sleep(25 * time.Millisecond)
		require.NoError(t, there.returns())
		require.NoError(t, back.returns())
	})
}

// An ACK that was lost with a link is said again on the next one, though nothing
// else is to be said: the sender may wait for the room.
func TestAnAckLostWithTheLinkComesByThePoll(t *testing.T) {
	bubble(t, setup{limits: outbox.Limits{MaxMessages: 3}}, setup{window: 1000, maxMessage: 300}, func(t *testing.T, w *world) {
		c := w.connect(10 * time.Millisecond)
		time.Sleep(time.Second)
		w.client.push(1, 3, 100)
		time.Sleep(10*time.Millisecond + ackDelay + 5*time.Millisecond)
		require.Equal(t, 3, w.client.out.Stats().Unacknowledged, "the ACK is on its way")
		c.cut()
		w.poll(10*time.Millisecond, nil)
		blocked := start(t, func() error { return accept(t.Context(), w.client.out, number(4, 300)) })
		time.Sleep(time.Second)
		require.NoError(t, blocked.returns())
		w.server.gets(1, 4)
	})
}

// So is a window that had reopened after WELCOME was made.
func TestAWindowLostWithTheLinkComesByThePoll(t *testing.T) {
	bubble(t, setup{}, setup{window: 1000, maxMessage: 300}, func(t *testing.T, w *world) {
		c := w.connect(10 * time.Millisecond)
		w.client.push(1, 6, 300)
		time.Sleep(time.Second)
		require.Positive(t, w.client.out.Stats().Queued)
		next, window := w.server.RecvNext()
		w.server.gets(1, 2)
		time.Sleep(5 * time.Millisecond) // the ACK is on its way
		c.cut()
		w.pollAfter(wire.WelcomePayload{RecvNext: next, Window: window}, 10*time.Millisecond, nil)
		time.Sleep(time.Second)
		w.server.gets(3, 6)
	})
}
