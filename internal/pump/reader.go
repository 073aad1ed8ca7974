package pump

import (
	"runtime"

	"github.com/holdfast-ws/holdfast/internal/chunk"
	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// ahead is a link that can tell what comes next. Its methods belong to who
// reads.
type ahead interface {
	// Peek returns how many bytes the next message has at least, 0 while nothing
	// of it is at hand. whole says that Read will not wait for it.
	Peek() (size int, whole bool)
	// Await waits until something is at hand, or what Read will fail with. false
	// says that the link cannot look ahead after all.
	Await() bool
}

// The largest buffers that are kept, in bytes: while a link is known to be quiet,
// and where that is not known.
const (
	maxIdle = 4 << 10
	maxKept = 64 << 10
)

// reader reads a link into memory that is used again, and wakes the receivers of
// in before it waits.
type reader struct {
	link  transport.Link
	ahead ahead // nil where the link is not
	in    *inbox.Queue
	mem   *chunk.Chunk
	last  int // bytes of the message before
	// alone counts the messages since the last wait for the link.
	alone   int
	partial bool // mem has a part of a message: the read was interrupted
}

func newReader(l transport.Link, in *inbox.Queue) *reader {
	r := &reader{link: l, in: in}
	r.ahead, _ = l.(ahead)
	return r
}

// next reads a message. Its data is r.mem.B, and the caller may take r.mem, or put
// another chunk or nil in its place.
func (r *reader) next() (transport.MessageType, error) {
	if !r.partial {
		size := r.look()
		if r.mem != nil && cap(r.mem.B) < size {
			r.free()
		}
		if r.mem == nil {
			r.mem = chunk.Get(size)
		}
		r.mem.B = r.mem.B[:0]
	}
	typ, b, err := r.link.Read(r.mem.B)
	if err != nil {
		if l, ok := r.link.(interruptible); ok && l.Interrupted(err) {
			r.mem.B, r.partial = b, true
		}
		return 0, err
	}
	r.mem.B, r.last, r.partial = b, len(b), false
	r.alone++
	return typ, nil
}

// look returns how many bytes the next message has at least.
func (r *reader) look() int {
	if r.ahead == nil {
		r.wake()
		r.idle(maxKept)
		return 0
	}
	size, whole := r.ahead.Peek()
	if !whole {
		r.wake()
		if size == 0 {
			r.alone = 0
			r.idle(maxIdle)
			if !r.ahead.Await() {
				r.ahead = nil
				return 0
			}
			size, _ = r.ahead.Peek()
		}
	}
	// What nobody has sent yet gets no more than what came before.
	return min(size, max(maxKept, 2*r.last))
}

// wake precedes each wait for the link. Who is woken runs first: what it was given
// is in the processor's cache still, and it waits for nothing else.
func (r *reader) wake() {
	if r.in.Wake() {
		runtime.Gosched()
	}
}

// idle keeps no more than most bytes of a burst's memory.
func (r *reader) idle(most int) {
	if r.mem != nil && cap(r.mem.B) > most {
		r.free()
	}
}

// free gives the memory back.
func (r *reader) free() {
	if r.mem != nil {
		r.mem.Put()
		r.mem = nil
	}
}
