package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/holdfast-ws/holdfast"
)

// message is what goes over the wire, both ways.
type message struct {
	Op      string         `json:"op"`                // subscribe, subscribed, snapshot, price
	Symbols []string       `json:"symbols,omitempty"` // subscribe
	Prices  map[string]int `json:"prices,omitempty"`  // snapshot and price, in cents
}

// ticker keeps a copy of an exchange's prices. It subscribes anew whenever the
// server knows nothing of it any more, and loads everything whenever it may
// have missed a change. When the exchange cannot be reached for too long it
// gives up.
type ticker struct {
	url     string
	symbols []string
	options holdfast.Options // a test replaces the network in it
	changed func(symbol string, cents int)

	mu     sync.Mutex
	conn   *holdfast.Conn // nil before it is first up
	prices map[string]int
	epoch  uint64 // of prices
}

// run keeps the copy until ctx ends, and then returns nil, or until it has to
// give up.
func (t *ticker) run(ctx context.Context) error {
	options := t.options
	options.OnConnect = t.subscribe
	conn, err := holdfast.Dial(ctx, t.url, &options)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	t.mu.Lock()
	t.conn = conn
	t.mu.Unlock()

	var epoch uint64
	for msg, err := range conn.Messages(ctx) {
		if err != nil {
			return ended(ctx, err)
		}
		if msg.Epoch != epoch { // changes may be missing before this message
			epoch = msg.Epoch
			if err := conn.Send(ctx, holdfast.Text, []byte(`{"op":"snapshot"}`)); err != nil {
				return ended(ctx, err)
			}
		}
		var m message
		if err := json.Unmarshal(msg.Data, &m); err != nil {
			return fmt.Errorf("the exchange sent %.40q: %w", msg.Data, err)
		}
		t.apply(m, epoch)
	}
	return nil
}

// subscribe runs on each connection that is not the continuation of a session.
func (t *ticker) subscribe(ctx context.Context, h *holdfast.Handshake) error {
	m, err := json.Marshal(message{Op: "subscribe", Symbols: t.symbols})
	if err != nil {
		return err
	}
	return h.Send(ctx, holdfast.Text, m)
}

func (t *ticker) apply(m message, epoch uint64) {
	t.mu.Lock()
	switch {
	case m.Op == "snapshot":
		t.prices, t.epoch = map[string]int{}, epoch
		maps.Copy(t.prices, m.Prices)
	case m.Op == "price" && t.epoch == epoch:
		for symbol, cents := range m.Prices {
			t.prices[symbol] = cents
		}
	default: // the answer to subscribe, or what the snapshot will have
		m.Prices = nil
	}
	t.mu.Unlock()
	for symbol, cents := range m.Prices {
		if t.changed != nil {
			t.changed(symbol, cents)
		}
	}
}

// price returns the latest price; ok is false while changes may be missing.
func (t *ticker) price(symbol string) (cents int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return 0, false
	}
	now := t.conn.Stats()
	cents, ok = t.prices[symbol]
	return cents, ok && now.State == holdfast.StateConnected && now.Epoch == t.epoch
}

// ended says why the copy is kept no longer.
func ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // it was asked to end
	case errors.Is(err, holdfast.ErrRetriesExhausted):
		return fmt.Errorf("giving up on the exchange: %w", err)
	}
	return err
}
