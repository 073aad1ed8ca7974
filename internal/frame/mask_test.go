package frame

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestXor(t *testing.T) {
	const key = 0x81_00_ff_5a // 5a first
	for n := range 100 {
		for from := range 9 {
			src := make([]byte, from+n)
			want := make([]byte, n)
			for i := range n {
				src[from+i] = byte(3 * i)
				want[i] = byte(3*i) ^ byte(uint32(key)>>(8*(i%4)))
			}
			dst := make([]byte, n+1)
			next := xor(dst, src[from:], key)
			assert.Equal(t, want, dst[:n])
			assert.Zero(t, dst[n])
			assert.Equal(t, byte(uint32(key)>>(8*(n%4))), byte(next), "the key goes on")
			assert.Equal(t, next, xor(src[from:], src[from:], key))
			assert.Equal(t, want, src[from:], "in place")
		}
	}
}

func BenchmarkXor(b *testing.B) {
	p := make([]byte, 16<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		xor(p, p, 0x12345678)
	}
}
