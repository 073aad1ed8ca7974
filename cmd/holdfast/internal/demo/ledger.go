package demo

import (
	"cmp"
	"slices"
)

// run is a stretch of consecutive numbers as they arrived over one link.
type run struct {
	link        uint64
	first, last uint64
}

// ledger writes down which numbers arrived, in which order, over which links.
// Over each link they should come without a break, so that it stays small: a
// run for a link.
type ledger struct {
	runs   []run
	latest uint64 // the number that arrived last
}

// add notes the arrival of n over link. Links are numbered from 1.
func (l *ledger) add(link, n uint64) {
	l.latest = n
	for i := len(l.runs) - 1; i >= 0; i-- {
		if r := &l.runs[i]; r.link == link {
			if n == r.last+1 {
				r.last = n
				return
			}
			break
		}
	}
	l.runs = append(l.runs, run{link, n, n})
}

// count is what a ledger says when the numbers from 1 to sent were sent.
type count struct {
	sent, received, repeated, missing uint64

	foreign uint64 // received, never sent
	broken  int    // a number that did not follow the one before it on its link
	back    int    // a link began with a number that was not new
	ahead   int    // a link began beyond the next number
}

func (l *ledger) count(sent uint64) count {
	c := count{sent: sent}
	byLink := slices.Clone(l.runs)
	slices.SortStableFunc(byLink, func(a, b run) int { return cmp.Compare(a.link, b.link) })
	var highest uint64
	for i, r := range byLink {
		c.received += r.last - r.first + 1
		switch {
		case i > 0 && byLink[i-1].link == r.link, r.link == 1 && r.first != 1:
			c.broken++
		case r.first <= highest:
			c.back++
		case r.first > highest+1:
			c.ahead++
		}
		highest = max(highest, r.last)
	}
	byNumber := slices.Clone(l.runs)
	slices.SortFunc(byNumber, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	var distinct, known, upTo uint64 // of the numbers up to upTo
	for _, r := range byNumber {
		first, last := max(r.first, upTo+1), min(r.last, sent)
		if first <= last {
			distinct += last - first + 1
			upTo = last
		}
		if first, last := max(r.first, 1), min(r.last, sent); first <= last {
			known += last - first + 1
		}
	}
	c.foreign = c.received - known
	c.repeated = known - distinct
	c.missing = sent - distinct
	return c
}
