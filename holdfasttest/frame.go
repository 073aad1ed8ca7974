package holdfasttest

import (
	"encoding/binary"
	"errors"
	"io"
)

// The opcodes of RFC 6455, section 5.2.
const (
	OpContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xA
)

// Frame is one frame as it goes over the wire (RFC 6455, section 5.2), right
// or wrong: nothing in it is checked.
type Frame struct {
	// Fin marks the last frame of a message.
	Fin bool
	// RSV is the three reserved bits, RSV1 being 4. Anything but 0 breaks
	// the protocol, since no extension is negotiated.
	RSV byte
	// Opcode is one of the Op constants, or another number under 16.
	Opcode byte
	// Masked masks the payload, as clients must and servers must not.
	Masked bool
	// Payload is the payload, not masked.
	Payload []byte
}

// Append appends the frame's bytes to dst and returns the extended slice.
func (f Frame) Append(dst []byte) []byte {
	b0, mask := f.RSV<<4&0x70|f.Opcode&0x0f, byte(0)
	if f.Fin {
		b0 |= 0x80
	}
	if f.Masked {
		mask = 0x80
	}
	switch n := len(f.Payload); {
	case n < 126:
		dst = append(dst, b0, mask|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, b0, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, b0, mask|127), uint64(n))
	}
	if !f.Masked {
		return append(dst, f.Payload...)
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	dst = append(dst, key[:]...)
	for i, b := range f.Payload {
		dst = append(dst, b^key[i%4])
	}
	return dst
}

var (
	errLength = errors.New("the length is not encoded in the shortest way")
	errTooBig = errors.New("larger than this server takes")
)

// readFrame reads one frame of at most limit bytes of payload, and unmasks it.
func readFrame(r io.Reader, limit uint64) (f Frame, err error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return f, err
	}
	f.Fin, f.RSV, f.Opcode = h[0]&0x80 != 0, h[0]>>4&7, h[0]&0x0f
	f.Masked = h[1]&0x80 != 0
	n, ext, least := uint64(h[1]&0x7f), 0, uint64(0)
	switch n {
	case 126:
		ext, least = 2, 126
	case 127:
		ext, least = 8, 1<<16
	}
	if ext > 0 {
		clear(h[:])
		if _, err := io.ReadFull(r, h[8-ext:]); err != nil {
			return f, unexpected(err)
		}
		n = binary.BigEndian.Uint64(h[:])
	}
	switch {
	case n < least:
		return f, errLength
	case n > limit:
		return f, errTooBig
	}
	var key [4]byte
	if f.Masked {
		if _, err := io.ReadFull(r, key[:]); err != nil {
			return f, unexpected(err)
		}
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return f, unexpected(err)
	}
	for i := range f.Payload {
		f.Payload[i] ^= key[i%4]
	}
	return f, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
