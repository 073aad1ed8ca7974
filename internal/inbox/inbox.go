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
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/chunk"
	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/transport"
)

// Overhead is what a message counts beyond its bytes, so that empty ones are
// bounded too.
const Overhead = 64

var errNotHeld = errors.New("nothing is held for OnConnect")

// Queue hands each message to one receiver, in order. It is safe for concurrent
// use, but Room, Put, Add, Keep and Wake belong to the one reader of a link.
type Queue struct {
	limit   int
	onPause func()                   // the reader has to wait; called without the lock
	room    chan struct{}            // capacity 1: wakes the paused reader
	idle    atomic.Pointer[receiver] // to be used again
	helper  atomic.Pointer[Helper]   // reads the link for receivers; nil for none

	ready lane
	held  lane // for TakeHeld, while holding

	spare    atomic.Int64 // room that there is at least; 0 for not known
	mu       sync.Mutex
	handed   deque.Deque[*receiver] // have got something and are to be woken
	owed     atomic.Bool            // handed is not empty; written with mu held
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

// New returns an empty Queue that takes messages until limit bytes are in it.
// onPause hears when the reader has to wait for room; it must not block.
func New(limit int, onPause func()) *Queue {
	q := &Queue{limit: limit, onPause: onPause, room: make(chan struct{}, 1), notifyAt: -1}
	q.held.err = errNotHeld
	q.ready.look.Store(never)
	q.held.look.Store(never)
	return q
}

// lane is where messages go, and whose size counts.
func (q *Queue) lane() *lane {
	if q.holding {
		return &q.held
	}
	return &q.ready
}

func (q *Queue) size() int { return int(q.lane().size()) }

// full: what is held has the bound to itself, so that a receiver that is behind
// does not keep the answers from OnConnect.
func (q *Queue) full() bool { return q.size() >= q.limit }

// Held is how many bytes wait to be received, Overhead per message included. Since
// Hold, until Release, only what is held for TakeHeld counts, as for Room.
func (q *Queue) Held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size()
}

// watch has receivers look again when the size falls to where somebody waits for
// it. The caller looks at the size after it: receivers count before they look. It
// follows whatever changes the lane, its size from above, or who waits; where
// messages are added meanwhile receivers only look too early.
func (q *Queue) watch() {
	level := q.notifyAt
	if q.paused {
		level = max(level, q.limit-1)
	}
	q.ready.look.Store(never)
	q.held.look.Store(never)
	if level >= 0 {
		l := q.lane()
		l.look.Store(l.in - int64(level))
	}
}

// settle resumes the reader if there is room, and returns what NotifyAt has to
// call now; the caller does so without the lock.
func (q *Queue) settle() func() {
	q.watch()
	q.resume()
	return q.reached()
}

// reached returns what NotifyAt has to call now; the caller does so without the
// lock.
func (q *Queue) reached() func() {
	if q.notifyAt < 0 || q.size() > q.notifyAt {
		return nothing
	}
	q.notifyAt = -1
	q.watch()
	return q.onRoom
}

func nothing() {}

// resume lets a paused reader go on if there is room.
func (q *Queue) resume() {
	if !q.paused || q.full() && !q.draining {
		return
	}
	q.paused, q.resumed = false, time.Now()
	q.watch()
	select {
	case q.room <- struct{}{}:
	default:
	}
}

// NotifyAt has f called once, without the lock, when Held falls to level or
// below; true says that it is there already, and then f is not called. A negative level
// calls it off.
func (q *Queue) NotifyAt(level int, f func()) (there bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if level < 0 && q.notifyAt < 0 {
		return false
	}
	q.notifyAt, q.onRoom = level, f
	q.watch()
	if level >= 0 && q.size() <= level {
		q.notifyAt = -1
		q.watch()
		return true
	}
	return false
}

// Room waits until there is room for one message of any size; false if stop is
// closed first.
func (q *Queue) Room(stop <-chan struct{}) bool {
	if q.spare.Load() > 0 {
		return true
	}
	for {
		q.mu.Lock()
		began := !q.paused
		q.paused = true
		q.watch()
		full := q.full()
		q.spare.Store(int64(q.limit - q.size()))
		full = full && !q.draining
		if !full {
			if !began { // and who made the room has yet to say so
				q.resumed = time.Now()
			}
			q.paused = false
			q.watch()
		}
		q.mu.Unlock()
		if !full {
			return true
		}
		if began {
			q.onPause()
		}
		q.Wake()
		select {
		case <-q.room:
		case <-stop:
			q.mu.Lock()
			defer q.mu.Unlock()
			q.paused = false
			q.watch()
			return q.draining
		}
	}
}

// Paused says whether the reader waits for room, and when it last stopped to.
func (q *Queue) Paused() (now bool, resumed time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused, q.resumed
}

// Put adds a message, whose data is copied.
func (q *Queue) Put(m transport.Message) {
	q.Add(m)
	q.Wake()
}

// Add is Put without waking who waits: Wake does that, and follows before the
// reader waits for anything. So many messages need one wake.
func (q *Queue) Add(m transport.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.toStore(m) {
		q.lane().back.push(m)
	}
}

// Keep is Add for a reader with memory of its own: what fills mem may stay there,
// and the reader goes on with the chunk returned. m.Data is all of mem.B.
func (q *Queue) Keep(m transport.Message, mem *chunk.Chunk) *chunk.Chunk {
	next := mem
	keep := len(mem.B) >= large && cap(mem.B) <= 2*len(mem.B)
	if keep {
		next = nil
	}
	q.mu.Lock()
	switch {
	case !q.toStore(m):
		next = mem
	case keep:
		q.lane().back.keep(m, mem)
	default:
		q.lane().back.push(m)
	}
	q.mu.Unlock()
	return next
}

// toStore counts a message, and hands it over if a receiver waits. true says that
// it has to be stored.
func (q *Queue) toStore(m transport.Message) bool {
	if q.ready.err != nil || q.deaf {
		return false
	}
	if q.draining && q.full() {
		q.deaf = true // what follows would come after a gap
		return false
	}
	q.received++
	q.bytes += uint64(len(m.Data))
	l := q.lane()
	if l.waiting.Len() > 0 {
		q.hand(l, m)
		return false
	}
	l.count(m)
	q.spare.Store(q.spare.Load() - charge(m))
	return true
}

// hand gives a message to the receiver that has waited longest.
func (q *Queue) hand(l *lane, m transport.Message) {
	r := l.waiting.Pop()
	r.m = copyTo(m, r.dst, r.extend)
	q.wakeSoon(r)
}

func (q *Queue) wakeSoon(r *receiver) {
	q.handed.Push(r)
	q.owed.Store(true)
}

// Wake wakes the receivers that have got something, and says whether there were
// any.
func (q *Queue) Wake() (woken bool) {
	for q.owed.Load() {
		q.mu.Lock()
		var r *receiver
		if q.handed.Len() > 0 {
			r = q.handed.Pop()
		}
		q.owed.Store(q.handed.Len() > 0)
		q.mu.Unlock()
		if r != nil {
			r.got <- struct{}{}
			if h := r.helping.Load(); h != nil {
				(*h).Interrupt()
			}
			woken = true
		}
	}
	return woken
}

// end ends a lane, unless it has ended before. Wake follows.
func (q *Queue) end(l *lane, err error) {
	if l.err != nil {
		return
	}
	l.err = err
	for l.waiting.Len() > 0 {
		r := l.waiting.Pop()
		r.err = err
		q.wakeSoon(r)
	}
}

// Receive returns the next message, its data exactly sized, and after the last
// one the error given to Close. When ctx ends first it takes no message and
// returns ctx's error.
func (q *Queue) Receive(ctx context.Context) (transport.Message, error) {
	return q.take(ctx, &q.ready, nil, false)
}

// ReceiveAppend is Receive with the data appended to dst.
func (q *Queue) ReceiveAppend(ctx context.Context, dst []byte) (transport.Message, error) {
	return q.take(ctx, &q.ready, dst, true)
}

// TakeHeld is Receive for what came since Hold, until EndHeld.
func (q *Queue) TakeHeld(ctx context.Context) (transport.Message, error) {
	return q.take(ctx, &q.held, nil, false)
}

// take is in parts, so that the many who wait need little stack.
func (q *Queue) take(ctx context.Context, l *lane, dst []byte, extend bool) (m transport.Message, err error) {
	r := q.ask(ctx, l, dst, extend, &m, &err)
	if r == nil {
		return m, err
	}
	if l == &q.ready {
		q.help(ctx, r)
	}
	select {
	case <-r.got:
	case <-ctx.Done():
		if q.giveUp(l, r) {
			return m, ctx.Err()
		}
		return r.m, r.err // its token may be still to come
	}
	m, err = r.m, r.err
	r.clear()
	q.idle.Store(r)
	return m, err
}

// ask takes a message or the error if there is one; otherwise it returns who
// waits for it.
func (q *Queue) ask(ctx context.Context, l *lane, dst []byte, extend bool, m *transport.Message, err *error) *receiver {
	if *err = ctx.Err(); *err != nil {
		return nil
	}
	l.taking.Lock()
	if l.front.empty() {
		if r := q.refill(l, dst, extend, err); r != nil || *err != nil {
			l.taking.Unlock()
			return r
		}
	}
	l.take(dst, extend, m)
	look := l.out.Load() >= l.look.Load()
	l.taking.Unlock()
	if look {
		q.look()
	}
	return nil
}

// refill moves what there is to front. If that is nothing, it returns the error,
// or who waits.
func (q *Queue) refill(l *lane, dst []byte, extend bool, err *error) *receiver {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !l.back.empty():
		l.front, l.back = l.back, store{}
		return nil
	case l.err != nil:
		*err = l.err
		return nil
	}
	r := q.idle.Swap(nil)
	if r == nil {
		r = &receiver{got: make(chan struct{}, 1)}
	}
	r.dst, r.extend = dst, extend
	l.waiting.Push(r)
	return r
}

func (q *Queue) look() {
	q.mu.Lock()
	tell := q.settle()
	q.mu.Unlock()
	tell()
}

// giveUp is false where the receiver has got something already.
func (q *Queue) giveUp(l *lane, r *receiver) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(l.waiting.All(), r)
	if i >= 0 {
		l.waiting.Remove(i)
	}
	return i >= 0
}
