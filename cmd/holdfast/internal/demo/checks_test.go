package demo

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// find returns the first event of a kind that comes after another.
func find(b *books, after, kind holdfast.EventKind) *holdfast.Event {
	passed := false
	for i := range b.events {
		if e := &b.events[i]; passed && e.Kind == kind {
			return e
		} else if e.Kind == after {
			passed = true
		}
	}
	panic("there is none")
}

// TestEachCheckFails takes the tally of a good run and plants one error each.
func TestEachCheckFails(t *testing.T) {
	good, _ := play(t, always, allFaults(1))
	require.True(t, good.held())
	const atLeast, atMost, exactly = 0, 1, 2
	incidentNamed := func(tl *tally, name string) *incident {
		return &tl.incidents[slices.IndexFunc(tl.incidents, func(in incident) bool { return in.name == name })]
	}
	for _, c := range []struct {
		check string
		plant func(tl *tally, l []books)
	}{
		{"at least once", func(_ *tally, l []books) { l[atLeast].up.missing = 1 }},
		{"at least once", func(_ *tally, l []books) { l[atLeast].flush = errors.New("no") }},
		{"at least once", func(_ *tally, l []books) { l[atLeast].told = 1 }},
		{"at most once", func(_ *tally, l []books) { l[atMost].up.repeated = 1 }},
		{"at most once", func(_ *tally, l []books) { l[atMost].up.missing = l[atMost].stats.Unknown + 1 }},
		{"at most once", func(_ *tally, l []books) { l[atMost].told-- }},
		{"at most once", func(_ *tally, l []books) {
			find(&l[atMost], holdfast.EventConnected, holdfast.EventDisconnected).Count++
		}},
		{"exactly once", func(_ *tally, l []books) { l[exactly].up.missing = 1 }},
		{"exactly once", func(_ *tally, l []books) { l[exactly].down.repeated = 1 }},
		{"exactly once", func(_ *tally, l []books) { l[exactly].up.back = 1 }},
		{"exactly once", func(_ *tally, l []books) { l[exactly].down.ahead = 1 }},
		{"exactly once", func(_ *tally, l []books) { l[exactly].flush = errors.New("no") }},
		{"exactly once", func(_ *tally, l []books) { l[exactly].stats.Unknown = 1 }},
		{"exactly once", func(_ *tally, l []books) { l[exactly].stats.Epoch++ }},
		{"exactly once", func(_ *tally, l []books) {
			find(&l[exactly], holdfast.EventConnected, holdfast.EventGap).Kind = holdfast.EventNetworkChanged
		}},
		{"in order", func(_ *tally, l []books) { l[atMost].up.broken = 1 }},
		{"in order", func(_ *tally, l []books) { l[atMost].up.back = 1 }},
		{"in order", func(_ *tally, l []books) { l[atLeast].up.ahead = 1 }},
		{"in order", func(_ *tally, l []books) { l[atLeast].up.foreign = 1 }},
		{"received in order", func(_ *tally, l []books) { l[atLeast].down.broken = 1 }},
		{"received in order", func(_ *tally, l []books) { l[atMost].down.back = 1 }},
		{"received in order", func(_ *tally, l []books) { l[atMost].down.repeated = 1 }},
		{"received in order", func(_ *tally, l []books) { l[atMost].tail = 1 }},
		{"received in order", func(_ *tally, l []books) { l[atMost].failure = errors.New("no") }},
		{"one dial", func(_ *tally, l []books) {
			l[atMost].events = slices.Insert(l[atMost].events, 2, holdfast.Event{Kind: holdfast.EventConnecting}) // behind the first connected
		}},
		{"one dial", func(_ *tally, l []books) {
			e := find(&l[atMost], holdfast.EventWaiting, holdfast.EventConnecting)
			e.Time = e.Time.Add(-time.Nanosecond)
		}},
		{"one dial", func(_ *tally, l []books) {
			e := find(&l[atMost], holdfast.EventConnected, holdfast.EventWaiting)
			e.Delay = initialDelay + 1
		}},
		{"one dial", func(_ *tally, l []books) {
			find(&l[atMost], holdfast.EventWaiting, holdfast.EventConnecting).Attempt = maxRetries + 2
		}},
		{"Close sent", func(_ *tally, l []books) { l[atMost].close = &holdfast.UnsentError{Messages: 1} }},
		{"Close sent", func(_ *tally, l []books) { l[atMost].closeCode = 1001 }},
		{"Close sent", func(_ *tally, l []books) { l[atMost].closed = l[atMost].answeredAt.Add(-answerAfter) }},
		{"Close sent", func(_ *tally, l []books) { l[atMost].err = holdfast.ErrRetriesExhausted }},
		{"Close sent", func(_ *tally, l []books) { l[atMost].done = false }},
		{"Close sent", func(_ *tally, l []books) { l[atMost].events = l[atMost].events[:len(l[atMost].events)-1] }},
		{"Stats", func(_ *tally, l []books) { l[atMost].stats.MessagesReceived++ }},
		{"Stats", func(_ *tally, l []books) { l[atLeast].stats.MessagesSent = l[atLeast].up.received - 1 }},
		{"Stats", func(_ *tally, l []books) { l[atMost].stats.MessagesSent++ }},
		{"Stats", func(_ *tally, l []books) { l[atMost].stats.Dropped = 1 }},
		{"Stats", func(_ *tally, l []books) { l[atMost].stats.Connects++ }},
		{"Stats", func(_ *tally, l []books) { l[atMost].stats.Attempts-- }},
		{"Stats", func(_ *tally, l []books) { l[atMost].handshakes += 100 }},
		{"connected again", func(tl *tally, _ []books) { tl.incidents[2].back = []*arrival{{}, {}, {}} }},
		{"blocked", func(_ *tally, l []books) {
			e := find(&l[exactly], holdfast.EventConnected, holdfast.EventFellBack)
			e.Time = e.Time.Add(fallBackWithin)
		}},
		{"blocked", func(_ *tally, l []books) {
			find(&l[exactly], holdfast.EventConnected, holdfast.EventFellBack).Err = nil
		}},
		{"blocked", func(_ *tally, l []books) {
			find(&l[exactly], holdfast.EventConnected, holdfast.EventFellBack).Resumed = false
		}},
		{"blocked", func(_ *tally, l []books) {
			e := find(&l[exactly], holdfast.EventConnected, holdfast.EventUpgraded)
			e.Time = e.Time.Add(3 * time.Second)
		}},
		{"blocked", func(tl *tally, _ []books) {
			in := incidentNamed(tl, "blocked")
			in.lifted = in.lifted.Add(climbWithin)
		}},
		{"blocked", func(tl *tally, l []books) {
			l[exactly].events = append(l[exactly].events, holdfast.Event{
				Kind: holdfast.EventFellBack, Err: holdfast.ErrNoPong, Time: incidentNamed(tl, "freeze").at,
			})
		}},
		{"offline", func(tl *tally, _ []books) { incidentNamed(tl, "offline").dials = []int{0, 1, 0} }},
		{"offline", func(_ *tally, l []books) {
			e := find(&l[atMost], holdfast.EventOnline, holdfast.EventConnecting)
			e.Time = e.Time.Add(dialWithin + 1)
		}},
		{"offline", func(_ *tally, l []books) {
			e := find(&l[atMost], holdfast.EventOnline, holdfast.EventConnecting)
			e.Time = e.Time.Add(-time.Millisecond)
		}},
		{"offline", func(_ *tally, l []books) {
			find(&l[atMost], holdfast.EventConnected, holdfast.EventOffline).Kind = holdfast.EventNetworkChanged
		}},
		{"overload", func(_ *tally, l []books) { l[atMost].refusals[0].stayed = retryAfter - 1 }},
		{"overload", func(_ *tally, l []books) { l[atMost].refusals = nil }},
		{"freeze", func(tl *tally, _ []books) {
			in := incidentNamed(tl, "freeze")
			in.at = in.at.Add(-200 * time.Millisecond)
		}},
		{"freeze", func(tl *tally, _ []books) {
			in := incidentNamed(tl, "freeze")
			in.at = in.at.Add(5 * time.Second)
		}},
	} {
		bad := *good
		bad.incidents = slices.Clone(good.incidents)
		bad.lanes = slices.Clone(good.lanes)
		for i := range bad.lanes {
			bad.lanes[i].events = slices.Clone(good.lanes[i].events)
			bad.lanes[i].refusals = slices.Clone(good.lanes[i].refusals)
		}
		c.plant(&bad, bad.lanes)
		bad.checks = bad.promises()
		promises := failed(&bad)
		assert.True(t, slices.ContainsFunc(promises, func(p string) bool { return strings.HasPrefix(p, c.check) }),
			"%s should have failed, not %q", c.check, promises)
		assert.False(t, bad.held())
	}
}
