package verdict

import (
	"math/rand/v2"
	"time"
)

// probeDelays are the waits before the probes of WebSocket while polling; the
// last one goes on.
var probeDelays = [...]time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// probeJitter is how far a wait may lie from its value, as a part of it.
const probeJitter = 0.2

// Probes gives the waits between the probes of WebSocket while polling. The
// zero value is ready for use, by one goroutine at a time.
type Probes struct {
	// Random returns numbers in [0, 1); nil means math/rand's.
	Random func() float64

	next int
}

// Next returns the wait before the next probe: 5 s, 30 s, 2 min, 10 min, and
// 30 min from then on, each 20 % shorter to 20 % longer.
func (p *Probes) Next() time.Duration {
	random := p.Random
	if random == nil {
		random = rand.Float64
	}
	d := probeDelays[p.next]
	p.next = min(p.next+1, len(probeDelays)-1)
	return time.Duration(float64(d) * (1 + probeJitter*(2*random()-1)))
}

// Reset starts over, as every change of the network should.
func (p *Probes) Reset() { p.next = 0 }
