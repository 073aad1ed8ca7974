package main

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// payloads are the messages of a size, which both ends know: they are sent one
// after the other, over and over.
func payloads(size int) [][]byte {
	n := min(max(64<<10/size, 2), 64)
	r := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, size)
		_, _ = r.Read(all[i])
	}
	return all
}

// checksum is of a payload that is masked with a key (RFC 6455, section 5.3), or
// with 0. It takes unmasking along, which costs the server nothing so.
func checksum(p []byte, key uint32) uint64 {
	k := uint64(key)<<32 | uint64(key)
	a, b, c, d := uint64(len(p)), uint64(1), uint64(2), uint64(3)
	for len(p) >= 32 {
		a = bits.RotateLeft64(a, 5) + (binary.LittleEndian.Uint64(p) ^ k)
		b = bits.RotateLeft64(b, 5) + (binary.LittleEndian.Uint64(p[8:]) ^ k)
		c = bits.RotateLeft64(c, 5) + (binary.LittleEndian.Uint64(p[16:]) ^ k)
		d = bits.RotateLeft64(d, 5) + (binary.LittleEndian.Uint64(p[24:]) ^ k)
		p = p[32:]
	}
	for len(p) >= 8 {
		a = bits.RotateLeft64(a, 5) + (binary.LittleEndian.Uint64(p) ^ k)
		p = p[8:]
	}
	for i, v := range p {
		b = bits.RotateLeft64(b, 5) + uint64(v^byte(key>>(8*(i&3))))
	}
	return ((a*prime+b)*prime+c)*prime + d
}

const prime = 0x9e3779b97f4a7c15

// tally is what an end has received: how many messages, and two sums over their
// checksums, of which one depends on the order.
type tally struct {
	Count, Ordered, Sum uint64
}

func (t *tally) add(checksum uint64) {
	t.Count++
	t.Ordered = t.Ordered*prime + checksum
	t.Sum += checksum
}

// expect is the tally of count messages, of which the first is number first.
func expect(all [][]byte, first, count uint64) tally {
	sums := make([]uint64, len(all))
	for i, p := range all {
		sums[i] = checksum(p, 0)
	}
	var t tally
	at := int(first % uint64(len(all)))
	for range count {
		t.add(sums[at])
		if at++; at == len(all) {
			at = 0
		}
	}
	return t
}

func (t tally) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, t.Count)
	b = binary.BigEndian.AppendUint64(b, t.Ordered)
	return binary.BigEndian.AppendUint64(b, t.Sum)
}

const tallyLen = 24

func parseTally(b []byte) (t tally, ok bool) {
	if len(b) != tallyLen {
		return t, false
	}
	return tally{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}, true
}
