package outbox

import (
	"slices"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

const (
	maxGroup      = 1024      // messages the writer takes at once
	maxTryTake    = 256       // the same in a session
	maxGroupBytes = 256 << 10 // and their bytes, but for a single larger one
	maxPings      = 16        // unanswered ones that are remembered
)

// receipts knows what has been written on the present link and what the peer
// has proven to have read, by answering a ping that was sent after it.
type receipts struct {
	written, proven uint64 // message numbers; proven+1 is unproven, if any is
	unproven        int    // messages from there to written, where they are not kept
	lastPing        uint64
	pings           []ping // unanswered, oldest first
	asked           bool   // a ping is wanted whatever was written
	due             bool   // written messages have waited long enough
	timer           *time.Timer
}

type ping struct {
	id, upTo uint64 // upTo: the last message written before it
	next     uint64 // the first one written after it, 0 for none
	unproven int    // messages that were unproven then
	at       time.Time
}

// reset forgets the present link.
func (r *receipts) reset() {
	r.proven, r.unproven, r.pings, r.asked, r.due = r.written, 0, nil, false, false
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// Take waits until there is something to write or to ask and returns the next
// group, perhaps empty; ok is false once stop is closed. The group is the
// writer's until Written.
func (q *Queue) Take(stop <-chan struct{}) (group []transport.Message, ok bool) {
	for {
		select {
		case <-stop:
			return nil, false
		default:
		}
		group, due := q.TakeNow()
		if due {
			return group, true
		}
		select {
		case <-q.ready:
		case <-stop:
			return nil, false
		}
	}
}

// TakeNow is Take without the wait: due says that there is something to write or
// to ask.
func (q *Queue) TakeNow() (group []transport.Message, due bool) {
	q.mu.Lock()
	q.dropStale()
	group = q.take()
	due = len(group) > 0 || q.receipts.asked || q.receiptDue()
	q.unlock()
	return group, due
}

// batches are slices for groups.
var batches = sync.Pool{New: func() any { return new([maxGroup]transport.Message) }}

func (q *Queue) take() []transport.Message {
	if q.queue.Len() == 0 {
		q.taken = 0
		return nil
	}
	if q.batch == nil {
		q.batch = batches.Get().(*[maxGroup]transport.Message)
	}
	group, bytes := q.batch[:0], 0
	for i := 0; i < q.queue.Len() && i < maxGroup; i++ {
		e := q.queue.At(i)
		if bytes += e.n; i > 0 && bytes > maxGroupBytes {
			break
		}
		group = append(group, e.message())
	}
	q.taken = len(group)
	return group
}

// Written accounts for the group taken last: its first n messages went to the
// link, the rest stays queued. ping says that NextPing may have one.
func (q *Queue) Written(n int) (ping bool) {
	q.mu.Lock()
	q.written(n)
	ping = q.receipts.asked || q.receiptDue()
	q.unlock()
	return ping
}

// WrittenBy is Written for a writer of which it is not sure that it has been
// joined. It does nothing when LinkDown or Close has come first.
func (q *Queue) WrittenBy(w *Writer, n int) (ping bool) {
	q.mu.Lock()
	if q.writer.Load() == w {
		q.written(n)
		ping = q.receipts.asked || q.receiptDue()
	}
	q.unlock()
	return ping
}

func (q *Queue) written(n int) {
	r := &q.receipts
	keep := q.limits.Keep || q.acks.on
	if n > 0 && !keep {
		r.wrote(q.queue.At(0).seq, n)
	}
	for range n {
		e := q.queue.Pop()
		r.written = e.seq
		q.stats.SentBytes += uint64(e.n)
		if keep {
			e.skip = 0 // told with it
			*q.kept.Add() = e
			q.keptBytes += e.n
		} else {
			q.free(&e)
		}
	}
	q.stats.Sent += uint64(n)
	if n < q.taken {
		q.disarmExpiry() // those in front are older
	}
	if q.batch != nil {
		clear(q.batch[:q.taken])
		batches.Put(q.batch)
		q.batch = nil
	}
	q.taken = 0
	if q.limits.ProveAfter > 0 && n > 0 && r.timer == nil && !q.ended && !q.acks.on {
		r.timer = time.AfterFunc(q.limits.ProveAfter, func() {
			q.mu.Lock()
			r.timer = nil
			r.due = q.uncovered()
			q.mu.Unlock()
			q.wake()
		})
	}
	q.settle()
}

// wrote counts n messages, the first of which is seq. The numbers before it that
// were not written belong to messages that were dropped or withdrawn: nothing is
// to be proven of them.
func (r *receipts) wrote(seq uint64, n int) {
	if r.unproven == 0 {
		r.proven = seq - 1
	}
	r.unproven += n
	for i := len(r.pings) - 1; i >= 0 && r.pings[i].next == 0; i-- {
		r.pings[i].next = seq
	}
}

// RequestPing makes the writer send a ping, whatever there is to write.
func (q *Queue) RequestPing() {
	q.mu.Lock()
	q.receipts.asked = true
	q.mu.Unlock()
	q.wake()
}

// PingRequested says that RequestPing has not been followed by a ping yet.
func (q *Queue) PingRequested() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.receipts.asked
}

// receiptDue says that a proof of receipt is wanted.
func (q *Queue) receiptDue() bool {
	r := &q.receipts
	crowded := q.limits.Keep && (q.keptBytes >= q.limits.MaxBytes/4 || q.kept.Len() >= q.limits.MaxMessages/4)
	if (r.due || crowded) && q.uncovered() && !q.acks.on {
		return true
	}
	return slices.ContainsFunc(q.waiters, q.wantsPing)
}

// wantsPing: nothing that w waits for is still to be written, and no ping has
// followed it.
func (q *Queue) wantsPing(w *Waiter) bool {
	return w.pinged.IsZero() && (q.queue.Len() == 0 || q.queue.At(0).seq > w.to)
}

// uncovered says that messages without a receipt were written after the last ping.
func (q *Queue) uncovered() bool {
	pings := q.receipts.pings
	return q.kept.Len()+q.receipts.unproven > 0 && (len(pings) == 0 || pings[len(pings)-1].upTo < q.receipts.written)
}

// NextPing returns the id of the ping to send now, if one is due. answered says
// that something else was sent for RequestPing.
func (q *Queue) NextPing(answered bool) (id uint64, due bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &q.receipts
	due = q.receiptDue() || r.asked && !answered
	r.asked = false
	if !due {
		return 0, false
	}
	r.due = false
	r.lastPing++
	now := time.Now()
	if len(r.pings) == maxPings {
		// The last gives way, not the first: where more are on their way than
		// are remembered, the first is the one whose answer comes next.
		r.pings = r.pings[:maxPings-1]
	}
	r.pings = append(r.pings, ping{id: r.lastPing, upTo: r.written, unproven: r.unproven, at: now})
	for _, w := range q.waiters {
		if q.wantsPing(w) {
			w.pinged = now
			w.wake()
		}
	}
	return r.lastPing, true
}

// Pong takes the peer's answer to the ping id, which answers all earlier ones
// too (RFC 6455, section 5.5.3). ok is false where it gives no round trip: id is
// not remembered.
func (q *Queue) Pong(id uint64) (rtt time.Duration, ok bool) {
	q.mu.Lock()
	defer q.unlock()
	r := &q.receipts
	n := len(r.pings)
	for n > 0 && r.pings[n-1].id > id {
		n--
	}
	if n == 0 || id > r.lastPing {
		return 0, false
	}
	p := r.pings[n-1]
	r.pings = slices.Delete(r.pings, 0, n)
	if q.acks.on { // only an acknowledgement proves
		return time.Since(p.at), p.id == id
	}
	for i := range r.pings {
		r.pings[i].unproven -= p.unproven
	}
	r.unproven -= p.unproven
	if r.proven = p.upTo; p.next > 0 {
		r.proven = p.next - 1
	}
	q.receipt(p.upTo)
	if p.id != id {
		return 0, false
	}
	return time.Since(p.at), true
}

// Proven says that the peer has read all that was written.
func (q *Queue) Proven() {
	q.mu.Lock()
	defer q.unlock()
	q.receipts.reset()
	if q.acks.on { // the session still has it
		q.lend(&q.kept)
	}
	q.dropKept()
	q.settle()
}

// LinkDown accounts for the end of the link: what was written without a receipt
// is queued again (Keep) or lost with err. It returns how many were lost. The
// writer has been joined, or may still have the group that it took last: then
// that counts as written.
func (q *Queue) LinkDown(err error) (unknown int) {
	q.mu.Lock()
	defer q.unlock()
	return q.linkDown(err)
}

func (q *Queue) linkDown(err error) (unknown int) {
	r := &q.receipts
	if q.taken > 0 {
		for i := range q.taken {
			q.arena.lend(q.queue.At(i).chunk)
		}
		q.batch = nil
		q.writer.Store(nil)
		q.written(q.taken)
	}
	unknown = r.unproven
	if unknown > 0 {
		q.tellFlushes(r.proven+1, r.written, &Loss{Maybe: true, Count: unknown, Err: err})
	}
	told := 0
	for _, w := range q.waiters {
		w.pinged = time.Time{}
		w.wake()
		if !w.flush && r.proven < w.to && w.to <= r.written && !q.limits.Keep {
			w.finish(&Loss{Maybe: true, Count: 1, Err: err})
			told++
		}
	}
	if unknown > told {
		q.lost.add(&Loss{Maybe: true, Count: unknown - told, Err: err})
	}
	q.stats.Unknown += uint64(unknown)
	r.reset()
	if q.kept.Len() > 0 {
		again := q.kept
		q.kept = newRing()
		for i := range again.Len() {
			again.At(i).written = true
		}
		for q.queue.Len() > 0 {
			*again.Add() = q.queue.Pop()
		}
		q.queue, q.keptBytes = again, 0
		r.written = again.At(0).seq - 1 // on the next link they are not
		q.disarmExpiry()                // those in front are older
		if isClosed(q.drained) {
			q.drained = make(chan struct{})
		}
	}
	q.settle()
	return unknown
}
