package verdict_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/internal/verdict"
)

func TestProbes(t *testing.T) {
	plain := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute}
	for _, test := range []struct{ random, factor float64 }{{0, 0.8}, {0.25, 0.9}, {0.5, 1}, {0.75, 1.1}, {1, 1.2}} {
		p := verdict.Probes{Random: func() float64 { return test.random }}
		for range 2 {
			for i, d := range plain {
				assert.InDelta(t, float64(d)*test.factor, float64(p.Next()), float64(time.Microsecond), "%d, random %v", i, test.random)
			}
			p.Reset()
		}
	}
}

func TestProbesZeroValue(t *testing.T) {
	var p verdict.Probes
	seen := map[time.Duration]bool{}
	for range 50 {
		p.Reset()
		d := p.Next()
		assert.GreaterOrEqual(t, d, 4*time.Second)
		assert.LessOrEqual(t, d, 6*time.Second)
		seen[d] = true
	}
	assert.Greater(t, len(seen), 10, "jitter")
}
