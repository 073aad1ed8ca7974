package session

import "github.com/holdfast-ws/holdfast/internal/wire"

// Attachment is the number of the present attachment, or of the last one; 0
// before the first.
func (s *Session) Attachment() uint64 { return s.attachment }

// Attach makes a welcomed candidate the client's link. It allocates the next
// number; ATTACH goes out first. The error is a *Violation when the server
// wants what was never sent: then nothing has changed.
func (s *Session) Attach(w wire.WelcomePayload) (attachment uint64, err error) {
	if err := s.checkNext(w.RecvNext); err != nil {
		return 0, err
	}
	s.link(s.attachment+1, w.RecvNext, w.Window)
	s.attachDue = true
	s.grant() // by ATTACH, which acknowledges too
	s.told()
	s.ackDue = false
	return s.attachment, nil
}

// Attached makes the candidate that ATTACH came on the server's link. The error
// is ErrStale when the number is not higher than the present one, or a
// *Violation when the client wants what was never sent: then nothing has
// changed. An ACK is pending then. On a link that streams, AckNow is to follow; in
// polling the answer to the client's next send does it.
func (s *Session) Attached(p wire.AttachPayload) error {
	if p.Attachment <= s.attachment {
		return ErrStale
	}
	if err := s.checkNext(p.RecvNext); err != nil {
		return err
	}
	s.link(p.Attachment, p.RecvNext, p.Window)
	s.answered = true // by ATTACH: only a client's is still to be answered
	s.unacked = true  // what the last link was to tell may be lost with it
	return nil
}

// Detach says that there is no link.
func (s *Session) Detach() {
	s.linked = false
	s.attachDue, s.pingDue, s.pongDue, s.goAwayDue = false, false, false, false
}

func (s *Session) link(attachment, next, window uint64) {
	s.Detach()
	s.attachment, s.linked, s.answered = attachment, true, false
	s.takeNext(next, window)
	if s.mutation != noRewind {
		s.cursor = max(s.peerNext, s.acked+1)
	}
}

// checkNext checks the number that the peer says to want next.
func (s *Session) checkNext(next uint64) error {
	if next == 0 || next > s.sent+1 {
		return violation(codeProto, "the peer wants frame %d, and %d were sent", next, s.sent)
	}
	return nil
}

func (s *Session) appendAttach(dst []byte) []byte {
	p := wire.AttachPayload{Attachment: s.attachment, RecvNext: s.recvNext, Window: s.grant()}
	return s.control(dst, wire.Attach, p.Append(s.scratch[:0]))
}
