package outbox

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A ring is compared with a slice, over several segments.
func TestRingLikeASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring
		var want []uint64
		seq := uint64(0)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch n := rapid.IntRange(0, segmentLen+9).Draw(t, "n"); rapid.SampledFrom([]string{"add", "pop", "remove", "reset"}).Draw(t, "step") {
			case "add":
				for range n {
					seq += 2
					e := r.Add()
					require.Equal(t, entry{}, *e)
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
			w := &Waiter{from: rapid.Uint64Range(0, seq+2).Draw(t, "from")}
			w.to = w.from + rapid.Uint64Range(0, 9).Draw(t, "more")
			i, end := r.span(w)
			in := slices.DeleteFunc(slices.Clone(want), func(s uint64) bool { return s < w.from || s > w.to })
			require.Len(t, in, end-i)
			for k := range in {
				require.Equal(t, in[k], r.At(i+k).seq)
			}
		}
	})
}

func TestAnEmptyRingHoldsNothing(t *testing.T) {
	var r ring
	for range 3 * segmentLen {
		r.Add().waiter = NewWaiter()
	}
	r.Reset()
	assert.Equal(t, 0, r.segs.Len())
}
