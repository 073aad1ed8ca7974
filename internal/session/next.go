package session

import (
	"encoding/binary"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// Ping asks the peer for a PONG, after everything that has gone out. Of several
// calls before Next only the last counts. While detached it does nothing.
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

// Attaching says that Next has nothing to send but ATTACH, which in polling rides
// in the first poll.
func (s *Session) Attaching() bool { return s.attachDue && !s.ackDue && !s.Sendable() }

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
