package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
)

// What the clients are told, short enough for a run of seconds.
const (
	pace         = 10 * time.Millisecond // between two messages each way
	initialDelay = 200 * time.Millisecond
	maxDelay     = time.Second
	maxRetries   = 10
	stableAfter  = time.Second / 2
	pingAfter    = time.Second / 2
	pongWithin   = time.Second
	flushEvery   = 500 * time.Millisecond
)

// foundWithin is how long a link may be dead before its client knows.
const foundWithin = pingAfter + pongWithin

// lane is one client with one promise of delivery, and the books on what was
// sent and what arrived, kept at both ends.
type lane struct {
	name     string
	path     string // by which the server knows it
	delivery holdfast.Delivery
	session  bool // with package server, and with a fallback: exactly once
	conn     *holdfast.Conn
	joined   sync.WaitGroup // of receive

	mu sync.Mutex
	// Client to server: accepted by Send; arrived, by the server's links.
	upSent uint64
	up     ledger
	// Server to client: handed to a link or session; arrived, by Message.Epoch.
	downSent uint64
	down     ledger

	links       uint64 // or sessions, accepted by the server; the last is the present one
	handshakes  int    // that reached the server
	refused     map[string]time.Time
	refusals    []refusal
	closeCode   holdfast.StatusCode // of the client's last close frame
	answeredAt  time.Time           // just before the server answered it
	garbled     int                 // messages that were no number
	events      []holdfast.Event
	awaited     []*arrival
	lastArrival time.Time
	silence     time.Duration // the longest time in which nothing arrived
	told        uint64        // messages that Flush reported as lost
	failure     error         // of a call that must not fail
}

// arrival is that of the first message that the server sent after another one.
type arrival struct {
	after uint64
	at    time.Time // zero: not yet
}

// refusal is a 503 and how long the client then stayed away.
type refusal struct{ asked, stayed time.Duration }

// newLanes returns one lane for each promise of delivery.
func newLanes() []*lane {
	lanes := []*lane{
		{name: "at least once", path: "/at-least-once", delivery: holdfast.AtLeastOnce},
		{name: "at most once", path: "/at-most-once", delivery: holdfast.AtMostOnce},
		{name: "exactly once", path: "/exactly-once", session: true},
	}
	for _, l := range lanes {
		l.refused = map[string]time.Time{}
	}
	return lanes
}

// dial connects the lane's client and starts to receive.
func (l *lane) dial(ctx context.Context, d *demo) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	addr, others := d.service.addr, []holdfast.Transport(nil)
	if l.session {
		addr, others = d.service.front.addr, []holdfast.Transport{fallback.LongPoll(nil)}
	}
	conn, err := holdfast.Dial(ctx, "ws://"+addr+l.path, &holdfast.Options{
		DialContext: d.place.dial,
		Network:     d.network,
		Delivery:    l.delivery,
		Fallback:    others,
		Retry: holdfast.RetryPolicy{
			MaxRetries: maxRetries, InitialDelay: initialDelay, MaxDelay: maxDelay, StableAfter: stableAfter,
		},
		Keepalive: holdfast.Keepalive{Interval: pingAfter, Timeout: pongWithin},
		OnEvent: func(e holdfast.Event) {
			l.mu.Lock()
			l.events = append(l.events, e)
			l.mu.Unlock()
			d.journal.event(l.name, e)
		},
	})
	if err != nil {
		return fmt.Errorf("the client %q: %w", l.name, err)
	}
	l.conn = conn
	l.joined.Go(l.receive)
	return nil
}

// send sends numbers until ctx ends.
func (l *lane) send(ctx context.Context) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := l.conn.Send(ctx, holdfast.Text, strconv.AppendUint(nil, n, 10)); err != nil {
			if ctx.Err() == nil {
				l.fail(err)
			}
			return
		}
		l.mu.Lock()
		l.upSent = n
		l.mu.Unlock()
	}
}

// confirm flushes now and then, so that the client gets to know what has
// arrived. Delivering at least once, it asks by itself.
func (l *lane) confirm(ctx context.Context) {
	if l.delivery == holdfast.AtLeastOnce {
		return
	}
	for ctx.Err() == nil {
		_ = l.flush(ctx) // the last one, in end, counts
		sleep(ctx, flushEvery)
	}
}

// flush adds up the losses that Flush reports: those that came with a link's
// end. An answer that is late does not tell of a loss, and neither does ctx.
func (l *lane) flush(ctx context.Context) error {
	err := l.conn.Flush(ctx)
	var lost *holdfast.SendError
	var end *holdfast.CloseError
	if errors.As(err, &lost) && errors.As(err, &end) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.told += uint64(lost.Count)
		if lost.Outcome == holdfast.MaybeSent {
			return nil
		}
	}
	return err
}

// receive takes what arrives at the client, until it is closed.
func (l *lane) receive() {
	for m, err := range l.conn.Messages(context.Background()) {
		if err != nil {
			l.fail(err)
			return
		}
		l.arrived(m, time.Now())
	}
}

func (l *lane) arrived(m holdfast.Message, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lastArrival.IsZero() {
		l.silence = max(l.silence, now.Sub(l.lastArrival))
	}
	l.lastArrival = now
	l.note(&l.down, m.Epoch, m.Data)
	l.awaited = slices.DeleteFunc(l.awaited, func(a *arrival) bool {
		if l.down.latest <= a.after {
			return false
		}
		a.at = now
		return true
	})
}

// await waits for the first message of those that are sent from now on.
func (l *lane) await() *arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &arrival{after: l.downSent}
	l.awaited = append(l.awaited, a)
	return a
}

// back says that a is over and the client connected.
func (l *lane) back(a *arrival) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !a.at.IsZero() && l.conn.State() == holdfast.StateConnected
}

// note writes a message down. l.mu is held.
func (l *lane) note(book *ledger, link uint64, data []byte) {
	n, err := strconv.ParseUint(string(data), 10, 64)
	if err != nil {
		l.garbled++
		return
	}
	book.add(link, n)
}

func (l *lane) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil {
		l.failure = err
	}
}

// ending is how a client's last moments went.
type ending struct {
	flush  error  // of Flush, once nothing more was sent
	tail   uint64 // messages that the server sent last and that did not come
	close  error  // of Close
	closed time.Time
	took   time.Duration // Close
	err    error         // what Err said in the end
	done   bool          // Done was closed
	stats  holdfast.Stats
}

// end makes sure of what is on its way and closes the client. Nothing is sent
// any more.
func (l *lane) end() ending {
	var e ending
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e.flush = l.flush(ctx)
	until(ctx, patience, func() bool {
		e.tail = l.tail()
		return e.tail == 0
	})
	began := time.Now()
	e.close = l.conn.Close()
	e.closed = time.Now()
	e.took = e.closed.Sub(began)
	l.joined.Wait()
	e.done = until(context.Background(), patience, func() bool {
		select {
		case <-l.conn.Done():
			return true
		default:
			return false
		}
	})
	e.err, e.stats = l.conn.Err(), l.conn.Stats()
	return e
}

// tail is how many of the last numbers from the server have not arrived.
func (l *lane) tail() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.downSent - min(l.down.latest, l.downSent)
}

// settled says that the client has been connected for as long as it takes
// to count as stable, so that its next failure is a first one.
func (l *lane) settled() bool {
	s := l.conn.Stats()
	return s.State == holdfast.StateConnected && time.Since(s.ConnectedSince) > stableAfter+stableAfter/10
}

func (l *lane) handshakeCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handshakes
}

// books returns a copy of the lane for the tally, once all has ended.
func (l *lane) books() books {
	l.mu.Lock()
	defer l.mu.Unlock()
	return books{
		name: l.name, delivery: l.delivery, session: l.session, links: l.links,
		up: l.up.count(l.upSent), down: l.down.count(l.downSent),
		handshakes: l.handshakes, refusals: slices.Clone(l.refusals), closeCode: l.closeCode, answeredAt: l.answeredAt,
		garbled: l.garbled, events: slices.Clone(l.events),
		silence: l.silence, told: l.told, failure: l.failure,
	}
}

// until waits until ok, at most limit; false when it did not come true.
func until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			return ok()
		case <-ctx.Done():
			return ok()
		}
	}
	return true
}

// sleep waits for d; it ends early with ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
