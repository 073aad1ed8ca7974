package deque

import "sync"

const (
	segmentBits = 7
	segmentLen  = 1 << segmentBits
)

type segment[T any] [segmentLen]T

// Pool recycles the memory of Rings.
type Pool[T any] struct{ segments sync.Pool }

// Ring is a queue in segments of a Pool. None of its items moves but in Remove,
// and an empty one holds no memory. Pool is set before its first use.
type Ring[T any] struct {
	Pool    *Pool[T]
	segs    Deque[*segment[T]]
	head, n int // head: the front's place in the first segment
}

// Len returns how many items there are.
func (r *Ring[T]) Len() int { return r.n }

// At returns the item at i, 0 being the front. The pointer holds until the item is
// popped, or one is removed.
func (r *Ring[T]) At(i int) *T {
	i += r.head
	return &(*r.segs.At(i >> segmentBits))[i&(segmentLen-1)]
}

// Add adds a zero item at the back and returns it.
func (r *Ring[T]) Add() *T {
	if r.head+r.n == r.segs.Len()<<segmentBits {
		s, ok := r.Pool.segments.Get().(*segment[T])
		if !ok {
			s = new(segment[T])
		}
		r.segs.Push(s)
	}
	r.n++
	return r.At(r.n - 1)
}

// Pop removes and returns the front.
func (r *Ring[T]) Pop() T {
	p := r.At(0)
	v := *p
	var zero T
	*p = zero
	r.n--
	if r.head++; r.head == segmentLen || r.n == 0 {
		r.Pool.segments.Put(r.segs.Pop())
		r.head = 0
	}
	return v
}

// Remove removes and returns the item at i. It moves those before it.
func (r *Ring[T]) Remove(i int) T {
	v := *r.At(i)
	for ; i > 0; i-- {
		*r.At(i) = *r.At(i - 1)
	}
	r.Pop()
	return v
}

// Reset empties it.
func (r *Ring[T]) Reset() {
	for r.n > 0 {
		r.Pop()
	}
}
