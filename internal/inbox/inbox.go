// Package inbox is the bounded queue between the link and Receive. Its bound
// works on the reader, which asks for room before it reads, so that a message
// once read always has a place. A session's reader never waits: there the bound
// is the window that the peer is told of, made from Held.
package inbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/transport"
)

// Overhead is what a message counts beyond its bytes, so that empty ones are
// bounded too.
const Overhead = 64

var errNotHeld = errors.New("nothing is held for OnConnect")

// Queue hands each message to one receiver, in order. It is safe for concurrent
// use, but Room and Put belong to the one reader of a link.
type Queue struct {
	limit   int
	onPause func()        // the reader has to wait; called without the lock
	room    chan struct{} // capacity 1: wakes the paused reader

	mu       sync.Mutex
	ready    lane
	held     lane // for TakeHeld, while holding
	holding  bool
	draining bool
	deaf     bool // something found no room while draining
	paused   bool
	resumed  time.Time // when a pause ended
	received uint64
	bytes    uint64
	onRoom   func() // NotifyAt
	notifyAt int
}

// lane is a queue of messages, or of receivers that wait for one.
type lane struct {
	msgs    deque.Deque[transport.Message]
	size    int // with overhead
	bytes   int64
	waiting []*receiver
	err     error // ends the lane, after its messages
}

type receiver struct {
	got chan struct{} // closed when m or err is set
	m   transport.Message
	err error
}

func (l *lane) put(m transport.Message) {
	if len(l.waiting) > 0 {
		r := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		r.m = m
		close(r.got)
		return
	}
	l.msgs.Push(m)
	l.size += len(m.Data) + Overhead
	l.bytes += int64(len(m.Data))
}

func (l *lane) pop() transport.Message {
	m := l.msgs.Pop()
	l.size -= len(m.Data) + Overhead
	l.bytes -= int64(len(m.Data))
	return m
}

// end ends the lane, unless it has ended before.
func (l *lane) end(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	for _, r := range l.waiting {
		r.err = err
		close(r.got)
	}
	l.waiting = nil
}

// New returns an empty Queue that takes messages until limit bytes are in it.
// onPause hears when the reader has to wait for room; it must not block.
func New(limit int, onPause func()) *Queue {
	return &Queue{limit: limit, onPause: onPause, room: make(chan struct{}, 1), held: lane{err: errNotHeld}, notifyAt: -1}
}

// Held is how many bytes wait to be received, Overhead per message included. Since
// Hold, until Release, only what is held for TakeHeld counts, as for Room.
func (q *Queue) Held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size()
}

func (q *Queue) size() int {
	if q.holding {
		return q.held.size
	}
	return q.ready.size
}

// reached returns what NotifyAt has to call now; the caller does so without the
// lock.
func (q *Queue) reached() func() {
	if q.notifyAt < 0 || q.size() > q.notifyAt {
		return func() {}
	}
	q.notifyAt = -1
	return q.onRoom
}

// NotifyAt has f called once, without the lock, when Held falls to level or
// below; true says that it is there already, and then f is not called. A negative level
// calls it off.
func (q *Queue) NotifyAt(level int, f func()) (there bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if level >= 0 && q.size() <= level {
		q.notifyAt = -1
		return true
	}
	q.notifyAt, q.onRoom = level, f
	return false
}

// Room waits until there is room for one message of any size; false if stop is
// closed first.
func (q *Queue) Room(stop <-chan struct{}) bool {
	for {
		q.mu.Lock()
		full := q.full() && !q.draining
		began := full && !q.paused
		q.paused = full
		q.mu.Unlock()
		if !full {
			return true
		}
		if began {
			q.onPause()
		}
		select {
		case <-q.room:
		case <-stop:
			q.mu.Lock()
			defer q.mu.Unlock()
			q.paused = false
			return q.draining
		}
	}
}

// full: what is held has the bound to itself, so that a receiver that is behind
// does not keep the answers from OnConnect.
func (q *Queue) full() bool {
	if q.holding {
		return q.held.size >= q.limit
	}
	return q.ready.size >= q.limit
}

// Paused says whether the reader waits for room, and when it last stopped to.
func (q *Queue) Paused() (now bool, resumed time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused, q.resumed
}

// Put adds a message.
func (q *Queue) Put(m transport.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ready.err != nil || q.deaf {
		return
	}
	if q.draining && q.full() {
		q.deaf = true // what follows would come after a gap
		return
	}
	q.received++
	q.bytes += uint64(len(m.Data))
	if q.holding {
		q.held.put(m)
	} else {
		q.ready.put(m)
	}
}

// Receive returns the next message, and after the last one the error given to
// Close. When ctx ends first it takes no message and returns ctx's error.
func (q *Queue) Receive(ctx context.Context) (transport.Message, error) {
	return q.take(ctx, &q.ready)
}

// TakeHeld is Receive for what came since Hold, until EndHeld.
func (q *Queue) TakeHeld(ctx context.Context) (transport.Message, error) {
	return q.take(ctx, &q.held)
}

// take is in parts, so that the many who wait need little stack.
func (q *Queue) take(ctx context.Context, l *lane) (m transport.Message, err error) {
	r := q.ask(ctx, l, &m, &err)
	if r == nil {
		return m, err
	}
	select {
	case <-r.got:
	case <-ctx.Done():
		if q.giveUp(l, r) {
			return m, ctx.Err()
		}
	}
	return r.m, r.err
}

// ask takes a message or the error if there is one; otherwise it returns who
// waits for it.
func (q *Queue) ask(ctx context.Context, l *lane, m *transport.Message, err *error) *receiver {
	if *err = ctx.Err(); *err != nil {
		return nil
	}
	q.mu.Lock()
	tell := func() {}
	switch {
	case l.msgs.Len() > 0:
		*m = l.pop()
		q.resume()
		tell = q.reached()
	case l.err != nil:
		*err = l.err
	default:
		r := &receiver{got: make(chan struct{})}
		l.waiting = append(l.waiting, r)
		q.mu.Unlock()
		return r
	}
	q.mu.Unlock()
	tell()
	return nil
}

// giveUp is false where the receiver has got something already.
func (q *Queue) giveUp(l *lane, r *receiver) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(l.waiting, r)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

// resume lets a paused reader go on if there is room.
func (q *Queue) resume() {
	if !q.paused || q.full() && !q.draining {
		return
	}
	q.paused, q.resumed = false, time.Now()
	select {
	case q.room <- struct{}{}:
	default:
	}
}

// Hold keeps what comes from now on for TakeHeld.
func (q *Queue) Hold() {
	q.mu.Lock()
	q.held.end(errNotHeld)
	q.holding, q.held = true, lane{}
	tell := q.reached()
	q.mu.Unlock()
	tell()
}

// EndHeld ends TakeHeld with err, after what came before.
func (q *Queue) EndHeld(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.holding {
		q.held.end(err)
	}
}

// Release gives what TakeHeld left to Receive, or forgets it. It ends TakeHeld,
// if EndHeld has not.
func (q *Queue) Release(forget bool) {
	q.mu.Lock()
	for !forget && q.ready.err == nil && q.held.msgs.Len() > 0 {
		q.ready.put(q.held.pop())
	}
	q.held.end(errNotHeld)
	q.holding, q.held = false, lane{err: q.held.err}
	q.resume()
	tell := q.reached()
	q.mu.Unlock()
	tell()
}

// Drain keeps the reader reading for the sake of the close handshake: what finds
// no room is forgotten from now on.
func (q *Queue) Drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.draining = true
	q.resume()
}

// Close ends the queue: receivers get err, after what is in it.
func (q *Queue) Close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready.end(err)
}

// Stats are counts since the Queue was made, and what it holds.
type Stats struct {
	Received, ReceivedBytes uint64
	Queued                  int
	QueuedBytes             int64
}

// Stats returns the counts.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{Received: q.received, ReceivedBytes: q.bytes,
		Queued: q.ready.msgs.Len() + q.held.msgs.Len(), QueuedBytes: q.ready.bytes + q.held.bytes}
}
