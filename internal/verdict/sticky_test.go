package verdict_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/internal/verdict"
)

func TestSticky(t *testing.T) {
	for _, test := range []struct {
		name string
		at   []time.Duration
		want []bool
	}{
		{"one", []time.Duration{0}, []bool{false}},
		{"two within a minute", []time.Duration{0, 20 * time.Second}, []bool{false, true}},
		{"two a minute apart", []time.Duration{0, time.Minute}, []bool{false, true}},
		{"two further apart", []time.Duration{0, time.Minute + 1}, []bool{false, false}},
		{"it goes on", []time.Duration{0, 20 * time.Second, 70 * time.Second, 200 * time.Second}, []bool{false, true, true, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s verdict.Sticky
			for i, at := range test.at {
				assert.Equal(t, test.want[i], s.Lost(start.Add(at)), i)
			}
		})
	}
}
