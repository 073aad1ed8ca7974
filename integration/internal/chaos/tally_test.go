package chaos

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/integration/internal/stream"
)

func TestTallySeesWhatIsWrong(t *testing.T) {
	damaged := stream.Message(nil, stream.Up, 1)
	damaged[len(damaged)/2] ^= 1
	for _, c := range []struct {
		name    string
		numbers []uint64
		epoch   uint64
		extra   []byte
		want    Result
	}{
		{"all is well", []uint64{0, 1, 2, 3}, 1, nil, Result{Messages: 4}},
		{"lost", []uint64{0, 1, 3}, 1, nil, Result{Messages: 4, Lost: 1}},
		{"the last one lost", []uint64{0, 1, 2}, 1, nil, Result{Messages: 4, Lost: 1}},
		{"doubled", []uint64{0, 1, 1, 2, 3, 0}, 1, nil, Result{Messages: 4, Doubled: 2}},
		{"out of order", []uint64{0, 2, 1, 3}, 1, nil, Result{Messages: 4, Disordered: 1}},
		{"too many", []uint64{0, 1, 2, 3, 4}, 1, nil, Result{Messages: 4, Damaged: 1}},
		{"damaged", []uint64{0, 1, 2, 3}, 1, damaged, Result{Messages: 4, Damaged: 1}},
		{"of the other direction", []uint64{0, 1, 2, 3}, 1, stream.Message(nil, stream.Down, 3), Result{Messages: 4, Damaged: 1}},
		{"after a gap", []uint64{0, 1, 2, 3}, 2, nil, Result{Messages: 4, Gaps: 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := newTally(stream.Up, 4)
			for _, n := range c.numbers {
				tally.take(stream.Message(nil, stream.Up, n), c.epoch)
			}
			if c.extra != nil {
				tally.take(c.extra, c.epoch)
			}
			var got Result
			tally.add(&got)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.name == "all is well", got.OK())
		})
	}
}
