package session

import "github.com/holdfast-ws/holdfast/internal/wire"

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

// Settle says that the session is gone and its tombstone told the next frame
// that the peer wanted: the messages that came whole before it count as
// acknowledged. 0 means that it is not known.
func (s *Session) Settle(recvNext uint64, to Sink) {
	recvNext = min(recvNext, s.sent+1)
	if recvNext <= s.acked {
		return
	}
	if i := s.find(recvNext); i < s.items.Len() {
		recvNext = s.items.At(i).first // what the peer was assembling is lost
	}
	s.takeAck(recvNext-1, to)
}
