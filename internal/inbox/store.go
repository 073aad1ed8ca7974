package inbox

import (
	"encoding/binary"
	"sync"

	"github.com/holdfast-ws/holdfast/internal/chunk"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	head     = 16       // before a message in a block: its length, type and epoch
	large    = 4 << 10  // a message of this many bytes has a block to itself
	maxBlock = 32 << 10 // the largest block of small messages
)

// store is messages in order, in blocks. It has no lock.
type store struct {
	first, last *block
}

// block holds many small messages one after another, or a large one.
type block struct {
	next  *block
	mem   *chunk.Chunk
	read  int  // of mem.B
	whole bool // mem.B is one message, of typ and epoch
	typ   transport.MessageType
	epoch uint64
}

var blocks = sync.Pool{New: func() any { return new(block) }}

func newBlock(mem *chunk.Chunk) *block {
	b := blocks.Get().(*block)
	b.mem = mem
	return b
}

func (b *block) free() {
	b.mem.Put()
	*b = block{}
	blocks.Put(b)
}

func (s *store) empty() bool { return s.first == nil }

func (s *store) add(b *block) {
	if s.last == nil {
		s.first = b
	} else {
		s.last.next = b
	}
	s.last = b
}

// push copies a message to the end.
func (s *store) push(m transport.Message) {
	if len(m.Data) >= large {
		mem := chunk.Get(len(m.Data))
		mem.B = append(mem.B, m.Data...)
		s.keep(m, mem)
		return
	}
	need := head + len(m.Data)
	b := s.last
	if b == nil || b.whole || cap(b.mem.B)-len(b.mem.B) < need {
		size := need
		if b != nil && !b.whole { // the more there is, the more at a time
			size = max(need, min(2*cap(b.mem.B), maxBlock))
		}
		b = newBlock(chunk.Get(size))
		s.add(b)
	}
	d := b.mem.B
	d = binary.LittleEndian.AppendUint32(d, uint32(len(m.Data)))
	d = binary.LittleEndian.AppendUint32(d, uint32(m.Type))
	d = binary.LittleEndian.AppendUint64(d, m.Epoch)
	b.mem.B = append(d, m.Data...)
}

// keep adds a message that fills mem.
func (s *store) keep(m transport.Message, mem *chunk.Chunk) {
	b := newBlock(mem)
	b.whole, b.typ, b.epoch = true, m.Type, m.Epoch
	s.add(b)
}

// front returns the first message. Its data is the store's, until drop.
func (s *store) front() transport.Message {
	b := s.first
	if b.whole {
		return transport.Message{Type: b.typ, Data: b.mem.B, Epoch: b.epoch}
	}
	d := b.mem.B[b.read:]
	n := binary.LittleEndian.Uint32(d)
	return transport.Message{Type: transport.MessageType(binary.LittleEndian.Uint32(d[4:])),
		Data: d[head : head+n], Epoch: binary.LittleEndian.Uint64(d[8:])}
}

// drop removes the first message, which has n bytes.
func (s *store) drop(n int) {
	b := s.first
	if b.read += head + n; !b.whole && b.read < len(b.mem.B) {
		return
	}
	if s.first = b.next; s.first == nil {
		s.last = nil
	}
	b.free()
}

// join moves what is in other to the end.
func (s *store) join(other *store) {
	if other.first == nil {
		return
	}
	if s.last == nil {
		s.first = other.first
	} else {
		s.last.next = other.first
	}
	s.last = other.last
	*other = store{}
}

// clear forgets every message.
func (s *store) clear() {
	for b := s.first; b != nil; {
		next := b.next
		b.free()
		b = next
	}
	*s = store{}
}
