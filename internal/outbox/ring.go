package outbox

import (
	"sort"
	"sync"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/transport"
)

// entry is a message in the queue.
type entry struct {
	seq     uint64
	skip    uint64  // in a session: the messages up to this number, right before it, were dropped
	at      int64   // when it was accepted, in ns since the queue was made; set with MaxAge only
	chunk   *chunk  // nil for an empty one
	waiter  *Waiter // is told this message's fate, nil: the next Flush is
	n       int     // bytes
	off     uint32  // where they are in chunk
	typ     uint8
	written bool // on an earlier link (Keep)
}

var empty = []byte{}

func (e *entry) message() transport.Message {
	data := empty
	if e.n > 0 {
		end := int(e.off) + e.n
		data = e.chunk.buf[e.off:end:end]
	}
	return transport.Message{Type: transport.MessageType(e.typ), Data: data}
}

const (
	segmentBits = 7
	segmentLen  = 1 << segmentBits
)

type segment [segmentLen]entry

var segments = sync.Pool{New: func() any { return new(segment) }}

// ring is a queue of entries in recycled segments: none of them moves but in
// remove, and an empty ring has none.
type ring struct {
	segs    deque.Deque[*segment]
	head, n int // head: the front's place in the first segment
}

func (r *ring) Len() int { return r.n }

// At returns the entry at i, 0 being the front. The pointer holds until it is
// popped, or a removal.
func (r *ring) At(i int) *entry {
	i += r.head
	return &(*r.segs.At(i >> segmentBits))[i&(segmentLen-1)]
}

// Add makes room for one at the back and returns it, zero.
func (r *ring) Add() *entry {
	if end := r.head + r.n; end == r.segs.Len()<<segmentBits {
		r.segs.Push(segments.Get().(*segment))
	}
	r.n++
	return r.At(r.n - 1)
}

// Pop removes the front.
func (r *ring) Pop() entry {
	e := r.At(0)
	v := *e
	*e = entry{}
	r.n--
	if r.head++; r.head == segmentLen || r.n == 0 {
		segments.Put(r.segs.Pop())
		r.head = 0
	}
	return v
}

// Remove removes the entry at i. It moves those before it.
func (r *ring) Remove(i int) entry {
	v := *r.At(i)
	for ; i > 0; i-- {
		*r.At(i) = *r.At(i - 1)
	}
	r.Pop()
	return v
}

// Reset empties it.
func (r *ring) Reset() {
	for r.n > 0 {
		r.Pop()
	}
}

// span says where the messages of a waiter are, from i to before end.
func (r *ring) span(w *Waiter) (i, end int) {
	i = sort.Search(r.n, func(i int) bool { return r.At(i).seq >= w.from })
	end = sort.Search(r.n, func(i int) bool { return r.At(i).seq > w.to })
	return i, end
}
