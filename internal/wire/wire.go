// Package wire is the frames of the session protocol, holdfast.v1: what a
// binary WebSocket message and the body of a poll carry, one frame after the
// other. docs/protocol.md says what they mean.
//
//	type u8 | flags u8 | seq uvarint | ack uvarint | len uvarint | payload
//
// Bounds are checked before anything is allocated, and a Frame's payload is
// part of the bytes that it was parsed from.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Version is the protocol's number, as the header Holdfast-Version has it.
const Version = "1"

// MediaType is the content type of every body.
const MediaType = "application/vnd.holdfast.v1"

// The bounds.
const (
	MaxPayload = 64 << 10  // bytes of one frame's payload
	MaxBatch   = 256 << 10 // bytes of a WebSocket message or body, after inflation
	MaxSeq     = 1<<62 - 1
	MaxGap     = 1 << 32 // frames that one GAP covers
	// Overhead is what a numbered frame counts beyond its payload, so that
	// empty ones are bounded too.
	Overhead = 64
	// MaxHeader is the length of the longest frame header.
	MaxHeader = 2 + 9 + 9 + 3
)

// Type is a frame's type.
type Type uint8

// The types. DATA, GAP and CLOSE are numbered; the others have seq 0.
const (
	Hello Type = iota + 1
	Welcome
	Reject
	Attach
	Data
	Ack
	Ping
	Pong
	Gap
	GoAway
	Close
)

var typeNames = [...]string{"", "HELLO", "WELCOME", "REJECT", "ATTACH", "DATA", "ACK", "PING", "PONG", "GAP", "GOAWAY", "CLOSE"}

// String returns the type's name as the protocol page has it.
func (t Type) String() string {
	if t == 0 || int(t) >= len(typeNames) {
		return "frame type " + strconv.Itoa(int(t))
	}
	return typeNames[t]
}

// Known says that this version has the type.
func (t Type) Known() bool { return t != 0 && int(t) < len(typeNames) }

// Numbered says that frames of the type have a number of their own.
func (t Type) Numbered() bool { return t == Data || t == Gap || t == Close }

// Flags are a frame's flags. Unknown ones are ignored.
type Flags uint8

const (
	// Text marks DATA of a text message; without it the message is binary.
	Text Flags = 1 << 0
	// More marks DATA that the next DATA goes on with.
	More Flags = 1 << 1
	// Critical marks a frame that must not be skipped by those who do not know
	// its type.
	Critical Flags = 1 << 7
)

// Frame is one frame. Ack is cumulative: everything up to it is in the inbox of
// the frame's sender.
type Frame struct {
	Type     Type
	Flags    Flags
	Seq, Ack uint64
	Payload  []byte
}

// ErrShort says that the bytes end inside a frame.
var ErrShort = errors.New("the bytes end inside a frame")

// ErrMalformed is wrapped by every other error of this package.
var ErrMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Append appends a frame to dst.
func Append(dst []byte, f Frame) []byte {
	dst = append(dst, byte(f.Type), byte(f.Flags))
	dst = binary.AppendUvarint(dst, f.Seq)
	dst = binary.AppendUvarint(dst, f.Ack)
	dst = binary.AppendUvarint(dst, uint64(len(f.Payload)))
	return append(dst, f.Payload...)
}

// Parse reads the first frame of b and says how long it is. The error is
// ErrShort or wraps ErrMalformed. A type that this version does not know is no error
// unless it is numbered or critical.
func Parse(b []byte) (f Frame, n int, err error) {
	if len(b) < 2 {
		return Frame{}, 0, ErrShort
	}
	f.Type, f.Flags = Type(b[0]), Flags(b[1])
	n = 2
	var size uint64
	for i, v := range [...]*uint64{&f.Seq, &f.Ack, &size} {
		max := uint64(MaxSeq)
		if i == 2 {
			max = MaxPayload
		}
		var width int
		if *v, width, err = uvarint(b[n:], max); err != nil {
			return Frame{}, 0, err
		}
		n += width
	}
	if (f.Seq > 0) != f.Type.Numbered() && (f.Type.Known() || f.Seq > 0) {
		return Frame{}, 0, malformed("%v with the number %d", f.Type, f.Seq)
	}
	if !f.Type.Known() && f.Flags&Critical != 0 {
		return Frame{}, 0, malformed("%v is critical and not known", f.Type)
	}
	if uint64(len(b)-n) < size {
		return Frame{}, 0, ErrShort
	}
	end := n + int(size)
	f.Payload = b[n:end:end]
	return f, end, nil
}

// uvarint reads a number in its shortest form.
func uvarint(b []byte, max uint64) (v uint64, n int, err error) {
	v, n = binary.Uvarint(b)
	switch {
	case n == 0 && len(b) < binary.MaxVarintLen64:
		return 0, 0, ErrShort
	case n <= 0 || v > max:
		return 0, 0, malformed("a number over %d", max)
	case n > 1 && b[n-1] == 0:
		return 0, 0, malformed("a number that is not in its shortest form")
	}
	return v, n, nil
}
