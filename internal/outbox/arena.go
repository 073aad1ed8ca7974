package outbox

import (
	"math/bits"
	"sync"
)

const (
	chunkBits  = 16
	chunkSize  = 1 << chunkBits // bytes of a shared chunk
	maxShared  = chunkSize / 4  // a larger message has a chunk of its own
	maxPooled  = 20             // chunks of up to 1<<maxPooled bytes are recycled
	notPooled  = 0
	spareChunk = 4 // shared chunks beyond twice Limits.MaxBytes
)

// chunk holds the bytes of messages, one after the other.
type chunk struct {
	buf    []byte
	used   int
	live   int   // messages in it that are still in the queue
	bits   uint8 // its pool, or notPooled
	shared bool  // of several messages
	// lent: something else may still read it, so it is left to the garbage
	// collector.
	lent bool
}

// chunks has a pool for each size, in bits.
var chunks [maxPooled + 1]sync.Pool

func newChunk(size int) *chunk {
	n := uint8(max(bits.Len(uint(size-1)), chunkBits))
	if n > maxPooled {
		return &chunk{buf: make([]byte, size), bits: notPooled}
	}
	if c, ok := chunks[n].Get().(*chunk); ok {
		return c
	}
	return &chunk{buf: make([]byte, 1<<n), bits: n}
}

func (c *chunk) recycle() {
	if c.bits != notPooled && !c.lent {
		c.used, c.live, c.shared = 0, 0, false
		chunks[c.bits].Put(c)
	}
}

// arena keeps the bytes of queued messages in chunks. A chunk with one small
// message left is held as a whole; so shared chunks are bounded, and past that a
// message has memory of its own size.
type arena struct {
	current *chunk // takes the next message; nil for none
	shared  int    // chunks
	most    int
}

// ownChunk makes the chunk of a large message; nil for a small one.
func ownChunk(data []byte) *chunk {
	if len(data) <= maxShared {
		return nil
	}
	c := newChunk(len(data))
	c.used, c.live = copy(c.buf, data), 1
	return c
}

// put copies a small message and says where it is; nil for an empty one.
func (a *arena) put(data []byte) (c *chunk, off int) {
	n := len(data)
	if n == 0 {
		return nil, 0
	}
	c = a.current
	if c == nil || len(c.buf)-c.used < n {
		if a.shared >= a.most {
			return &chunk{buf: append([]byte(nil), data...), used: n, live: 1, bits: notPooled}, 0
		}
		c = newChunk(chunkSize)
		c.shared = true
		a.shared++
		a.current = c
	}
	off = c.used
	copy(c.buf[off:], data)
	c.used += n
	c.live++
	return c, off
}

// free gives back a message's place.
func (a *arena) free(c *chunk) {
	if c == nil {
		return
	}
	if c.live--; c.live > 0 {
		return
	}
	switch {
	case c == a.current:
		c.used = 0
	case !c.lent:
		a.gone(c)
		c.recycle()
	}
}

// lend says that something else may still read a message's chunk.
func (a *arena) lend(c *chunk) {
	if c == nil || c.lent {
		return
	}
	c.lent = true
	a.gone(c)
	if c == a.current {
		a.current = nil
	}
}

func (a *arena) gone(c *chunk) {
	if c.shared {
		a.shared--
	}
}

// idle gives everything back once no message is left.
func (a *arena) idle() {
	if c := a.current; c != nil {
		a.current = nil
		a.gone(c)
		c.recycle()
	}
}
