package session

import (
	"math"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// item is a run of numbered frames: a whole message, a GAP, or CLOSE. It ends
// where the next one begins, in numbers and in offset.
type item struct {
	first  uint64 // its first frame's number
	offset int64  // what everything before it cost of the window
	id     uint64 // the message's
	data   []byte // the message, or the payload of CLOSE
	typ    wire.Type
	flags  wire.Flags
}

var items deque.Pool[item]

// frames returns how many frames carry a message of n bytes.
func frames(n int64) int64 { return max(1, (n+wire.MaxPayload-1)/wire.MaxPayload) }

// cost returns what a message of n bytes takes of the window.
func cost(n int64) int64 { return n + wire.Overhead*frames(n) }

// Ready says that a message of n bytes may be numbered now: all that is
// numbered has gone out on this link, and the window has room for its first
// frame.
func (s *Session) Ready(n int) bool {
	return s.linked && !s.closing && s.cursor > s.sent && s.offset+cost(int64(min(n, wire.MaxPayload))) <= s.edge
}

// Room is how many bytes the window has room for.
func (s *Session) Room() int { return int(min(s.edge-s.offset, math.MaxInt32)) }

// Send numbers a message. Ids rise; 0 is for messages that nobody accounts
// for. data is shared, not copied, until it is acknowledged or dropped. Send
// after Close is a programming error.
func (s *Session) Send(id uint64, typ transport.MessageType, data []byte) {
	if s.closing {
		panic("session: Send after Close")
	}
	var flags wire.Flags
	if typ == transport.Text {
		flags = wire.Text
	}
	*s.items.Add() = item{first: s.sent + 1, offset: s.offset, id: id, data: data, typ: wire.Data, flags: flags}
	s.sent += uint64(frames(int64(len(data))))
	s.offset += cost(int64(len(data)))
	s.buffered += int64(len(data))
}

// Skip says that messages up to id, none of them numbered, will never come: it
// numbers a GAP of one frame, or a GAP just before grows by one. After Close it
// does nothing: CLOSE says that nothing comes.
func (s *Session) Skip(id uint64) {
	if s.closing {
		return
	}
	s.sent++
	if n := s.items.Len(); n > 0 && s.mergeable(n-1, s.sent) {
		return
	}
	*s.items.Add() = item{first: s.sent, offset: s.offset, id: id, typ: wire.Gap}
}

// Drop says that the numbered messages with ids from 1 to id that are not
// acknowledged gave way: they become a GAP that covers their range. Those that
// have gone out already may still arrive.
func (s *Session) Drop(id uint64) {
	for i := 0; i < s.items.Len(); i++ {
		it := s.items.At(i)
		switch {
		case it.typ != wire.Data || it.id == 0:
			continue
		case it.id > id:
			return
		}
		s.buffered -= int64(len(it.data))
		*it = item{first: max(it.first, s.acked+1), offset: it.offset, id: it.id, typ: wire.Gap}
		if i > 0 && s.mergeable(i-1, s.last(i)) {
			i = s.merge(i)
		}
		if i+1 < s.items.Len() && s.items.At(i+1).typ == wire.Gap && s.mergeable(i, s.last(i+1)) {
			i = s.merge(i + 1)
		}
	}
}

// mergeable says that the item at i is a GAP that may grow up to last.
func (s *Session) mergeable(i int, last uint64) bool {
	it := s.items.At(i)
	return it.typ == wire.Gap && last-it.first < wire.MaxGap
}

// merge joins the GAP at i to the one before it, and returns where it is then.
func (s *Session) merge(i int) int {
	before := s.items.Remove(i - 1)
	it := s.items.At(i - 1)
	it.first, it.offset = before.first, before.offset
	return i - 1
}

// Close numbers CLOSE, after everything. Only the first call counts.
func (s *Session) Close(code uint16, reason string) {
	if s.closing {
		return
	}
	s.closing = true
	s.sent++
	payload := wire.ClosePayload{Code: code, Reason: reason}.Append(nil)
	*s.items.Add() = item{first: s.sent, offset: s.offset, data: payload, typ: wire.Close}
}

// Closing says that CLOSE is numbered.
func (s *Session) Closing() bool { return s.closing }

// last returns the number of the last frame of the item at i.
func (s *Session) last(i int) uint64 {
	if i+1 < s.items.Len() {
		return s.items.At(i+1).first - 1
	}
	return s.sent
}

// find returns where the item is that has the frame seq, which must be in one;
// the number of items if it is sent + 1.
func (s *Session) find(seq uint64) int {
	n := s.items.Len()
	if n > 0 && s.items.At(n-1).first <= seq { // the usual case
		if seq > s.sent {
			return n
		}
		return n - 1
	}
	low, high := 0, n // the item's place is in [low, high)
	for high-low > 1 {
		if mid := (low + high) / 2; s.items.At(mid).first <= seq {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}
