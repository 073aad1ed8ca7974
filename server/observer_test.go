package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	members "github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

// witness watches the sessions of a process. It asks each for its Stats while it
// hears of it, which a lock of the server would forbid.
type witness struct {
	t    *testing.T
	stop func()

	mu     sync.Mutex
	events []holdfast.Event
	rtts   []time.Duration
	gone   []*Session
}

func watch(t *testing.T) *witness {
	w := &witness{t: t}
	w.stop = members.Watch(w)
	t.Cleanup(w.stop)
	return w
}

func (w *witness) Event(m *members.Member, event any) {
	m.Value.(*Session).Stats()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event.(holdfast.Event))
}

func (w *witness) RTT(m *members.Member, rtt time.Duration) {
	m.Value.(*Session).Stats()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rtts = append(w.rtts, rtt)
}

func (w *witness) Removed(m *members.Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = append(w.gone, m.Value.(*Session))
}

// heard returns the events since the last call, once all is quiet.
func (w *witness) heard() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, e := range w.events {
		line := fmt.Sprintf("%v: %v %s", e.Kind, e.State, e.Transport)
		if e.Resumed {
			line += " resumed"
		}
		if e.Count > 0 {
			line += fmt.Sprintf(" (%d)", e.Count)
		}
		if e.Err != nil {
			line += ": " + why(e.Err)
		}
		list = append(list, line)
		assert.False(w.t, e.Time.IsZero())
		assert.Contains(w.t, e.Endpoint, "://stream.example:80/path")
		assert.NotZero(w.t, e.Epoch)
	}
	w.events = nil
	return list
}

// why is an error without what the network has said.
func why(err error) string {
	var closed *holdfast.CloseError
	if !errors.As(err, &closed) {
		return err.Error()
	}
	for _, known := range []error{errExpired, errPollLate, errAborted, errOld, errShutdown} {
		if err == known {
			return err.Error()
		}
	}
	if errors.Is(err, holdfast.ErrNoPong) {
		return holdfast.ErrNoPong.Error()
	}
	return fmt.Sprint(int(closed.Code), closed.Reason)
}

// members returns the sessions of the process that are the server's.
func (w *world) members() (all []*Session) {
	for _, m := range members.Members() {
		if s := m.Value.(*Session); s.srv == w.Server {
			all = append(all, s)
		}
	}
	return all
}

func TestProcessKnowsItsSessions(t *testing.T) {
	parkedBubble(t, &Options{ResumeTTL: time.Minute, SendBuffer: holdfast.SendBuffer{MaxMessages: 10, MaxBytes: 5000}}, func(w *world, p *parked) {
		heard := watch(t)
		w.net.SetLatency(10 * time.Millisecond)
		c := w.client()
		opened := c.candidate()
		s := w.members()[0]
		assert.Equal(t, holdfast.Stats{State: holdfast.StateConnecting, Endpoint: "ws://stream.example:80/path", Epoch: 1,
			QueueLimit: 10, QueueBytesLimit: 5000}, s.Stats(), "it has no link yet")
		assert.Empty(t, heard.heard())

		l := opened
		up := time.Now().Add(10 * time.Millisecond)
		write(t, l, attachFrame(1, 1))
		require.Equal(t, wire.Ack, readFrames(t, l)[0].Type)
		assert.Equal(t, []string{"connected: connected websocket"}, heard.heard())
		require.Same(t, s, <-p.sessions)
		send(t, s, "abc")
		write(t, l, c.data("12345"))
		synctest.Wait()
		time.Sleep(time.Second)
		st := s.Stats()
		assert.True(t, st.ConnectedSince.Equal(up), "%v", st.ConnectedSince)
		st.ConnectedSince = time.Time{}
		assert.Equal(t, holdfast.Stats{State: holdfast.StateConnected, Transport: "websocket", Endpoint: "ws://stream.example:80/path", Epoch: 1,
			Connects: 1, MessagesSent: 1, BytesSent: 3, MessagesReceived: 1, BytesReceived: 5, Unacknowledged: 1, ReceiveQueued: 1, ReceiveQueuedBytes: 5,
			QueueLimit: 10, QueueBytesLimit: 5000}, st)

		l.Abort()
		time.Sleep(time.Second)
		assert.Equal(t, []string{"disconnected: waiting websocket: 1006"}, heard.heard())
		st = s.Stats()
		assert.Equal(t, holdfast.StateWaiting, st.State)
		assert.Empty(t, st.Transport)
		assert.Zero(t, st.ConnectedSince)
		assert.Equal(t, holdfast.StatusAbnormalClosure, code(st.LastError))

		l = c.attachWS(2)
		assert.Equal(t, []string{"connected: connected websocket resumed"}, heard.heard())
		l2 := c.attachWS(3)
		assert.Equal(t, []string{"connected: connected websocket resumed"}, heard.heard(), "nothing was lost in between")
		assert.EqualValues(t, 3, s.Stats().Connects)
		l.Abort()
		l2.Abort()
		time.Sleep(time.Minute + time.Second)
		assert.Equal(t, []string{"disconnected: waiting websocket: 1006",
			"closed: closed : " + errExpired.Error()}, heard.heard())
		assert.Equal(t, []*Session{s}, heard.gone)
		assert.Empty(t, w.members())
		st = s.Stats()
		assert.Equal(t, holdfast.StateClosed, st.State)
		assert.Equal(t, errExpired, st.LastError)
		assert.EqualValues(t, 1, st.MessagesSent, "the counts remain")
	})
}

func TestRoundTripsAreHeard(t *testing.T) {
	for name, plain := range map[string]bool{"session": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			parkedBubble(t, &Options{Keepalive: holdfast.Keepalive{Interval: 10 * time.Second}}, func(w *world, p *parked) {
				heard := watch(t)
				w.net.SetLatency(10 * time.Millisecond)
				c := w.client()
				if plain {
					readOnLater(w.plain())
				} else {
					l := c.attachWS(1)
					go func() {
						if _, b, err := l.Read(nil); err == nil {
							f, _, _ := wire.Parse(b)
							_, _ = l.Write(batch(frame(wire.Pong, f.Payload)))
						}
						readOn(l)
					}()
				}
				s := <-p.sessions
				time.Sleep(11 * time.Second)
				synctest.Wait()
				assert.Equal(t, []time.Duration{20 * time.Millisecond}, heard.rtts)
				assert.Equal(t, 20*time.Millisecond, s.Stats().RTT)
			})
		})
	}
}

func TestPollingIsObserved(t *testing.T) {
	parkedBubble(t, &Options{Keepalive: holdfast.Keepalive{Timeout: 7 * time.Second}}, func(w *world, p *parked) {
		heard := watch(t)
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		assert.Equal(t, []string{"connected: connected longpoll"}, heard.heard())
		assert.Equal(t, "http://stream.example:80/path", s.Stats().Endpoint)
		for range 3 {
			c.poll(1, 20*time.Second, ackFrame(0))
			time.Sleep(5 * time.Second)
		}
		assert.Empty(t, heard.heard(), "a poll may be away for a while")
		lost := time.Now().Add(22 * time.Second)
		time.Sleep(22 * time.Second)
		synctest.Wait()
		at := heard.events[0].Time
		assert.Equal(t, []string{"disconnected: waiting longpoll: " + errPollLate.Error()}, heard.heard())
		assert.True(t, at.Equal(lost), "%v is not %v", at, lost)
		assert.Equal(t, holdfast.StateWaiting, s.Stats().State)

		c.poll(1, 0, ackFrame(0))
		assert.Equal(t, []string{"connected: connected longpoll resumed"}, heard.heard(), "on the attachment it had")
		assert.EqualValues(t, 2, s.Stats().Connects)
		l := c.attachWS(2)
		assert.Equal(t, []string{"upgraded: connected websocket resumed"}, heard.heard())
		c.k = 0
		c.poll(3, time.Minute, append(attachFrame(3, 1), ackFrame(0)...))
		assert.Equal(t, []string{"fell back: connected longpoll resumed"}, heard.heard())
		l.Abort()
		assert.Empty(t, heard.heard(), "the link was replaced before")
		c.post(context.Background(), "close", nil, nil)
		assert.Equal(t, []string{"closed: closed longpoll: " + errAborted.Error()}, heard.heard())
		assert.Equal(t, errAborted, s.Stats().LastError)
	})
}

func TestLostPollIsToldToWhoWatchesLater(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		time.Sleep(90 * time.Second)
		assert.Equal(t, holdfast.StateWaiting, s.Stats().State, "also if nobody watches")
		assert.Nil(t, s.place.away)
		heard := watch(t)
		c.poll(1, 0, ackFrame(0))
		assert.Equal(t, []string{"connected: connected longpoll resumed"}, heard.heard())
	})
}

func TestGapsAndDropsAreObserved(t *testing.T) {
	parkedBubble(t, &Options{SendBuffer: holdfast.SendBuffer{MaxMessages: 2, WhenFull: holdfast.WhenFullDropOldest}}, func(w *world, p *parked) {
		heard := watch(t)
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		c.send(1, wire.Append(nil, wire.Frame{Type: wire.Gap, Seq: 1, Payload: wire.GapPayload{Count: 3}.Append(nil)}))
		send(t, s, "a", "b", "c")
		assert.Equal(t, []string{"connected: connected longpoll", "gap: connected longpoll (3)",
			"dropped: connected longpoll (1): " + holdfast.ErrDropped.Error()}, heard.heard())
		st := s.Stats()
		assert.EqualValues(t, 2, st.Epoch)
		assert.EqualValues(t, 1, st.Dropped)
		assert.Equal(t, 2, st.Queued)
	})
}

func TestClosesAreObserved(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		heard := watch(t)
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		p.result <- &holdfast.CloseError{Code: 4001, Reason: "enough"}
		synctest.Wait()
		assert.Equal(t, holdfast.StateClosing, s.Stats().State)
		l.Abort()
		assert.Equal(t, []string{"connected: connected websocket", "disconnected: closing websocket: 1006"}, heard.heard())
		c.attachWS(2)
		write(t, c.attachWS(3), c.closeFrame(1, 4001, ""))
		assert.Equal(t, []string{"connected: closing websocket resumed", "connected: closing websocket resumed",
			"closed: closed websocket: " + holdfast.ErrClosed.Error()}, heard.heard())
		assert.Equal(t, holdfast.StatusAbnormalClosure, code(s.Stats().LastError), "the close was no failure")

		other := w.client()
		l = other.attachWS(1)
		s = <-p.sessions
		write(t, l, other.closeFrame(0, 4002, "bye"))
		synctest.Wait()
		assert.Equal(t, holdfast.StateClosing, s.Stats().State)
		write(t, l, ackFrame(1))
		l.Abort() // it knows that all is said
		assert.Equal(t, []string{"connected: connected websocket", "closed: closed websocket: 4002bye"}, heard.heard())
	})
}

func TestPlainSessionsAreObserved(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		heard := watch(t)
		l := w.plain()
		s := <-p.sessions
		writeText(t, l, "up")
		receive(t, s)
		assert.Equal(t, []string{"connected: connected websocket"}, heard.heard())
		st := s.Stats()
		assert.Equal(t, holdfast.StateConnected, st.State)
		assert.EqualValues(t, 2, st.BytesReceived)
		l.Abort()
		assert.Equal(t, []string{"closed: closed websocket: 1006"}, heard.heard())
		assert.Empty(t, w.members())
	})
}

func TestSilentLinkIsLost(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		heard := watch(t)
		w.client().attachWS(1)
		<-p.sessions
		w.net.Freeze(true)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"connected: connected websocket", "disconnected: waiting websocket: " + holdfast.ErrNoPong.Error()}, heard.heard())
	})
}

func TestUnreplacedLinkIsLostForItsAge(t *testing.T) {
	parkedBubble(t, &Options{MaxLinkAge: time.Minute, Keepalive: holdfast.Keepalive{Interval: -1}}, func(w *world, p *parked) {
		heard := watch(t)
		readOnLater(w.client().attachWS(1))
		<-p.sessions
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"connected: connected websocket", "disconnected: waiting websocket: " + errOld.Error()}, heard.heard())
	})
}

func TestViolationLosesTheLink(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		heard := watch(t)
		c := w.client()
		l := c.attachWS(1)
		s := <-p.sessions
		write(t, l, ackFrame(77)) // of what was never sent
		assert.Len(t, heard.heard(), 2)
		assert.Equal(t, holdfast.StatusProtocolError, code(s.Stats().LastError))
	})
}

// Shutdown returns when the last watcher has heard the last event.
func TestShutdownWaitsForWatchers(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		slow := &slowWitness{}
		defer members.Watch(slow)()
		c := w.client()
		l := c.attachWS(1)
		<-p.sessions
		l.Abort()
		synctest.Wait()
		require.NoError(t, w.Shutdown(context.Background()))
		assert.EqualValues(t, []holdfast.EventKind{holdfast.EventConnected, holdfast.EventDisconnected, holdfast.EventClosed}, slow.kinds)
		assert.True(t, slow.removed)
	})
}

type slowWitness struct {
	kinds   []holdfast.EventKind
	removed bool
}

func (w *slowWitness) Event(_ *members.Member, event any) {
	time.Sleep(time.Second)
	w.kinds = append(w.kinds, event.(holdfast.Event).Kind)
}
func (w *slowWitness) RTT(*members.Member, time.Duration) {}
func (w *slowWitness) Removed(*members.Member) {
	time.Sleep(time.Second)
	w.removed = true
}

// What waits for a watcher is bounded, and its last event is not lost.
func TestSlowWatcherLosesTheOldest(t *testing.T) {
	parkedBubble(t, &Options{SendBuffer: holdfast.SendBuffer{MaxMessages: 1, WhenFull: holdfast.WhenFullDropOldest}}, func(w *world, p *parked) {
		slow := &slowWitness{}
		defer members.Watch(slow)()
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		for i := range 2000 {
			s.obs.gap(1, uint64(i+2))
		}
		send(t, s, "a", "b", "c", "d", "e") // four drops are one event
		c.post(context.Background(), "close", nil, nil)
		s.obs.mu.Lock()
		assert.Len(t, s.obs.queue, maxEvents)
		s.obs.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Len(t, slow.kinds, maxEvents+1)
		assert.Equal(t, []holdfast.EventKind{holdfast.EventDropped, holdfast.EventClosed}, slow.kinds[maxEvents-1:])
		assert.True(t, slow.removed)
	})
}

func TestNobodyWatches(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		assert.Equal(t, []*Session{s}, w.members())
		assert.Nil(t, s.obs.queue)
		assert.Nil(t, s.place.away)
		c.post(context.Background(), "close", nil, nil)
		assert.Empty(t, w.members())
		s.obs.close(errors.New("once more")) // does nothing
	})
}

func TestEndpointHasNoSecrets(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/a%2Fb?token=s3cret&x=1", nil)
	r.Host = "user:s3cret@host.example"
	assert.NotContains(t, endpoint(r), "s3cret")
	r.Host = "host.example:8080"
	assert.Equal(t, "ws://host.example:8080/a%2Fb?token=redacted&x=redacted", endpoint(r))
	r.TLS, r.Method = &tls.ConnectionState{}, http.MethodPost
	assert.Equal(t, "https://host.example:8080/a%2Fb?token=redacted&x=redacted", endpoint(r))
}

// Events of one session come one at a time, connected first and closed last.
func TestEventsComeInOrder(t *testing.T) {
	parkedBubble(t, &Options{OpenRate: -1}, func(w *world, p *parked) {
		heard := &orders{of: map[*members.Member][]holdfast.EventKind{}}
		defer members.Watch(heard)()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				c := w.client()
				for n := uint64(1); n <= 5; n++ {
					l := c.attachWS(n)
					if n%2 == 0 {
						l.Abort()
					}
				}
				c.post(context.Background(), "close", nil, nil)
			})
		}
		wg.Wait()
		synctest.Wait()
		assert.Len(t, heard.of, 20)
		for _, kinds := range heard.of {
			assert.Equal(t, holdfast.EventConnected, kinds[0])
			assert.Equal(t, holdfast.EventClosed, kinds[len(kinds)-1])
			state := holdfast.EventDisconnected
			for _, k := range kinds[:len(kinds)-1] {
				assert.False(t, k == holdfast.EventDisconnected && state == k, "%v", kinds)
				state = k
			}
		}
		assert.Empty(t, w.members())
	})
}

type orders struct {
	mu sync.Mutex
	of map[*members.Member][]holdfast.EventKind
}

func (o *orders) Event(m *members.Member, event any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of[m] = append(o.of[m], event.(holdfast.Event).Kind)
}
func (o *orders) RTT(*members.Member, time.Duration) {}
func (o *orders) Removed(*members.Member)            {}
