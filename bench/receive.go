package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// measureReceive reads from a source. Here the far end is this one: it counts and
// checksums.
func measureReceive(ctx context.Context, c *child, s *subject, size int, owned bool, d time.Duration) (sample, error) {
	conn, err := s.connect(ctx, c, "/source/"+strconv.Itoa(size), false)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var got tally
	first, every := uint64(0), uint64(clockEvery(size))
	warm := false
	start := time.Now()
	end := start.Add(d / 6)
	var took time.Duration
	err = conn.Each(owned, func(p []byte) bool {
		got.add(checksum(p, 0))
		if got.Count%every != 0 {
			return true
		}
		now := time.Now()
		switch {
		case now.Before(end):
		case !warm:
			warm, start, end = true, now, now.Add(d)
			first, got = got.Count, tally{}
		default:
			took = now.Sub(start)
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if want := expect(payloads(size), first, got.Count); got != want {
		return nil, fmt.Errorf("%w: %+v of %+v", errLost, got, want)
	}
	return sample{rate: float64(got.Count) / took.Seconds()}, nil
}
