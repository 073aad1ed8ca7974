package frame

import (
	"encoding/binary"
	"math/bits"
)

// xor writes src, masked with key, to dst, which is as long or longer and is
// src itself or apart from it. The lowest byte of key masks the first byte. It
// returns the key for what comes behind src (RFC 6455, section 5.3).
func xor(dst, src []byte, key uint32) uint32 {
	dst = dst[:len(src)]
	wide := uint64(key)<<32 | uint64(key)
	for len(src) >= 32 {
		s, d := src[:32:32], dst[:32:32]
		a := binary.LittleEndian.Uint64(s) ^ wide
		b := binary.LittleEndian.Uint64(s[8:]) ^ wide
		c := binary.LittleEndian.Uint64(s[16:]) ^ wide
		e := binary.LittleEndian.Uint64(s[24:]) ^ wide
		binary.LittleEndian.PutUint64(d, a)
		binary.LittleEndian.PutUint64(d[8:], b)
		binary.LittleEndian.PutUint64(d[16:], c)
		binary.LittleEndian.PutUint64(d[24:], e)
		src, dst = src[32:], dst[32:]
	}
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^wide)
		src, dst = src[8:], dst[8:]
	}
	for i, b := range src {
		dst[i] = b ^ byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}
