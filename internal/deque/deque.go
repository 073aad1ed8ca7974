// Package deque is a first-in, first-out slice.
package deque

// Deque is a queue on a slice that is reused. The zero value is empty.
type Deque[T any] struct {
	items []T
	head  int
}

// Len returns how many items there are.
func (d *Deque[T]) Len() int { return len(d.items) - d.head }

// At returns the item at i, 0 being the front. The pointer holds until the next change.
func (d *Deque[T]) At(i int) *T { return &d.items[d.head+i] }

// All returns the items, front first, until the next change.
func (d *Deque[T]) All() []T { return d.items[d.head:] }

// Push adds an item at the back.
func (d *Deque[T]) Push(v T) {
	if len(d.items) == cap(d.items) && d.head > len(d.items)/2 {
		n := copy(d.items, d.items[d.head:])
		clear(d.items[n:])
		d.items, d.head = d.items[:n], 0
	}
	d.items = append(d.items, v)
}

// Pop removes and returns the front.
func (d *Deque[T]) Pop() T {
	v := d.items[d.head]
	var zero T
	d.items[d.head] = zero
	d.head++
	if d.head == len(d.items) {
		d.items, d.head = d.items[:0], 0
		if cap(d.items) > 1024 { // a burst's memory is given back
			d.items = nil
		}
	}
	return v
}

// Remove removes and returns the item at i. It moves those before it.
func (d *Deque[T]) Remove(i int) T {
	v := d.items[d.head+i]
	copy(d.items[d.head+1:], d.items[d.head:d.head+i])
	d.items[d.head] = v
	return d.Pop()
}

// Reset empties it and gives its memory back.
func (d *Deque[T]) Reset() { *d = Deque[T]{} }
