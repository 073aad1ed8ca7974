package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// measureEcho sends one message at a time and waits for it to come back.
func measureEcho(ctx context.Context, c *child, s *subject, size int, d time.Duration) (sample, error) {
	conn, err := s.connect(ctx, c, "/echo", false)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	all := payloads(size)
	took := make([]time.Duration, 0, 1<<16)
	at, warm := 0, false
	var failed error
	begin := time.Now()
	end := begin.Add(d / 6)
	sent := begin
	if err := conn.Send(all[0]); err != nil {
		return nil, err
	}
	err = conn.Each(true, func(p []byte) bool {
		now := time.Now()
		if !bytes.Equal(p, all[at]) {
			failed = fmt.Errorf("%w: message %d", errLost, at)
			return false
		}
		took = append(took, now.Sub(sent))
		if !now.Before(end) {
			if warm {
				return false
			}
			warm, end, took = true, now.Add(d), took[:0]
		}
		at = (at + 1) % len(all)
		sent = time.Now()
		failed = conn.Send(all[at])
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(took)
	return sample{p50: microseconds(took[len(took)/2]), p99: microseconds(took[len(took)*99/100])}, nil
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
