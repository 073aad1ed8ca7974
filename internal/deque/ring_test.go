package deque

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type item struct {
	seq   uint64
	other *int
}

var items Pool[item]

// A ring is compared with a slice, over several segments.
func TestRingLikeASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Ring[item]{Pool: &items}
		var want []uint64
		seq := uint64(0)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch n := rapid.IntRange(0, segmentLen+9).Draw(t, "n"); rapid.SampledFrom([]string{"add", "pop", "remove", "reset"}).Draw(t, "step") {
			case "add":
				for range n {
					seq += 2
					e := r.Add()
					require.Equal(t, item{}, *e)
					e.seq = seq
					want = append(want, seq)
				}
			case "pop":
				for range min(n, len(want)) {
					require.Equal(t, want[0], r.Pop().seq)
					want = want[1:]
				}
			case "remove":
				if n < len(want) {
					require.Equal(t, want[n], r.Remove(n).seq)
					want = slices.Delete(slices.Clone(want), n, n+1)
				}
			case "reset":
				if n == 0 {
					r.Reset()
					want = nil
				}
			}
			require.Equal(t, len(want), r.Len())
			for i, seq := range want {
				require.Equal(t, seq, r.At(i).seq)
			}
			require.Equal(t, (r.head+len(want)+segmentLen-1)/segmentLen, r.segs.Len(), "segments that hold nothing")
		}
	})
}

func TestAnEmptyRingHoldsNothing(t *testing.T) {
	r := Ring[item]{Pool: &items}
	for range 3 * segmentLen {
		r.Add().other = new(int)
	}
	r.Reset()
	assert.Equal(t, 0, r.segs.Len())
}
