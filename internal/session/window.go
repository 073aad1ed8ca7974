package session

import "github.com/holdfast-ws/holdfast/internal/wire"

// SetHeld says how many bytes were delivered and are not yet taken from the
// inbox, wire.Overhead a message included. It may make an ACK due, that tells the
// peer of a window that has reopened.
func (s *Session) SetHeld(bytes int64) {
	s.held = bytes
	if s.linked && s.room() >= s.reopened() { // WELCOME and ATTACH tell it else
		s.ackDue = true
	}
}

// NotifyAt says when SetHeld is next needed: as soon as what is held is this
// or less. An ACK is then due. It is -1 when there is no need. Receive, Next,
// Poll and Window change it.
func (s *Session) NotifyAt() int64 {
	if s.ackDue || !s.linked {
		return -1
	}
	need := s.reopened()
	if at := s.c.Window - s.partCost - need; at >= 0 {
		return at
	}
	if s.roomAt(0) >= need {
		return 0
	}
	return -1
}

// rest is what the rest of the largest message costs.
func (s *Session) rest() int64 { return cost(s.c.MaxMessage - int64(len(s.part))) }

// frame is what the largest frame costs that the peer can have next.
func (s *Session) frame() int64 {
	return min(wire.MaxPayload, s.c.MaxMessage-int64(len(s.part))) + wire.Overhead
}

// room is the window as it could be granted now.
func (s *Session) room() int64 { return s.roomAt(s.held) }

// roomAt is the window with so much held. When nothing is, a message larger than
// Window goes on: a frame begins it, and its rest is granted step by step, so
// that not much more than that message comes in.
func (s *Session) roomAt(held int64) int64 {
	w := max(0, s.c.Window-held-s.partCost)
	switch {
	case held > 0:
		return w
	case s.partFirst == 0:
		return max(w, s.frame())
	}
	return max(w, min(s.rest(), max(s.c.Window/2, 4*frameCost)))
}

// reopened is the room that is worth an ACK: a quarter of the window more than
// the peer knows of, or space for the largest frame that it can have next.
func (s *Session) reopened() int64 {
	need := s.granted + max(1, s.c.Window/4)
	if frame := s.frame(); s.granted < frame {
		need = min(need, frame)
	}
	return need
}

// grant returns the window to announce. Its right edge never shrinks.
func (s *Session) grant() uint64 {
	s.granted = max(s.granted, s.room())
	return uint64(s.granted)
}

// Window grants the peer what it may send from RecvNext on, and returns it, in
// bytes of frames with wire.Overhead each: for WELCOME.
func (s *Session) Window() uint64 { return s.grant() }

// ack is the last frame whose whole message is in the inbox.
func (s *Session) ack() uint64 {
	if s.partFirst != 0 {
		return s.partFirst - 1
	}
	return s.recvNext - 1
}

// received notes DATA that the peer has to hear of.
func (s *Session) received(bytes int, whole bool) {
	s.unacked = true
	s.newBytes += bytes
	if whole {
		s.newMessages++
	}
	if s.newMessages >= ackMessages || s.newBytes >= ackBytes {
		s.ackDue = true
	}
}

// told notes that all that was received has been acknowledged.
func (s *Session) told() { s.unacked, s.newMessages, s.newBytes = false, 0, 0 }

func (s *Session) appendAck(dst []byte) []byte {
	s.told()
	s.ackDue = false
	return s.control(dst, wire.Ack, wire.AckPayload{RecvNext: s.recvNext, Window: s.grant()}.Append(s.scratch[:0]))
}

// AckPending says that something is not acknowledged, as far as the peer is known
// to have heard, and its ACK not yet due: acknowledge it within 250 ms, with AckNow.
func (s *Session) AckPending() bool { return s.unacked && !s.ackDue }

// AckNow makes an ACK due.
func (s *Session) AckNow() { s.ackDue = true }
