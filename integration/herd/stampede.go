package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/integration/internal/policy"
)

const (
	// portsOfOneAddress is how many outgoing connections one address has ports for
	// on an ordinary system.
	portsOfOneAddress = 28000
	// atOnce is how many clients connect at a time in the beginning, and send in
	// the end.
	atOnce = 64
	// step is the width of what is counted by.
	step     = 100 * time.Millisecond
	barWidth = 50
)

// result is what came of one policy. Times are since the server was up again.
type result struct {
	Policy     string        `json:"policy"`
	Clients    int           `json:"clients"`
	Down       time.Duration `json:"down_ns"`
	Attempts   int           `json:"attempts"`
	PeakSecond int           `json:"most_accepts_in_1s"`
	PeakStep   int           `json:"most_accepts_in_100ms"`
	Back99     time.Duration `json:"back_99_ns"`
	BackAll    time.Duration `json:"back_all_ns"`
	Answered   int           `json:"answered"`
	// Accepts and Attempted are counts by 100 ms since the server was killed.
	Accepts   []int `json:"accepts"`
	Attempted []int `json:"attempted"`
}

// herd are the clients of one run.
type herd struct {
	conns []*holdfast.Conn

	mu       sync.Mutex
	killed   time.Time // nothing is counted before
	came     []bool    // by client
	back     []time.Duration
	attempts []time.Duration
	all      chan struct{} // closed when all are back
}

// stampede lets the clients lose their server once, and come back.
func stampede(ctx context.Context, p *plan, one policy.Policy, live io.Writer) (_ *result, err error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	srv, err := start(addr)
	if err != nil {
		return nil, err
	}
	defer func() { srv.kill() }()
	h := &herd{conns: make([]*holdfast.Conn, p.clients), came: make([]bool, p.clients), all: make(chan struct{})}
	defer h.close()
	fmt.Fprintf(live, "\n%s: %d clients connect\n", one.Name, p.clients)
	if err := h.each(func(i int) error { return h.dial(ctx, i, addr, one) }); err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.killed = time.Now()
	h.mu.Unlock()
	srv.kill()
	fmt.Fprintf(live, "the server is killed, and is back after %v\n", p.down)
	select {
	case <-time.After(p.down - time.Since(h.killed)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if srv, err = restart(addr, srv); err != nil {
		return nil, err
	}
	up := time.Since(h.killed)
	if err := h.watch(ctx, p, live); err != nil {
		return nil, err
	}
	r := h.result(one, p, up)
	err = h.each(func(i int) error { return h.greet(ctx, i) })
	if err == nil {
		r.Answered = p.clients
	}
	return r, err
}

// restart keeps the dead one for want of another.
func restart(addr string, dead *child) (*child, error) {
	srv, err := start(addr)
	if err != nil {
		return dead, err
	}
	return srv, nil
}

// each calls f for every client, some at once, and returns the first error.
func (h *herd) each(f func(i int) error) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	errs := make(chan error, atOnce)
	for range atOnce {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(h.conns); i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	return <-errs
}

func (h *herd) dial(ctx context.Context, i int, addr string, one policy.Policy) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	h.conns[i], err = holdfast.Dial(ctx, "ws://"+addr+"/herd", &holdfast.Options{
		Retry:   one.Retry(),
		Proxy:   func(*http.Request) (*url.URL, error) { return nil, nil },
		OnEvent: func(e holdfast.Event) { h.event(i, e) },
	})
	return err
}

// event notes attempts, and clients that are back.
func (h *herd) event(i int, e holdfast.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killed.IsZero() || e.Time.Before(h.killed) {
		return
	}
	switch e.Kind {
	case holdfast.EventConnecting:
		h.attempts = append(h.attempts, e.Time.Sub(h.killed))
	case holdfast.EventConnected:
		if h.came[i] {
			return // it has lost its link once more
		}
		h.came[i] = true
		h.back = append(h.back, e.Time.Sub(h.killed))
		if len(h.back) == len(h.conns) {
			close(h.all)
		}
	}
}

// watch prints a line for each second until all are back.
func (h *herd) watch(ctx context.Context, p *plan, live io.Writer) error {
	up := time.Now()
	limit := time.NewTimer(p.limit)
	defer limit.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := 0
	line := func() {
		h.mu.Lock()
		back := len(h.back)
		h.mu.Unlock()
		bar := strings.Repeat("#", int(math.Ceil(float64(barWidth*(back-before))/float64(max(len(h.conns), 1)))))
		fmt.Fprintf(live, "%5.1f s  %5d more back, %5d of %d  %s\n", time.Since(up).Seconds(), back-before, back, len(h.conns), bar)
		before = back
	}
	for {
		select {
		case <-h.all:
			line()
			return nil
		case <-tick.C:
			line()
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("not all are back after %v: %d of %d", p.limit, before, len(h.conns))
		}
	}
}

// greet sends a client's message, and waits until it has come back.
func (h *herd) greet(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	text := fmt.Sprintf("client %d is back", i)
	if err := h.conns[i].Send(ctx, holdfast.Text, []byte(text)); err != nil {
		return err
	}
	m, err := h.conns[i].Receive(ctx)
	if err != nil {
		return err
	}
	if string(m.Data) != text {
		return errors.New("a client got the message of another: " + string(m.Data))
	}
	return nil
}

func (h *herd) close() {
	for _, c := range h.conns {
		if c != nil {
			_ = c.CloseNow()
		}
	}
}

func (h *herd) result(one policy.Policy, p *plan, up time.Duration) *result {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &result{Policy: one.Name, Clients: p.clients, Down: up, Attempts: len(h.attempts)}
	r.Back99 = h.back[int(math.Ceil(0.99*float64(len(h.back))))-1] - up
	r.BackAll = h.back[len(h.back)-1] - up
	seconds := map[time.Duration]int{}
	for _, at := range h.back {
		count(&r.Accepts, at)
		n := (at - up) / time.Second
		seconds[n]++
		r.PeakSecond = max(r.PeakSecond, seconds[n])
	}
	for _, at := range h.attempts {
		count(&r.Attempted, at)
	}
	for _, n := range r.Accepts {
		r.PeakStep = max(r.PeakStep, n)
	}
	return r
}

func count(steps *[]int, at time.Duration) {
	n := int(at / step)
	for len(*steps) <= n {
		*steps = append(*steps, 0)
	}
	(*steps)[n]++
}
