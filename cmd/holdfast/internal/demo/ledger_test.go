package demo

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLedger(t *testing.T) {
	type arrival struct{ link, n uint64 }
	for _, c := range []struct {
		name     string
		sent     uint64
		arrivals []arrival
		want     count
	}{
		{"nothing", 0, nil, count{}},
		{"all", 3, []arrival{{1, 1}, {1, 2}, {1, 3}}, count{sent: 3, received: 3}},
		{"the last lost", 3, []arrival{{1, 1}, {1, 2}}, count{sent: 3, received: 2, missing: 1}},
		{"all lost", 3, nil, count{sent: 3, missing: 3}},
		{"again on the next link", 3, []arrival{{1, 1}, {1, 2}, {2, 2}, {2, 3}}, count{sent: 3, received: 4, repeated: 1, back: 1}},
		{"all again", 2, []arrival{{1, 1}, {1, 2}, {2, 1}, {2, 2}}, count{sent: 2, received: 4, repeated: 2, back: 1}},
		{"a gap between links", 4, []arrival{{1, 1}, {2, 3}, {2, 4}}, count{sent: 4, received: 3, missing: 1, ahead: 1}},
		{"nothing over the first link", 3, []arrival{{2, 2}, {2, 3}}, count{sent: 3, received: 2, missing: 1, ahead: 1}},
		{"a gap at the start of the first", 3, []arrival{{1, 2}, {1, 3}}, count{sent: 3, received: 2, missing: 1, broken: 1}},
		{"a gap inside a link", 3, []arrival{{1, 1}, {1, 3}}, count{sent: 3, received: 2, missing: 1, broken: 1}},
		{"twice inside a link", 2, []arrival{{1, 1}, {1, 1}, {1, 2}}, count{sent: 2, received: 3, repeated: 1, broken: 1}},
		{"swapped inside a link", 3, []arrival{{1, 1}, {1, 3}, {1, 2}}, count{sent: 3, received: 3, broken: 2}},
		{"never sent", 2, []arrival{{1, 1}, {1, 2}, {1, 3}, {2, 0}}, count{sent: 2, received: 4, foreign: 2, back: 1}},
		{"the old link comes late", 4, []arrival{{1, 1}, {2, 3}, {1, 2}, {2, 4}}, count{sent: 4, received: 4}},
		{"a hole filled by a later link", 4, []arrival{{1, 1}, {2, 4}, {3, 2}, {3, 3}, {3, 4}}, count{sent: 4, received: 5, repeated: 1, ahead: 1, back: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l ledger
			for _, a := range c.arrivals {
				l.add(a.link, a.n)
			}
			assert.Equal(t, c.want, l.count(c.sent))
			if n := len(c.arrivals); n > 0 {
				assert.Equal(t, c.arrivals[n-1].n, l.latest)
			}
		})
	}
}

func TestLedgerStaysSmall(t *testing.T) {
	var l ledger
	for n := range uint64(100_000) {
		l.add(1+n/50_000, n+1)
	}
	assert.Len(t, l.runs, 2)
}
