package holdfast

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slow is an OnEvent that can be held up.
type slow struct {
	mu     sync.Mutex
	events []Event
	gate   chan struct{} // nil: it is quick
}

func (s *slow) on(e Event) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// counts returns the Counts of the events of a kind, by which a test names them.
func (s *slow) counts(of func(EventKind) bool) (list []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if of(e.Kind) {
			list = append(list, e.Count)
		}
	}
	return list
}

func all(EventKind) bool { return true }

func upTo(first, n int) (list []int) {
	for i := first; i <= n; i++ {
		list = append(list, i)
	}
	return list
}

func (b *observer) ended() bool {
	synctest.Wait()
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

func TestEventsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		b := newObserver(&Options{OnEvent: s.on}, nil)
		for i := 1; i <= 500; i++ {
			b.emit(Event{Kind: EventKind(i % int(EventClosed)), Count: i})
			if i%100 == 0 {
				synctest.Wait()
				assert.False(t, b.running, "its goroutine lives only while there are events")
			}
		}
		assert.Equal(t, upTo(1, 500), s.counts(all))
		assert.False(t, b.ended())
		b.emit(Event{Kind: EventClosed, Count: 501})
		assert.True(t, b.ended())
		b.emit(Event{Kind: EventConnected, Count: 502}) // nothing comes after EventClosed
		b.emit(Event{Kind: EventClosed, Count: 503})
		synctest.Wait()
		assert.Equal(t, upTo(1, 501), s.counts(all))
	})
}

func TestEventsAreToldOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := 0 // the race detector looks after it
		b := newObserver(&Options{OnEvent: func(Event) {
			inside++
			time.Sleep(time.Second)
			inside--
			assert.Zero(t, inside)
		}}, nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 10 {
					b.emit(Event{Kind: EventDropped})
				}
			})
		}
		wg.Wait()
		b.emit(Event{Kind: EventClosed})
		<-b.done
	})
}

func TestDoneComesAfterTheLastCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{gate: make(chan struct{})}
		b := newObserver(&Options{OnEvent: s.on}, nil)
		b.emit(Event{Kind: EventConnected})
		b.emit(Event{Kind: EventClosed})
		assert.False(t, b.ended())
		s.gate <- struct{}{}
		assert.False(t, b.ended())
		s.gate <- struct{}{}
		assert.True(t, b.ended())
	})
	synctest.Test(t, func(t *testing.T) { // nobody listens
		b := newObserver(&Options{}, nil)
		b.emit(Event{Kind: EventConnected})
		assert.False(t, b.ended())
		b.emit(Event{Kind: EventClosed})
		assert.True(t, b.ended())
	})
}

func TestOnEventMayEmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *observer
		var kinds []EventKind
		b = newObserver(&Options{OnEvent: func(e Event) {
			kinds = append(kinds, e.Kind)
			if e.Kind == EventConnected {
				b.emit(Event{Kind: EventClosed}) // as Close from inside does
			}
		}}, nil)
		b.emit(Event{Kind: EventConnected})
		assert.True(t, b.ended())
		assert.Equal(t, []EventKind{EventConnected, EventClosed}, kinds)
	})
}

func TestRoutineEventsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{gate: make(chan struct{})}
		b := newObserver(&Options{OnEvent: s.on}, nil)
		b.emit(Event{Kind: EventConnecting, Count: -1})
		synctest.Wait() // it is in the callback and out of the queue
		n := 0
		emit := func(kind EventKind, times int) {
			for range times {
				n++
				b.emit(Event{Kind: kind, Count: n})
			}
		}
		emit(EventConnected, 1)
		emit(EventWaiting, 10)
		emit(EventDisconnected, 1)
		emit(EventAttemptFailed, maxEvents-12)
		assert.Len(t, b.queue, maxEvents)
		emit(EventConnected, 5) // the oldest of EventWaiting go
		assert.Len(t, b.queue, maxEvents)
		emit(EventConnecting, 3*maxEvents)
		assert.Len(t, b.queue, maxEvents)
		emit(EventClosed, 1)
		close(s.gate)
		<-b.done
		rest := func(k EventKind) bool { return !k.routine() }
		assert.Equal(t, append([]int{1, 12}, append(upTo(maxEvents+1, maxEvents+5), n)...), s.counts(rest), "all of the others")
		routine := s.counts(EventKind.routine)[1:]
		assert.Equal(t, upTo(n-len(routine), n-1), routine, "the latest")
		assert.Equal(t, EventClosed, s.events[len(s.events)-1].Kind)
	})
}

func TestOldestGivesWayWhereNoneIsRoutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{gate: make(chan struct{})}
		b := newObserver(&Options{OnEvent: s.on}, nil)
		b.emit(Event{Kind: EventGap})
		synctest.Wait()
		for i := 1; i <= 2*maxEvents; i++ {
			b.emit(Event{Kind: EventGap, Count: i})
		}
		b.emit(Event{Kind: EventClosed, Count: 2*maxEvents + 1})
		close(s.gate)
		<-b.done
		assert.Equal(t, append([]int{0}, upTo(maxEvents+2, 2*maxEvents+1)...), s.counts(all))
	})
}

func TestOrderSurvivesDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		b := newObserver(&Options{OnEvent: func(e Event) {
			time.Sleep(time.Millisecond)
			s.on(e)
		}}, nil)
		random := rand.New(rand.NewPCG(1, 2))
		const n = 10 * maxEvents
		for i := range n {
			b.emit(Event{Kind: EventKind(random.IntN(int(EventDropped))), Count: i})
			time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
		}
		b.emit(Event{Kind: EventClosed, Count: n})
		<-b.done
		list := s.counts(all)
		for i := 1; i < len(list); i++ {
			require.Less(t, list[i-1], list[i])
		}
		assert.Equal(t, n, list[len(list)-1])
	})
}

func TestLogRecords(t *testing.T) {
	lost := &CloseError{Code: StatusServiceRestart, Reason: "deploy", Remote: true}
	for _, c := range []struct {
		event Event
		want  string
	}{
		{Event{Kind: EventConnecting, State: StateConnecting, Endpoint: "wss://a.test/x?k=redacted", Transport: "websocket", Attempt: 3},
			`level=DEBUG msg="holdfast: connecting" state=connecting endpoint="wss://a.test/x?k=redacted" transport=websocket attempt=3`},
		{Event{Kind: EventConnected, State: StateConnected, Endpoint: "ws://a", Transport: "websocket", Attempt: 1, Epoch: 2},
			`level=INFO msg="holdfast: connected" state=connected endpoint=ws://a transport=websocket attempt=1 epoch=2`},
		{Event{Kind: EventDisconnected, State: StateWaiting, Endpoint: "ws://a", Epoch: 2, Count: 5, Err: lost},
			`level=WARN msg="holdfast: disconnected" state=waiting endpoint=ws://a epoch=2 messages=5 error="holdfast: closed by the peer: 1012 service restart \"deploy\""`},
		{Event{Kind: EventAttemptFailed, State: StateWaiting, Endpoint: "ws://a", Err: errors.New("boom")},
			`level=WARN msg="holdfast: attempt failed" state=waiting endpoint=ws://a error=boom`},
		{Event{Kind: EventWaiting, State: StateWaiting, Endpoint: "ws://a", Delay: 1500 * time.Millisecond},
			`level=DEBUG msg="holdfast: waiting" state=waiting endpoint=ws://a delay=1.5s`},
		{Event{Kind: EventOffline, State: StateOffline}, `level=WARN msg="holdfast: offline" state=offline endpoint=""`},
		{Event{Kind: EventOnline, State: StateConnecting}, `level=INFO msg="holdfast: online" state=connecting endpoint=""`},
		{Event{Kind: EventNetworkChanged, State: StateConnected}, `level=DEBUG msg="holdfast: network changed" state=connected endpoint=""`},
		{Event{Kind: EventGap, State: StateConnected, Epoch: 2}, `level=INFO msg="holdfast: gap" state=connected endpoint="" epoch=2`},
		{Event{Kind: EventDropped, State: StateOffline, Count: 7}, `level=WARN msg="holdfast: dropped" state=offline endpoint="" messages=7`},
		{Event{Kind: EventFellBack, State: StateConnected}, `level=INFO msg="holdfast: fell back" state=connected endpoint=""`},
		{Event{Kind: EventUpgraded, State: StateConnected}, `level=INFO msg="holdfast: upgraded" state=connected endpoint=""`},
		{Event{Kind: EventClosed, State: StateClosed, Err: ErrClosed}, `level=INFO msg="holdfast: closed" state=closed endpoint="" error="holdfast: connection closed"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			b := newObserver(&Options{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
				Level: slog.LevelDebug,
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				},
			}))}, nil)
			b.emit(c.event)
			synctest.Wait()
			assert.Equal(t, c.want, strings.TrimSpace(out.String()))
		})
	}
}

func TestLogComesBeforeTheCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := newObserver(&Options{
			Logger:  slog.New(slog.NewTextHandler(&out, nil)),
			OnEvent: func(e Event) { assert.Contains(t, out.String(), e.Kind.String()) },
		}, nil)
		b.emit(Event{Kind: EventConnected})
		b.emit(Event{Kind: EventClosed})
		<-b.done
	})
}
