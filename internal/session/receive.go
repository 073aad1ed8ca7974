package session

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// Receive takes a frame that came on the link of an attachment. It returns
// ErrAhead or a *Violation (which wraps ErrFull for a frame beyond the
// window). From a lower attachment than the present one only what
// it acknowledges counts. HELLO, WELCOME and REJECT are the caller's, and so is an
// ATTACH with another number than attachment. f's payload is not kept.
func (s *Session) Receive(attachment uint64, f wire.Frame, to Sink) error {
	if attachment > s.attachment {
		return violation(codeProto, "a frame on attachment %d, while %d is the last", attachment, s.attachment)
	}
	if f.Ack > s.sent {
		return violation(codeProto, "%v acknowledges %d of %d", f.Type, f.Ack, s.sent)
	}
	stale := attachment < s.attachment || attachment == 0
	s.answered = s.answered || !stale
	s.takeAck(f.Ack, to)
	if f.Type == wire.Ack {
		return s.receiveAck(f)
	}
	if stale && s.mutation != noFencing {
		return nil
	}
	switch f.Type {
	case wire.Data:
		return s.receiveData(f, to)
	case wire.Gap:
		return s.receiveGap(f, to)
	case wire.Close:
		return s.receiveClose(f, to)
	case wire.Attach:
		return s.receiveAttach(attachment, f)
	case wire.Ping:
		if len(f.Payload) > MaxPing {
			return violation(codeProto, "PING of %d bytes", len(f.Payload))
		}
		s.pong, s.pongDue = append(s.pong[:0], f.Payload...), true
	case wire.Pong:
		if len(f.Payload) == 8 {
			to.Pong(binary.BigEndian.Uint64(f.Payload))
		}
	case wire.GoAway:
		p, err := wire.ParseGoAway(f.Payload)
		if err != nil {
			return &Violation{Code: codeProto, Err: err}
		}
		to.GoAway(p.Reason)
	case wire.Hello, wire.Welcome, wire.Reject:
		return violation(codeProto, "%v on an attached link", f.Type)
	}
	return nil
}

func (s *Session) receiveAck(f wire.Frame) error {
	p, err := wire.ParseAck(f.Payload)
	if err != nil {
		return &Violation{Code: codeProto, Err: err}
	}
	if err := s.checkNext(p.RecvNext); err != nil {
		return err
	}
	s.takeNext(p.RecvNext, p.Window)
	return nil
}

func (s *Session) receiveAttach(attachment uint64, f wire.Frame) error {
	p, err := wire.ParseAttach(f.Payload)
	if err != nil {
		return &Violation{Code: codeProto, Err: err}
	}
	if p.Attachment != attachment {
		return violation(codeProto, "ATTACH %d on attachment %d", p.Attachment, attachment)
	}
	if err := s.checkNext(p.RecvNext); err != nil {
		return err
	}
	s.takeNext(p.RecvNext, p.Window)
	return nil
}

// expect says whether a run of numbered frames, first to last, brings something
// new. What is known already is acknowledged again.
func (s *Session) expect(typ wire.Type, first, last uint64) (fresh bool, err error) {
	switch {
	case last < s.recvNext:
		s.ackDue = true
		return false, nil
	case s.peerClosed:
		return false, violation(codeProto, "%v after CLOSE", typ)
	case first > s.recvNext:
		return false, ErrAhead
	}
	return true, nil
}

func (s *Session) receiveData(f wire.Frame, to Sink) error {
	if fresh, err := s.expect(f.Type, f.Seq, f.Seq); !fresh {
		return err
	}
	more := f.Flags&wire.More != 0
	kind := f.Flags & wire.Text
	charge := int64(len(f.Payload)) + wire.Overhead
	switch {
	case s.partFirst != 0 && kind != s.partFlags:
		return violation(codeProto, "a message of two types")
	case int64(len(s.part))+int64(len(f.Payload)) > s.c.MaxMessage:
		return violation(codeTooBig, "a message over %d bytes", s.c.MaxMessage)
	case charge > s.granted:
		return &Violation{Code: codeProto, Err: ErrFull}
	}
	if more || s.partFirst != 0 {
		if s.partFirst == 0 {
			s.partFirst, s.partFlags = f.Seq, kind
		}
		s.assemble(f.Payload)
		s.partCost += charge
	}
	if !more {
		whole := f.Payload
		if s.partFirst != 0 {
			whole = s.part
		}
		if kind == wire.Text && !utf8.Valid(whole) {
			return violation(codeText, "a text message that is not UTF-8")
		}
		s.deliver(kind, whole, to)
	}
	s.recvNext++
	s.granted -= charge
	s.received(len(f.Payload), !more)
	return nil
}

// assemble adds to the message in assembly. The memory doubles as it grows, and
// is never more than MaxMessage.
func (s *Session) assemble(payload []byte) {
	if n := len(s.part) + len(payload); n > cap(s.part) {
		size := min(int64(max(n, 2*cap(s.part))), s.c.MaxMessage)
		s.part = append(make([]byte, 0, size), s.part...)
	}
	s.part = append(s.part, payload...)
}

func (s *Session) deliver(kind wire.Flags, whole []byte, to Sink) {
	s.held += int64(len(whole)) + wire.Overhead
	typ := transport.Binary
	if kind == wire.Text {
		typ = transport.Text
	}
	to.Message(typ, whole)
	s.discard()
}

// discard forgets the message in assembly.
func (s *Session) discard() {
	s.part, s.partFirst, s.partCost, s.partFlags = nil, 0, 0, 0
}

func (s *Session) receiveGap(f wire.Frame, to Sink) error {
	p, err := wire.ParseGap(f.Seq, f.Payload)
	if err != nil {
		return &Violation{Code: codeProto, Err: err}
	}
	last := f.Seq + p.Count - 1
	if fresh, err := s.expect(f.Type, f.Seq, last); !fresh {
		return err
	}
	from := s.recvNext
	if s.partFirst != 0 && s.mutation != noDiscard {
		from = s.partFirst
		s.discard()
	}
	if s.mutation == noTrimming {
		from = f.Seq
	}
	s.recvNext = last + 1
	s.unacked, s.ackDue = true, true
	to.Gap(from, last)
	return nil
}

func (s *Session) receiveClose(f wire.Frame, to Sink) error {
	p, err := wire.ParseClose(f.Payload)
	if err != nil {
		return &Violation{Code: codeProto, Err: err}
	}
	if fresh, err := s.expect(f.Type, f.Seq, f.Seq); !fresh {
		return err
	}
	if s.partFirst != 0 {
		return violation(codeProto, "CLOSE inside a message")
	}
	s.recvNext++
	s.peerClosed = true
	s.unacked, s.ackDue = true, true
	to.Closed(p.Code, p.Reason)
	return nil
}

// RecvNext is the number of the frame that is wanted next, for HELLO and
// WELCOME; 1 at first.
func (s *Session) RecvNext() uint64 { return s.recvNext }
