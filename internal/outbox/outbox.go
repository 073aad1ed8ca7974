// Package outbox is the bounded queue between Send and the link: it takes
// messages while there is room, hands them to one writer in groups, and keeps
// account of each until a receipt, a loss or a drop has settled its fate.
//
// Messages are numbered from 1 in the order of acceptance. At any time a
// message is queued (at the front perhaps taken by the writer), written without
// a receipt, or settled. Numbers are settled from below: that one number is not
// settled says nothing of those after it, but all before the lowest one are.
//
// A receipt is a pong on a plain link, and an acknowledgement in a session
// (acks.go).
package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/transport"
)

// WhenFull says what Push does when there is no room.
type WhenFull int

// The ways.
const (
	Block WhenFull = iota
	Fail
	DropOldest
)

// Limits bound a Queue.
type Limits struct {
	// MaxBytes and MaxMessages bound what is queued and, with Keep, what is
	// written without a receipt. A message larger than MaxBytes is taken when
	// the queue is empty.
	MaxBytes, MaxMessages int
	// MaxAge is how long a message may be queued; 0 means for ever.
	MaxAge time.Duration
	// WhenFull decides what happens at the bounds.
	WhenFull WhenFull
	// Keep holds each written message until its receipt, and hands it out
	// again on the next link.
	Keep bool
	// ProveAfter is how long a written message goes without a receipt being
	// asked for. 0 is maxUnproven with Keep, and for ever without.
	ProveAfter time.Duration
}

const maxUnproven = time.Second

// Errors of Push and Wait.
var (
	ErrFull    = errors.New("send buffer full")
	ErrDropped = errors.New("the send buffer was full and the oldest message gave way")
	ErrStale   = errors.New("the message waited longer than SendBuffer.MaxAge")
	// ErrTooBig: the message is over LimitMessages.
	ErrTooBig = fmt.Errorf("%w of the peer", transport.ErrMessageTooBig)
)

// Queue is safe for concurrent use, but Take, TryTake, Written, NextPing and
// LinkDown belong to the one writer and whoever starts and joins it.
type Queue struct {
	limits Limits
	onDrop func(n int, err error) // called by unlock
	born   time.Time
	ready  chan struct{}          // capacity 1: there is something to do
	writer atomic.Pointer[Writer] // is woken instead; nil for none

	mu        sync.Mutex
	queue     deque.Ring[entry]
	taken     int               // of queue, in the writer's hands
	kept      deque.Ring[entry] // written without a receipt (Keep)
	bytes     int               // of queue and kept
	keptBytes int
	arena     arena
	batch     *[maxGroup]transport.Message // Take's, nil while it has none
	blocked   []*push
	waiters   []*Waiter
	closeErr  error         // nothing more is accepted
	ended     bool          // nothing more is written
	drained   chan struct{} // closed when nothing more comes and all is written
	expiry    *time.Timer   // MaxAge of the oldest that is not taken
	acks      acks

	lastSeq  uint64 // accepted
	receipts receipts
	lost     Loss  // not yet told to anybody
	left     *Loss // what Close found, if anything
	untold   drops // not yet told to onDrop
	stats    Stats
}

// Stats are counts since the Queue was made, and what it holds.
type Stats struct {
	Sent, SentBytes  uint64 // written
	Dropped, Unknown uint64
	Queued           int // not written on the present link
	QueuedBytes      int64
	Unacknowledged   int // written without a receipt
}

// New returns an empty Queue. onDrop hears of every drop; it must not block.
func New(l Limits, onDrop func(n int, err error)) *Queue {
	if l.Keep && l.ProveAfter == 0 {
		l.ProveAfter = maxUnproven
	}
	q := &Queue{limits: l, onDrop: onDrop, born: time.Now(), ready: make(chan struct{}, 1), drained: make(chan struct{})}
	q.queue, q.kept = newRing(), newRing()
	q.arena.most = 2*(l.MaxBytes>>chunkBits) + spareChunk
	return q
}

// push is a blocked Push; whoever makes room admits it.
type push struct {
	typ    transport.MessageType
	data   []byte // the caller's
	waiter *Waiter
	done   chan struct{} // closed when admitted or failed
	err    error
}

// Push accepts a message and copies its data. The error is ErrFull, ctx's, or the
// one given to BeginClose, and means that nothing was accepted. A waiter, if not
// nil, is told the message's fate by Wait.
func (q *Queue) Push(ctx context.Context, typ transport.MessageType, data []byte, w *Waiter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := ownChunk(data)
	q.mu.Lock()
	if q.closeErr == nil && len(q.blocked) == 0 && q.fits(len(data)) && !q.tooBig(len(data)) {
		q.accept(typ, data, own, w)
		q.mu.Unlock()
		if writer := q.writer.Load(); writer == nil {
			q.wake()
		} else {
			writer.wakeQuickly()
		}
		return nil
	}
	if own != nil {
		own.recycle()
	}
	return q.wait(ctx, &push{typ: typ, data: data, waiter: w})
}

func (q *Queue) tooBig(n int) bool { return q.acks.on && n > q.acks.maxMessage }

// wait is the end of a Push that is not let in at once. It has the lock, and
// gives it back.
func (q *Queue) wait(ctx context.Context, p *push) error {
	switch {
	case q.closeErr != nil:
		p.err = q.closeErr
	case q.tooBig(len(p.data)):
		p.err = ErrTooBig
	case q.limits.WhenFull == Fail:
		p.err = ErrFull
	default:
		p.done = make(chan struct{})
		q.blocked = append(q.blocked, p)
		q.settle() // DropOldest lets it in, unless the writer has what is in its way
	}
	q.unlock()
	if p.done == nil {
		return p.err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		q.mu.Lock()
		if i := slices.Index(q.blocked, p); i >= 0 {
			q.blocked = slices.Delete(q.blocked, i, i+1)
			p.err = ctx.Err()
			q.settle() // a smaller one behind it may fit
		}
		q.unlock()
	}
	return p.err
}

func (q *Queue) fits(n int) bool {
	count := q.queue.Len() + q.kept.Len()
	return count == 0 || count < q.limits.MaxMessages && q.bytes+n <= q.limits.MaxBytes
}

// accept queues a message; own is its chunk if it is large. wake follows.
func (q *Queue) accept(typ transport.MessageType, data []byte, own *chunk, w *Waiter) {
	e := q.queue.Add()
	q.lastSeq++
	e.seq, e.typ, e.n = q.lastSeq, uint8(typ), len(data)
	e.skip, q.acks.skip = q.acks.skip, 0
	if own != nil {
		e.chunk = own
	} else {
		var off int
		e.chunk, off = q.arena.put(data)
		e.off = uint32(off)
	}
	q.bytes += len(data)
	if w != nil {
		w.from, w.to = e.seq, e.seq
		e.waiter = w
		q.waiters = append(q.waiters, w)
	}
	if q.limits.MaxAge > 0 {
		e.at = int64(time.Since(q.born))
		q.armExpiry()
	}
}

// free forgets a message that has been removed.
func (q *Queue) free(e *entry) {
	q.bytes -= e.n
	q.arena.free(e.chunk)
}

// idle gives memory back once nothing is queued or kept.
func (q *Queue) idle() {
	if q.queue.Len()+q.kept.Len() == 0 {
		q.arena.idle()
	}
}

// admit lets blocked senders in, in their order, while there is room or
// DropOldest can make it.
func (q *Queue) admit() {
	for len(q.blocked) > 0 {
		p := q.blocked[0]
		for !q.fits(len(p.data)) {
			if q.limits.WhenFull != DropOldest || !q.dropOldest() {
				return
			}
		}
		q.blocked = slices.Delete(q.blocked, 0, 1)
		q.accept(p.typ, p.data, ownChunk(p.data), p.waiter)
		close(p.done)
		q.wake()
	}
}

// wake tells the writer that there is something to do.
func (q *Queue) wake() {
	if w := q.writer.Load(); w != nil {
		w.Wake()
		return
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// settle follows each change of what is unsettled: it admits blocked senders,
// lets waiters go or has the writer ping for them, and notices that all is
// written.
func (q *Queue) settle() {
	q.admit()
	q.armExpiry()
	q.idle()
	if len(q.waiters) > 0 {
		low := q.low()
		q.waiters = slices.DeleteFunc(q.waiters, func(w *Waiter) bool {
			if low > w.to {
				w.finish(nil)
			}
			return w.finished
		})
		if slices.ContainsFunc(q.waiters, q.wantsPing) {
			q.wake()
		}
	}
	if q.closeErr != nil && q.queue.Len() == 0 && !isClosed(q.drained) {
		close(q.drained)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// low is the lowest number that is not settled.
func (q *Queue) low() uint64 {
	switch {
	case q.kept.Len() > 0:
		return q.kept.At(0).seq
	case q.receipts.unproven > 0:
		return q.receipts.proven + 1
	case q.queue.Len() > 0:
		return q.queue.At(0).seq
	}
	return q.lastSeq + 1
}

// BeginClose accepts no more: Push fails with err, blocked ones at once. What
// was accepted still goes out.
func (q *Queue) BeginClose(err error) {
	q.mu.Lock()
	defer q.unlock()
	if q.closeErr != nil {
		return
	}
	q.closeErr = err
	for _, p := range q.blocked {
		p.err = err
		close(p.done)
	}
	q.blocked = nil
	q.settle()
}

// Drained is closed once nothing is left to write after BeginClose; LinkDown with
// Keep may begin another one.
func (q *Queue) Drained() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drained
}

// Left is what Close found.
type Left struct {
	Messages  int // accepted, never handed to a link
	Bytes     int64
	MaybeSent int // handed to a link, no receipt
}

// Close ends the queue: waiters and blocked senders get err; what is left is
// counted and forgotten. The writer has been joined.
func (q *Queue) Close(err error) Left {
	q.BeginClose(err)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	left := Left{MaybeSent: q.receipts.unproven + q.kept.Len()}
	for i := range q.queue.Len() {
		if e := q.queue.At(i); e.written || i < q.taken {
			left.MaybeSent++
		} else {
			left.Messages++
			left.Bytes += int64(e.n)
		}
	}
	if n := left.Messages + left.MaybeSent; n > 0 {
		q.left = &Loss{Maybe: left.MaybeSent > 0, Count: n, Err: err}
	}
	for _, w := range q.waiters {
		loss := q.pending(w, err)
		if w.flush {
			loss.Count += max(q.lost.Count, w.lost.Count)
			loss.Maybe = loss.Maybe || q.lost.Maybe || w.lost.Maybe
		}
		w.finish(loss)
	}
	q.waiters = nil
	q.writer.Store(nil)
	q.lend(&q.queue) // for a writer that could not be joined
	q.lend(&q.kept)
	q.queue.Reset()
	q.kept.Reset()
	q.bytes, q.keptBytes, q.taken, q.batch = 0, 0, 0, nil
	q.idle()
	q.receipts.reset()
	q.acks.skip = 0
	q.disarmExpiry()
	if !isClosed(q.drained) {
		close(q.drained)
	}
	return left
}

// Stats returns the counts.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Queued, s.QueuedBytes = q.queue.Len(), int64(q.bytes-q.keptBytes)
	s.Unacknowledged = q.receipts.unproven + q.kept.Len()
	return s
}
