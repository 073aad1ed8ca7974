package fallback

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

func TestWholeAndFitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 300), 0, 20).Draw(t, "sizes")
		var batch []byte
		ends, firstNumbered := []int{0}, -1
		for i, size := range sizes {
			f := wire.Frame{Type: wire.Ping, Payload: make([]byte, size)}
			if rapid.Bool().Draw(t, "numbered") {
				f.Type, f.Seq = wire.Data, uint64(i+1)
				if firstNumbered < 0 {
					firstNumbered = i
				}
			}
			batch = wire.Append(batch, f)
			ends = append(ends, len(batch))
		}

		at := rapid.IntRange(0, len(batch)).Draw(t, "cut")
		n, numbered, short := whole(batch[:at])
		want, count := 0, 0
		for i, end := range ends {
			if end <= at {
				want, count = end, i
			}
		}
		assert.Equal(t, want, n)
		assert.Equal(t, want != at, short)
		assert.Equal(t, firstNumbered >= 0 && firstNumbered < count, numbered)

		limit := rapid.IntRange(0, 1000).Draw(t, "limit")
		var again []byte
		total := 0
		for rest := batch; len(rest) > 0; {
			part, frames := fitting(rest, limit)
			assert.Positive(t, frames)
			assert.True(t, len(part) <= limit || frames == 1, "%d bytes of %d frames", len(part), frames)
			if left := rest[len(part):]; len(left) > 0 {
				_, size, _ := wire.Parse(left)
				assert.Greater(t, len(part)+size, limit, "one more would fit")
			}
			again, rest, total = append(again, part...), rest[len(part):], total+frames
		}
		assert.Equal(t, batch, again)
		assert.Equal(t, len(sizes), total)
	})
}

func TestFittingTakesWhatIsNoFrame(t *testing.T) {
	part, frames := fitting([]byte{1, 0, 0, 0, 9}, 1)
	assert.Len(t, part, 5)
	assert.Equal(t, 1, frames)
}
