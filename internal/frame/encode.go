package frame

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
)

// Encoder makes frames. Its zero value masks nothing, as servers have to; it
// is not safe for concurrent use. The payload of a frame may come in parts:
// Begin, and then Continue until all is there.
type Encoder struct {
	// Mask masks each frame with a key of its own, as clients have to.
	Mask bool

	key  uint32
	at   int // keys[at:] is unused
	keys [1 << 10]byte
	full bool // keys was filled once
}

// HeaderSize is the length of the header that Begin makes.
func (e *Encoder) HeaderSize(n int) int {
	size := 2
	switch {
	case n > 0xffff:
		size = 10
	case n > MaxControl:
		size = 4
	}
	if e.Mask {
		size += 4
	}
	return size
}

// Append appends a whole frame to dst. first is the header's first byte: Fin
// and the opcode.
func (e *Encoder) Append(dst []byte, first byte, payload []byte) []byte {
	return e.Continue(e.Begin(dst, first, len(payload)), payload)
}

// Begin appends the header of a frame of n bytes of payload to dst.
func (e *Encoder) Begin(dst []byte, first byte, n int) []byte {
	var mask byte
	if e.Mask {
		mask = maskBit
	}
	switch {
	case n > 0xffff:
		dst = binary.BigEndian.AppendUint64(append(dst, first, mask|127), uint64(n))
	case n > MaxControl:
		dst = append(dst, first, mask|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, first, mask|byte(n))
	}
	if e.Mask {
		e.key = e.fresh()
		dst = binary.LittleEndian.AppendUint32(dst, e.key)
	}
	return dst
}

// Continue appends the next bytes of the payload to dst.
func (e *Encoder) Continue(dst, part []byte) []byte {
	if !e.Mask {
		return append(dst, part...)
	}
	n := len(dst)
	dst = slices.Grow(dst, len(part))[:n+len(part)]
	e.key = xor(dst[n:], part, e.key)
	return dst
}

// fresh draws a masking key. None is used twice.
func (e *Encoder) fresh() uint32 {
	if !e.full || e.at == len(e.keys) {
		rand.Read(e.keys[:])
		e.at, e.full = 0, true
	}
	key := binary.LittleEndian.Uint32(e.keys[e.at:])
	e.at += 4
	return key
}
