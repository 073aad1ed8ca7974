package session

import (
	"encoding/binary"

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
	s.items.Push(item{first: s.sent + 1, offset: s.offset, id: id, data: data, typ: wire.Data, flags: flags})
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
	s.items.Push(item{first: s.sent, offset: s.offset, id: id, typ: wire.Gap})
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
	s.items.Push(item{first: s.sent, offset: s.offset, data: payload, typ: wire.Close})
}

// Ping asks the peer for a PONG, after everything that has gone out. Of
// several calls before Next only the last counts; so does none while detached.
func (s *Session) Ping(id uint64) {
	s.ping, s.pingDue = id, s.linked
}

// GoAway asks the peer for another link, for one of the wire.GoAway reasons.
// While detached it does nothing.
func (s *Session) GoAway(reason uint64) {
	s.goAway, s.goAwayDue = reason, s.linked
}

// Next appends to dst the frames to send now on the attached link, at most room
// bytes of them, and returns the extended slice: ATTACH, ACK, PONG and GOAWAY where
// due, then the numbered frames that the window has room for, then PING. What
// does not fit stays for the next call: room for the start of a batch must be
// 80 KiB at least. While detached there are none.
func (s *Session) Next(dst []byte, room int) []byte {
	if !s.linked {
		return dst
	}
	end := len(dst) + room
	if s.attachDue && len(dst)+controlLen <= end {
		s.attachDue = false
		dst = s.appendAttach(dst)
	}
	if s.ackDue && len(dst)+controlLen <= end {
		dst = s.appendAck(dst)
	}
	if s.pongDue && len(dst)+controlLen+len(s.pong) <= end {
		dst = s.appendPong(dst)
	}
	if s.goAwayDue && len(dst)+controlLen <= end {
		s.goAwayDue = false
		dst = s.control(dst, wire.GoAway, wire.GoAwayPayload{Reason: s.goAway}.Append(s.scratch[:0]))
	}
	if s.cursor <= s.sent {
		dst = s.appendNumbered(dst, end-pingLen)
	}
	if s.pingDue && len(dst)+pingLen <= end {
		s.pingDue = false
		dst = s.control(dst, wire.Ping, binary.BigEndian.AppendUint64(s.scratch[:0], s.ping))
	}
	return dst
}

const (
	controlHeader = 2 + 1 + 9 + 2       // seq 0, and a payload of up to MaxPing
	controlLen    = controlHeader + 3*9 // the longest frame but PING and PONG: ATTACH
	pingLen       = controlHeader + 8
)

// Due says that Next has something about the link to send: ATTACH, ACK or PONG.
// In polling it rides in the next request.
func (s *Session) Due() bool { return s.linked && (s.attachDue || s.ackDue || s.pongDue) }

// Sendable says that Next has something to send that needs a request of its own in
// polling: numbered frames that the window has room for, GOAWAY or PING.
func (s *Session) Sendable() bool {
	return s.linked && (s.goAwayDue || s.pingDue || s.cursor <= s.sent && s.fits(s.find(s.cursor)))
}

// fits says that the window has room for the frame at the cursor, of the item
// at i.
func (s *Session) fits(i int) bool {
	it := s.items.At(i)
	if it.typ != wire.Data {
		return true
	}
	k := int64(s.cursor - it.first)
	n := min(int64(len(it.data))-k*wire.MaxPayload, wire.MaxPayload)
	return it.offset+k*frameCost+n+wire.Overhead <= s.edge
}

// Closing says that CLOSE is numbered.
func (s *Session) Closing() bool { return s.closing }

func (s *Session) control(dst []byte, typ wire.Type, payload []byte) []byte {
	return wire.Append(dst, wire.Frame{Type: typ, Ack: s.ack(), Payload: payload})
}

func (s *Session) appendPong(dst []byte) []byte {
	if s.pongDue {
		s.pongDue = false
		dst = s.control(dst, wire.Pong, s.pong)
	}
	return dst
}

// appendNumbered appends frames from the cursor on, up to the length end.
func (s *Session) appendNumbered(dst []byte, end int) []byte {
	from := s.cursor
	for i := s.find(s.cursor); i < s.items.Len(); i++ {
		it := s.items.At(i)
		last := s.last(i)
		for s.cursor <= last {
			if !s.fits(i) {
				return s.numbered(dst, from)
			}
			f := wire.Frame{Type: it.typ, Flags: it.flags, Seq: s.cursor, Ack: s.ack(), Payload: it.data}
			next := s.cursor + 1
			switch it.typ {
			case wire.Data:
				rest := it.data[int64(s.cursor-it.first)*wire.MaxPayload:]
				f.Payload = rest[:min(len(rest), wire.MaxPayload)]
				if s.cursor < last {
					f.Flags |= wire.More
				}
			case wire.Gap:
				f.Seq, next = it.first, last+1
				f.Payload = wire.GapPayload{Count: last - it.first + 1}.Append(s.scratch[:0])
			}
			if len(dst)+wire.MaxHeader+len(f.Payload) > end {
				return s.numbered(dst, from)
			}
			dst = wire.Append(dst, f)
			s.cursor = next
		}
	}
	return s.numbered(dst, from)
}

// numbered notes that frames from the number from to the cursor went out, each
// with the present ack.
func (s *Session) numbered(dst []byte, from uint64) []byte {
	if s.cursor > from && s.partFirst == 0 {
		s.told()
	}
	return dst
}

// Rewind says that nothing is in flight: what the peer has not said to have is
// sent again, ATTACH too if it has not been answered. Polling alone needs it.
func (s *Session) Rewind() {
	s.cursor = max(s.peerNext, s.acked+1)
	s.attachDue = s.linked && !s.answered
}

// Poll returns what the body of a client's poll has: ATTACH until a frame came
// on this attachment, a pending PONG, and always ACK. The server answers a send
// with that, too, which has no numbered frames: they come by one way alone, and
// so in order. While detached it is empty.
func (s *Session) Poll() []byte {
	if !s.linked {
		return nil
	}
	var dst []byte
	if !s.answered {
		dst = s.appendAttach(dst)
	}
	return s.appendAck(s.appendPong(dst))
}

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

// takeAck frees what the peer has in its inbox, up to ack, which is at most
// sent.
func (s *Session) takeAck(ack uint64, to Sink) {
	if ack <= s.acked {
		return
	}
	s.acked = ack
	s.cursor = max(s.cursor, ack+1)
	id := uint64(0)
	for s.items.Len() > 0 && s.last(0) <= ack {
		it := s.items.Pop()
		if it.typ == wire.Data {
			s.buffered -= int64(len(it.data))
			id = max(id, it.id)
		}
	}
	if s.items.Len() > 0 {
		if it := s.items.At(0); it.typ == wire.Gap {
			it.first = max(it.first, ack+1)
		}
	}
	if id > s.lastID {
		s.lastID = id
		to.Acked(id)
	}
}

// takeNext notes that the peer wants next, which is at most sent + 1, and takes
// window bytes from there on.
func (s *Session) takeNext(next, window uint64) {
	s.peerNext = max(s.peerNext, next)
	s.cursor = max(s.cursor, s.peerNext)
	if next <= s.acked {
		return // an older word
	}
	offset := s.offset
	if i := s.find(next); i < s.items.Len() {
		it := s.items.At(i)
		offset = it.offset // inside a GAP this is less than it could be, until the ACK of the GAP
		if it.typ == wire.Data {
			offset += int64(next-it.first) * frameCost
		}
	}
	s.edge = max(s.edge, offset+int64(window))
}
