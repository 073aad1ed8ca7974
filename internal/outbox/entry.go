package outbox

import (
	"sort"

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

var entries deque.Pool[entry]

func newRing() deque.Ring[entry] { return deque.Ring[entry]{Pool: &entries} }

// span says where in r the messages of a waiter are, from i to before end.
func span(r *deque.Ring[entry], w *Waiter) (i, end int) {
	i = sort.Search(r.Len(), func(i int) bool { return r.At(i).seq >= w.from })
	end = sort.Search(r.Len(), func(i int) bool { return r.At(i).seq > w.to })
	return i, end
}
