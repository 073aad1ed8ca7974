package chunk

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSizes(t *testing.T) {
	for _, size := range []struct{ ask, min, max int }{
		{0, 2048, 2048}, {1, 2048, 2048}, {2048, 2048, 2048}, {2049, 4096, 4096}, {4096, 4096, 4096},
		{100_000, 131072, 131072}, {1 << 20, 1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 1, 1<<20 + 1}, {5 << 20, 5 << 20, 5 << 20},
	} {
		for range 3 {
			c := Get(size.ask)
			assert.Empty(t, c.B)
			assert.GreaterOrEqual(t, cap(c.B), size.min)
			assert.LessOrEqual(t, cap(c.B), size.max)
			c.B = append(c.B, "something"...)
			c.Put()
		}
	}
}

// Whatever memory B was replaced with, Get gives what was asked for.
func TestReplacedMemory(t *testing.T) {
	for _, n := range []int{0, 1, 100, 2047, 2049, 3000, 4095, 5000, 1<<20 + 5, 1<<21 + 5} {
		for range 20 {
			c := Get(1)
			c.B = make([]byte, n)
			c.Put()
			for ask := 1; ask <= 1<<13; ask *= 2 {
				assert.GreaterOrEqual(t, cap(Get(ask).B), ask)
			}
		}
	}
}
