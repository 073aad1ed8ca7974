// Package chunk lends memory for bytes under way. What is given back serves
// every connection of the process, and goes to the garbage collector when it is
// not asked for.
package chunk

import (
	"math/bits"
	"sync"
)

// The smallest and the largest chunk that is lent again, as powers of two: 2 KiB
// and 1 MiB.
const (
	minBits = 11
	maxBits = 20
)

var pools [maxBits - minBits + 1]sync.Pool

// Chunk is memory with one owner. B is free to use, and to replace.
type Chunk struct {
	B []byte
}

// Get returns a chunk whose B is empty and has room for n bytes at least. It is
// less than twice that, or 2 KiB.
func Get(n int) *Chunk {
	class := max(bits.Len(uint(max(n, 1)-1)), minBits)
	if class > maxBits {
		return &Chunk{B: make([]byte, 0, n)}
	}
	if c, ok := pools[class-minBits].Get().(*Chunk); ok {
		return c
	}
	return &Chunk{B: make([]byte, 0, 1<<class)}
}

// Put gives a chunk back. Neither it nor B is used any more.
func (c *Chunk) Put() {
	class := bits.Len(uint(cap(c.B))) - 1
	if class < minBits || class > maxBits {
		return
	}
	c.B = c.B[:0]
	pools[class-minBits].Put(c)
}
