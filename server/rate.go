package server

import "time"

// maxBuckets bounds the addresses that are remembered for OpenRate. Beyond it
// one or the other is forgotten, in the client's favour.
const maxBuckets = 1 << 16

// rate lets each address do something a number of times a second, and as often
// at once. The server's lock guards it.
type rate struct {
	perSecond float64 // negative: as often as it likes
	buckets   map[string]bucket
	sweepAt   int // how many buckets make it look for full ones
}

// bucket is full when its address has not been seen for a while.
type bucket struct {
	left float64
	at   time.Time
}

func (r *rate) burst() float64 { return max(r.perSecond, 1) }

func (r *rate) now(b bucket, now time.Time) float64 {
	return min(b.left+now.Sub(b.at).Seconds()*r.perSecond, r.burst())
}

// take takes one, or says how long to wait for it.
func (r *rate) take(addr string, now time.Time) (wait time.Duration) {
	if r.perSecond < 0 || addr == "" {
		return 0
	}
	b, known := r.buckets[addr]
	if !known {
		b = bucket{r.burst(), now}
		r.makeRoom(now)
	}
	left := r.now(b, now)
	if left < 1 {
		return time.Duration((1 - left) / r.perSecond * float64(time.Second))
	}
	if r.buckets == nil {
		r.buckets = map[string]bucket{}
	}
	r.buckets[addr] = bucket{left - 1, now}
	return 0
}

// makeRoom forgets full buckets, which say nothing, when there are many.
func (r *rate) makeRoom(now time.Time) {
	if len(r.buckets) < max(r.sweepAt, 1024) {
		return
	}
	for addr, b := range r.buckets {
		if r.now(b, now) >= r.burst() {
			delete(r.buckets, addr)
		}
	}
	for addr := range r.buckets {
		if len(r.buckets) <= maxBuckets/2 { // so that the next sweep is far
			break
		}
		delete(r.buckets, addr)
	}
	r.sweepAt = 2 * len(r.buckets)
}
