package frame

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// Event is what a decoder has found.
type Event uint8

const (
	// None: the bytes are used up.
	None Event = iota
	// Message: a message is complete, of the type MessageType.
	Message
	// GotPing, GotPong and GotClose: a control frame with the payload Control.
	GotPing
	GotPong
	GotClose
)

// Decoder takes the peer's bytes, in chunks of any size. After a fault it is
// of no more use. It is not safe for concurrent use.
type Decoder struct {
	masked bool  // the peer is a client, and has to mask
	limit  int64 // of a message, negative for none

	head [MaxHeader]byte // a header that came in part
	have int             // bytes of it

	inside bool // behind a header, before the end of its payload
	first  byte // of the header
	left   int64
	key    uint32

	msg   byte  // the opcode of the message under way, 0 for none
	size  int64 // its frames so far
	ended byte  // the opcode of the last one
	text  textCheck

	control [MaxControl]byte
	got     int
}

// NewDecoder makes one for the bytes of a client, which has to mask, or of a
// server, which must not. A message of more than limit bytes is a fault; a
// negative limit allows any.
func NewDecoder(client bool, limit int64) Decoder {
	return Decoder{masked: client, limit: limit}
}

// Decode takes bytes from the start of src, n of them, and appends payload of
// messages to dst. It stops at the first event: the message at the end of out
// is complete, or a control frame has come, which may be inside a message. With
// None all of src is used. err is a *Fault.
func (d *Decoder) Decode(dst, src []byte) (out []byte, n int, ev Event, err error) {
	for {
		if !d.inside {
			if n == len(src) {
				return dst, n, None, nil
			}
			used, err := d.header(src[n:])
			n += used
			if err != nil {
				return dst, n, None, err
			}
			if !d.inside {
				return dst, n, None, nil
			}
		}
		m := int(min(d.left, int64(len(src)-n)))
		part := src[n : n+m]
		n += m
		if d.isControl() {
			if m > 0 {
				d.key = xor(d.control[d.got:], part, d.key)
				d.got += m
				d.left -= int64(m)
			}
			if d.left > 0 {
				return dst, n, None, nil
			}
			ev, err = d.controlDone()
			return dst, n, ev, err
		}
		if m > 0 {
			dst = d.Room(dst, m)
			start := len(dst)
			dst = dst[:start+m]
			if d.masked {
				d.key = xor(dst[start:], part, d.key)
			} else {
				copy(dst[start:], part)
			}
			d.left -= int64(m)
			if d.msg == Text && !d.text.add(dst[start:]) {
				return dst, n, None, ErrNotUTF8
			}
		}
		if d.left > 0 {
			return dst, n, None, nil
		}
		if ev, err = d.frameDone(); ev != None || err != nil {
			return dst, n, ev, err
		}
	}
}

// Pending is how many bytes of payload of the message under way come next.
// They may be read to the end of dst without a Decode, up to as many, if Took
// is told then.
func (d *Decoder) Pending() int64 {
	if !d.inside || d.isControl() {
		return 0
	}
	return d.left
}

// Took takes bytes of payload that stand at the end of dst already. It
// unmasks them there.
func (d *Decoder) Took(p []byte) (Event, error) {
	if d.masked {
		d.key = xor(p, p, d.key)
	}
	d.left -= int64(len(p))
	if d.msg == Text && !d.text.add(p) {
		return None, ErrNotUTF8
	}
	if d.left > 0 {
		return None, nil
	}
	return d.frameDone()
}

// Room makes room in dst for at least n more bytes of the message under way,
// and for what its frame promises, as far as what has come bears the promise out.
func (d *Decoder) Room(dst []byte, n int) []byte {
	const trust = 64 << 10 // bytes allocated on a header's word alone
	if cap(dst)-len(dst) >= n {
		return dst
	}
	promise := min(d.left, max(trust, d.size-d.left))
	return slices.Grow(dst, max(n, int(promise)))
}

// InControl says that a control frame has come in part: its header and not all
// of its payload.
func (d *Decoder) InControl() bool { return d.inside && d.isControl() }

// Between says that the bytes so far end with a frame.
func (d *Decoder) Between() bool { return !d.inside && d.have == 0 }

// MessageType is the opcode of the last message that was complete.
func (d *Decoder) MessageType() byte { return d.ended }

// Control is the payload of the control frame that the last event told of. It
// is good until the next call.
func (d *Decoder) Control() []byte { return d.control[:d.got] }

func (d *Decoder) isControl() bool { return d.first&0x08 != 0 }

// header takes a header, or the part of one that is there.
func (d *Decoder) header(src []byte) (used int, err error) {
	if d.have == 0 {
		used, err = d.parse(src)
		if used == 0 && err == nil {
			used = copy(d.head[:], src)
			d.have = used
		}
		return used, err
	}
	m := copy(d.head[d.have:], src)
	size, err := d.parse(d.head[:d.have+m])
	if size == 0 {
		d.have += m
		return m, err
	}
	used = size - d.have
	d.have = 0
	return used, err
}

// parse reads the header at the start of h and returns its length, 0 while h
// has only a part of it. A fault is found with the byte that shows it.
func (d *Decoder) parse(h []byte) (size int, err error) {
	first := h[0]
	control := first&0x08 != 0
	switch {
	case first&rsv != 0:
		return 0, ErrReserved
	case control && first&0x07 > Pong-Close, !control && first&0x07 > Binary:
		return 0, ErrOpcode
	case control:
		if first&Fin == 0 {
			return 0, ErrFragmented
		}
	case first&0x0f == Continuation:
		if d.msg == 0 {
			return 0, ErrNothing
		}
	case d.msg != 0:
		return 0, ErrInside
	}
	if len(h) < 2 {
		return 0, nil
	}
	if masked := h[1]&maskBit != 0; masked != d.masked {
		if masked {
			return 0, ErrMasked
		}
		return 0, ErrUnmasked
	}
	length := uint64(h[1] &^ maskBit)
	size = 2
	switch length {
	case 126:
		if size = 4; len(h) < size {
			return 0, nil
		}
		if length = uint64(binary.BigEndian.Uint16(h[2:])); length < 126 {
			return 0, ErrNotShortest
		}
	case 127:
		if size = 10; len(h) < size {
			return 0, nil
		}
		if length = binary.BigEndian.Uint64(h[2:]); length>>63 != 0 {
			return 0, ErrLength
		}
		if length>>16 == 0 {
			return 0, ErrNotShortest
		}
	}
	if control && length > MaxControl {
		return 0, ErrControlSize
	}
	if !control && d.limit >= 0 {
		var before int64
		if first&0x0f == Continuation {
			before = d.size
		}
		if int64(length) > d.limit-before {
			return 0, ErrTooBig
		}
	}
	if d.masked {
		if size += 4; len(h) < size {
			return 0, nil
		}
		d.key = binary.LittleEndian.Uint32(h[size-4:])
	} else {
		d.key = 0
	}
	d.inside, d.first, d.left = true, first, int64(length)
	switch {
	case control:
		d.got = 0
	case first&0x0f != Continuation:
		d.msg, d.size, d.text = first&0x0f, int64(length), textCheck{}
	default:
		d.size += int64(length)
	}
	return size, nil
}

// frameDone ends a frame of a message.
func (d *Decoder) frameDone() (Event, error) {
	d.inside = false
	if d.first&Fin == 0 {
		return None, nil
	}
	if d.msg == Text && !d.text.end() {
		return None, ErrNotUTF8
	}
	d.ended = d.msg
	d.msg = 0
	return Message, nil
}

func (d *Decoder) controlDone() (Event, error) {
	d.inside = false
	switch d.first & 0x0f {
	case Ping:
		return GotPing, nil
	case Pong:
		return GotPong, nil
	}
	p := d.Control()
	switch {
	case len(p) == 0:
		return GotClose, nil
	case len(p) == 1:
		return None, ErrCloseSize
	case !Sendable(binary.BigEndian.Uint16(p)):
		return None, ErrCloseCode
	case !utf8.Valid(p[2:]):
		return None, ErrReason
	}
	return GotClose, nil
}

// Closed is the code and the reason of a close frame's payload: 1005 if it
// has no code.
func Closed(payload []byte) (code uint16, reason string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return binary.BigEndian.Uint16(payload), string(payload[2:])
}
