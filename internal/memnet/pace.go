package memnet

import "time"

// pace is how slow a connection is: the one-way latency, and how many bytes it
// carries a second, 0 for any number.
type pace struct {
	latency time.Duration
	bytes   int64
}

func (p *pipe) setPace(latency time.Duration, bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = pace{max(latency, 0), int64(max(bytesPerSecond, 0))}
}

// rate is how many bytes a second the direction carries, 0 for any number.
func (p *pipe) rate() int64 {
	all := p.net.bytes.Load()
	switch own := p.slow.bytes; {
	case own == 0:
		return all
	case all == 0:
		return own
	default:
		return min(own, all)
	}
}
