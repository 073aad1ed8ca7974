package outbox

import (
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/transport"
)

// acks is what a session changes: every written message is kept until the peer
// acknowledges it, over as many links as that takes, and messages that are
// dropped leave a gap that the peer is told of.
type acks struct {
	on         bool
	maxMessage int    // the peer's
	dropped    uint64 // written messages up to this number were dropped
	skip       uint64 // behind the last of the queue, messages up to this number were dropped
}

// Entry is a message with its number.
type Entry struct {
	transport.Message
	Seq uint64
	// Skip is the number of the last of the messages right before this one that
	// were dropped before they were written; 0 for none.
	Skip uint64
}

// UseAcks begins a session whose peer takes messages of at most maxMessage
// bytes. Larger ones that are queued are dropped with ErrTooBig, and each Push of
// one fails with it.
func (q *Queue) UseAcks(maxMessage int) {
	q.mu.Lock()
	defer q.unlock()
	q.acks.on, q.acks.maxMessage, q.acks.dropped = true, maxMessage, 0
	q.blocked = slices.DeleteFunc(q.blocked, func(p *push) bool {
		big := len(p.data) > maxMessage
		if big {
			p.err = ErrTooBig
			close(p.done)
		}
		return big
	})
	for i := q.taken; i < q.queue.Len(); {
		if q.queue.At(i).n <= maxMessage {
			i++
			continue
		}
		q.drop(q.removeUnsent(i, true), ErrTooBig)
		q.untold.big++
	}
	q.settle()
}

// Ready has a token when TryTake, NextPing or TakeSkip may have something.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Wake puts a token into Ready.
func (q *Queue) Wake() { q.wake() }

// TryTake is Take for a session. It does not wait, and appends the group to
// dst, with room bytes or little more; Written follows, which is also when drops are told: TryTake itself calls
// nobody. What is written then may be read until it is acknowledged, or as long as
// one likes after EndAcks or a drop.
func (q *Queue) TryTake(dst []Entry, room int) []Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropStale()
	q.taken = 0
	bytes := 0
	for i := 0; i < q.queue.Len() && i < maxTryTake; i++ {
		e := q.queue.At(i)
		if i > 0 && bytes >= min(room, maxGroupBytes) {
			break
		}
		bytes += e.n
		dst = append(dst, Entry{Message: e.message(), Seq: e.seq, Skip: e.skip})
		q.taken++
	}
	return dst
}

// TakeSkip returns the number of the last message that was dropped behind all
// that were written, once; 0 while messages are queued.
func (q *Queue) TakeSkip() (skip uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue.Len() == 0 {
		skip, q.acks.skip = q.acks.skip, 0
	}
	return skip
}

// Pending says that messages are queued.
func (q *Queue) Pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queue.Len() > 0
}

// Dropped is the number of the last written message that was dropped.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acks.dropped
}

// Acknowledge settles the messages up to a number: the peer has them.
func (q *Queue) Acknowledge(seq uint64) {
	q.mu.Lock()
	defer q.unlock()
	q.receipt(seq)
}

// receipt frees what is kept up to a number.
func (q *Queue) receipt(seq uint64) {
	for q.kept.Len() > 0 && q.kept.At(0).seq <= seq {
		e := q.kept.Pop()
		q.keptBytes -= e.n
		q.free(&e)
	}
	q.settle()
}

// dropKept forgets what is kept.
func (q *Queue) dropKept() {
	for q.kept.Len() > 0 {
		e := q.kept.Pop()
		q.keptBytes -= e.n
		q.free(&e)
	}
}

// lend leaves the memory of messages to the garbage collector.
func (q *Queue) lend(r *deque.Ring[entry]) {
	for i := range r.Len() {
		q.arena.lend(r.At(i).chunk)
	}
}

// Relink forgets the pings of a link that the session has left behind, so that
// those who wait for a receipt ask again on the next one.
func (q *Queue) Relink() {
	q.mu.Lock()
	defer q.unlock()
	q.receipts.pings = nil
	for _, w := range q.waiters {
		w.pinged = time.Time{}
	}
	q.settle()
}

// EndAcks ends the session: its peer's memory is lost, with err. Messages that
// were written and not acknowledged are queued again (Keep) or lost. It returns
// how many were lost.
func (q *Queue) EndAcks(err error) (unknown int) {
	q.mu.Lock()
	defer q.unlock()
	q.lend(&q.kept)
	if !q.limits.Keep {
		unknown = q.loseKept(err)
	}
	q.acks = acks{}
	for i := range q.queue.Len() {
		q.queue.At(i).skip = 0
	}
	return unknown + q.linkDown(err)
}

// loseKept gives up what was written: it may have arrived.
func (q *Queue) loseKept(err error) (n int) {
	n = q.kept.Len()
	if n == 0 {
		return 0
	}
	first, last := q.kept.At(0).seq, q.kept.At(n-1).seq
	told := 0
	for i := range n {
		if e := q.kept.At(i); e.waiter != nil && !e.waiter.finished {
			e.waiter.finish(&Loss{Maybe: true, Count: 1, Err: err})
			told++
		}
	}
	q.tellFlushes(first, last, &Loss{Maybe: true, Count: n, Err: err})
	if n > told {
		q.lost.add(&Loss{Maybe: true, Count: n - told, Err: err})
	}
	q.stats.Unknown += uint64(n)
	q.dropKept()
	q.waiters = slices.DeleteFunc(q.waiters, func(w *Waiter) bool { return w.finished })
	return n
}
