package holdfasttest

import "encoding/binary"

// saw is what has ended where a scan stops.
type saw int

const (
	sawNothing saw = iota
	sawFrame       // of a message with more to come, or of control
	sawMessage
	sawClose
	sawHead // the answer to the handshake, with status 101
)

// A scanner follows the frames of a stream (RFC 6455, section 5.2) by their
// headers, one way. It checks nothing.
type scanner struct {
	messages int // that have passed
	inHead   bool
	foreign  bool // the answer was no 101: what follows are no frames

	head [12]byte // the answer's first bytes
	seen int      // of the answer
	tail uint32   // its last four

	header [14]byte
	have   int    // bytes of header
	left   uint64 // of the payload, once the header is complete
}

// inside says whether the stream is in the middle of a frame or of the
// handshake's answer.
func (s *scanner) inside() bool { return s.have > 0 || s.inHead || s.foreign }

// scan takes bytes up to the end of the frame that they are of, and says what
// has ended there.
func (s *scanner) scan(b []byte) (n int, what saw) {
	switch {
	case s.foreign:
		return len(b), sawNothing
	case s.inHead:
		return s.scanHead(b)
	}
	for !s.complete() {
		if n == len(b) {
			return n, sawNothing
		}
		s.header[s.have] = b[n]
		s.have++
		n++
		if s.complete() {
			s.left = s.payload()
		}
	}
	k := min(s.left, uint64(len(b)-n))
	s.left -= k
	n += int(k)
	if s.left > 0 {
		return n, sawNothing
	}
	s.have = 0
	return n, s.ended()
}

// ended is what the frame of s.header was the end of.
func (s *scanner) ended() saw {
	switch op := s.header[0] & 0x0f; {
	case op == OpClose:
		return sawClose
	case op < OpClose && s.header[0]&0x80 != 0:
		s.messages++
		return sawMessage
	}
	return sawFrame
}

// complete says whether the header is.
func (s *scanner) complete() bool {
	if s.have < 2 {
		return false
	}
	n := 2
	switch s.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if s.header[1]&0x80 != 0 {
		n += 4
	}
	return s.have >= n
}

// payload is the length that the header states.
func (s *scanner) payload() uint64 {
	switch n := uint64(s.header[1] & 0x7f); n {
	case 126:
		return uint64(binary.BigEndian.Uint16(s.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(s.header[2:])
	default:
		return n
	}
}

// scanHead takes bytes up to the end of the handshake's answer.
func (s *scanner) scanHead(b []byte) (n int, what saw) {
	for i, x := range b {
		if s.seen < len(s.head) {
			s.head[s.seen] = x
		}
		s.seen++
		if s.tail = s.tail<<8 | uint32(x); s.tail != 0x0d0a0d0a {
			continue
		}
		s.inHead = false
		if string(s.head[8:12]) != " 101" {
			s.foreign = true
			return i + 1, sawNothing
		}
		return i + 1, sawHead
	}
	return len(b), sawNothing
}
