package main

import (
	"encoding/json"
	"maps"
	"sync"
)

// exchange is the other side: it tells its subscribers every price that changes.
type exchange struct {
	mu          sync.Mutex
	prices      map[string]int
	subscribers map[*subscriber]bool
}

// subscriber is a client. What it is told waits in out, 64 messages at most: one
// that is slower than that is told nothing more, and its connection ends.
type subscriber struct {
	out  chan message
	slow chan struct{}
	want map[string]bool
}

func newExchange(prices map[string]int) *exchange {
	return &exchange{prices: prices, subscribers: map[*subscriber]bool{}}
}

// set changes a price.
func (x *exchange) set(symbol string, cents int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.prices[symbol] = cents
	for s := range x.subscribers {
		if s.want[symbol] {
			x.tell(s, message{Op: "price", Prices: map[string]int{symbol: cents}})
		}
	}
}

// tell queues a message. x.mu is held.
func (x *exchange) tell(s *subscriber, m message) {
	select {
	case s.out <- m:
	default:
		delete(x.subscribers, s)
		close(s.slow)
	}
}

// serve talks to one client until receive or send fails.
func (x *exchange) serve(receive func() ([]byte, error), send func([]byte) error) error {
	s := &subscriber{out: make(chan message, 64), slow: make(chan struct{})}
	gone := make(chan struct{})
	var writer sync.WaitGroup
	defer writer.Wait()
	defer close(gone)
	defer x.forget(s)
	writer.Go(func() {
		for {
			select {
			case m := <-s.out:
				b, err := json.Marshal(m)
				if err != nil || send(b) != nil {
					return
				}
			case <-s.slow:
				return
			case <-gone:
				return
			}
		}
	})
	for {
		b, err := receive()
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		x.answer(s, m)
	}
}

func (x *exchange) answer(s *subscriber, m message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch m.Op {
	case "subscribe":
		s.want = map[string]bool{}
		for _, symbol := range m.Symbols {
			s.want[symbol] = true
		}
		x.subscribers[s] = true
		x.tell(s, message{Op: "subscribed"})
	case "snapshot":
		if x.subscribers[s] {
			x.tell(s, message{Op: "snapshot", Prices: maps.Clone(x.prices)})
		}
	}
}

func (x *exchange) forget(s *subscriber) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.subscribers, s)
}
