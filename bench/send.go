package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sending is a measurement of Send.
type sending struct {
	size    int
	senders int // goroutines
	secure  bool
	sample  time.Duration
}

// errLost means that the far end has not received what was sent.
var errLost = errors.New("not what was sent has arrived")

// clockEvery is after how many messages the clock is read.
func clockEvery(size int) int { return max(1, min(64, 64<<10/size)) }

// measureSend counts what the far end has received, and not what Send has
// accepted: the time is up when its tally is back.
func measureSend(ctx context.Context, c *child, s *subject, m sending) (sample, error) {
	conn, err := s.connect(ctx, c, "/sink", m.secure)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if s.locked && m.senders > 1 {
		conn = &lockedConn{conn: conn}
	}
	all := payloads(m.size)
	if _, _, err := sendFor(ctx, conn, all, m, m.sample/6); err != nil { // warm-up
		return nil, err
	}
	n, took, err := sendFor(ctx, conn, all, m, m.sample)
	if err != nil {
		return nil, err
	}
	return sample{rate: float64(n) / took.Seconds()}, nil
}

func sendFor(ctx context.Context, c conn, all [][]byte, m sending, d time.Duration) (n uint64, took time.Duration, err error) {
	start := time.Now()
	counts := make([]uint64, m.senders)
	errs := make([]error, m.senders)
	if m.senders == 1 {
		counts[0], errs[0] = sendUntil(c, all, m, start.Add(d))
	} else {
		var wg sync.WaitGroup
		for i := range m.senders {
			wg.Go(func() { counts[i], errs[i] = sendUntil(c, all, m, start.Add(d)) })
		}
		wg.Wait()
	}
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	var want tally // of several senders, the sum alone: there is no order between them
	for _, count := range counts {
		t := expect(all, 0, count)
		want = tally{want.Count + t.Count, t.Ordered, want.Sum + t.Sum}
	}
	if counter, ok := c.(counter); ok {
		if err := c.Flush(); err != nil {
			return 0, 0, err
		}
		took = time.Since(start)
		got, err := counter.Counted(ctx, want.Count)
		if err == nil && got != want.Count {
			err = fmt.Errorf("%w: %d of %d messages", errLost, got, want.Count)
		}
		return got, took, err
	}
	got, err := askTally(c)
	took = time.Since(start)
	if err == nil && (got.Count != want.Count || got.Sum != want.Sum || m.senders == 1 && got.Ordered != want.Ordered) {
		err = fmt.Errorf("%w: %+v of %+v", errLost, got, want)
	}
	return got.Count, took, err
}

func sendUntil(c conn, all [][]byte, m sending, end time.Time) (n uint64, err error) {
	every := uint64(clockEvery(m.size))
	at := 0
	for {
		if err := c.Send(all[at]); err != nil {
			return n, err
		}
		if at++; at == len(all) {
			at = 0
		}
		if n++; n%every == 0 && !time.Now().Before(end) {
			return n, nil
		}
	}
}

// askTally asks a sink what it has received.
func askTally(c conn) (t tally, err error) {
	if err := c.Send(nil); err != nil {
		return t, err
	}
	if err := c.Flush(); err != nil {
		return t, err
	}
	ok := false
	err = c.Each(true, func(p []byte) bool {
		t, ok = parseTally(p)
		return false
	})
	if err == nil && !ok {
		err = errors.New("the sink has not answered with a tally")
	}
	return t, err
}
