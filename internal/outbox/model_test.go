package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fate is what became of a message. Each accepted one has exactly one in the end.
type fate int

const (
	open fate = iota
	proven
	unknown // written to a link that died
	dropped
	withdrawn
	left // at Close
	fates
)

// item is a message in the model.
type item struct {
	id      byte
	seq     uint64 // of acceptance
	size    int
	at      time.Time // of acceptance
	written bool      // to any link, or in any session
	fate    fate
	waiter  *modelCall // SendSync's
}

// modelCall is a Push, a Push with a Wait, or a Flush with a Wait.
type modelCall struct {
	item *item // of a Push
	sync bool  // the Push is followed by a Wait

	of       []*item // of a Flush: what was unsettled when it began
	own      int     // those lost meanwhile
	ownMaybe bool
	reports  bool // it ended without an error of its own, so it tells of losses

	pinged   bool
	pingedAt time.Time
	cancel   context.CancelFunc
	done     chan struct{} // closed when the real call has returned
	err      error         // its error then
	check    func(t *rapid.T, err error)
}

type modelPing struct {
	id     uint64
	covers []*item
	at     time.Time
}

// model is a Queue as one would write it with no thought of speed: each message
// is an object, and every question is answered by looking at all of them.
type model struct {
	limits      Limits
	now         time.Time
	all         []*item
	queue, sent []*item // sent: to this link, without a receipt
	taken       int
	blocked     []*modelCall
	waits       []*modelCall
	returned    []*modelCall // since the last check
	pings       []modelPing
	asked       bool
	lastPing    uint64
	lastSeq     uint64

	session     bool
	maxMessage  int      // the session's
	skipped     []uint64 // unsent messages that were dropped, of which the peer is not told yet
	droppedSent uint64   // the last of the sent ones

	closed, over bool
	gaps         bool // some numbers have no message any more: Flush may count too high
	lost         int  // to be told by a Flush
	drops        int
	lostToLinks  int
	wrote        int
}

func (m *model) fits(it *item) bool {
	held := m.queue
	if m.keeps() {
		held = slices.Concat(m.queue, m.sent)
	}
	return len(held) == 0 || len(held) < m.limits.MaxMessages && sizes(held)+it.size <= m.limits.MaxBytes
}

func (m *model) keeps() bool { return m.limits.Keep || m.session }

func sizes(items []*item) (n int) {
	for _, it := range items {
		n += it.size
	}
	return n
}

func (m *model) accept(c *modelCall) {
	m.lastSeq++
	c.item.at, c.item.seq = m.now, m.lastSeq
	m.all = append(m.all, c.item)
	m.queue = append(m.queue, c.item)
	if c.sync {
		c.item.waiter = c
		m.waits = append(m.waits, c)
	} else {
		m.returns(c, nothing)
	}
}

// returns says that a call returns now, with an error that check knows.
func (m *model) returns(c *modelCall, check func(*rapid.T, error)) {
	if i := slices.Index(m.waits, c); i >= 0 {
		m.waits = slices.Delete(m.waits, i, i+1)
	}
	c.check = check
	m.returned = append(m.returned, c)
}

func nothing(t *rapid.T, err error) { require.NoError(t, err) }

func isErr(want error) func(*rapid.T, error) {
	return func(t *rapid.T, err error) { require.ErrorIs(t, err, want) }
}

// isLoss expects at least count messages, and no more when exact.
func isLoss(maybe bool, count int, exact bool, cause error) func(*rapid.T, error) {
	return func(t *rapid.T, err error) {
		var loss *Loss
		require.ErrorAs(t, err, &loss)
		require.ErrorIs(t, err, cause)
		require.Equal(t, maybe, loss.Maybe)
		require.GreaterOrEqual(t, loss.Count, count)
		if exact {
			require.Equal(t, count, loss.Count)
		}
	}
}

func (it *item) end(f fate) {
	if it.fate != open {
		panic("a second fate")
	}
	it.fate = f
}

func (m *model) lose(it *item, f fate, maybe bool, cause error) {
	it.end(f)
	for _, c := range m.waits {
		if slices.Contains(c.of, it) {
			c.own++
			c.ownMaybe = c.ownMaybe || maybe
		}
	}
	if slices.Contains(m.waits, it.waiter) {
		m.returns(it.waiter, isLoss(maybe, 1, true, cause))
	} else {
		m.lost++
	}
}

func (m *model) drop(from *[]*item, i int, cause error) {
	it := (*from)[i]
	*from = slices.Delete(slices.Clone(*from), i, i+1)
	m.drops++
	m.gaps = true
	if from == &m.queue {
		m.skipped = append(m.skipped, it.seq)
	} else {
		m.droppedSent = it.seq
	}
	m.lose(it, dropped, it.written, cause)
}

// settle draws the consequences, the drop of stale messages last.
func (m *model) settle() {
	m.admit()
	for _, c := range slices.Clone(m.waits) {
		switch {
		case c.item != nil && c.item.fate == proven:
			m.returns(c, nothing)
		case c.item == nil && !slices.ContainsFunc(c.of, func(it *item) bool { return it.fate == open }):
			c.reports = true
			m.returns(c, nil)
		}
	}
	stale := false
	for m.limits.MaxAge > 0 && len(m.queue) > m.taken && m.now.Sub(m.queue[m.taken].at) >= m.limits.MaxAge {
		stale = true
		m.drop(&m.queue, m.taken, ErrStale)
	}
	if stale {
		m.settle()
	}
}

func (m *model) admit() {
	for len(m.blocked) > 0 {
		c := m.blocked[0]
		for !m.fits(c.item) {
			switch {
			case m.limits.WhenFull != DropOldest:
				return
			case m.keeps() && len(m.sent) > 0 && !(m.session && len(m.queue) > m.taken):
				m.drop(&m.sent, 0, ErrDropped)
			case len(m.queue) > m.taken:
				m.drop(&m.queue, m.taken, ErrDropped)
			default:
				return
			}
		}
		m.blocked = slices.Clone(m.blocked[1:])
		m.accept(c)
	}
}

// abandon ends a Wait with cause.
func (m *model) abandon(c *modelCall, cause error) {
	if c.item == nil {
		m.returns(c, isLoss(true, m.pending(c), !m.gaps, cause))
		return
	}
	i := slices.Index(m.queue, c.item)
	maybe := i < m.taken || c.item.written // -1: it is written
	m.returns(c, isLoss(maybe, 1, true, cause))
	if !maybe {
		c.item.end(withdrawn)
		m.queue = slices.Delete(slices.Clone(m.queue), i, i+1)
		m.gaps = true
	}
}

// pending is how many messages a Flush still waits for.
func (m *model) pending(c *modelCall) (n int) {
	for _, it := range c.of {
		if it.fate == open {
			n++
		}
	}
	return n
}

func (m *model) wantsPing(c *modelCall) bool {
	of := c.of
	if c.item != nil {
		of = []*item{c.item}
	}
	return !c.pinged && !slices.ContainsFunc(of, func(it *item) bool { return slices.Contains(m.queue, it) })
}

// beginClose refuses blocked senders.
func (m *model) beginClose() {
	m.closed = true
	for _, c := range m.blocked {
		m.returns(c, isErr(errEnd))
	}
	m.blocked = nil
	m.settle()
}

// close ends it and returns what was left.
func (m *model) close() (l Left) {
	m.beginClose()
	for _, c := range slices.Clone(m.waits) {
		if c.item != nil {
			m.returns(c, isLoss(c.item.written, 1, true, errEnd))
			continue
		}
		count := m.pending(c) + max(m.lost, c.own)
		exact := !m.gaps
		m.returns(c, func(t *rapid.T, err error) {
			var loss *Loss
			require.ErrorAs(t, err, &loss)
			isLoss(loss.Maybe, count, exact, errEnd)(t, err)
		})
	}
	l.MaybeSent = len(m.sent)
	for _, it := range m.queue {
		if it.written {
			l.MaybeSent++
		} else {
			l.Messages++
			l.Bytes += int64(it.size)
		}
	}
	for _, it := range slices.Concat(m.sent, m.queue) {
		it.end(left)
	}
	m.queue, m.sent, m.pings, m.over = nil, nil, nil, true
	return l
}

// checkReports holds the Flush calls that ended together against what was lost;
// which of them tells of the losses before is left to the scheduler. still is
// what is still to be told.
func (m *model) checkReports(t *rapid.T, flushes []*modelCall, still int) {
	told := 0
	for _, c := range flushes {
		var loss Loss
		if c.err != nil {
			var l *Loss
			require.ErrorAs(t, c.err, &l)
			loss = *l
			require.True(t, errors.Is(l, ErrDropped) || errors.Is(l, ErrStale) || errors.Is(l, ErrTooBig) || errors.Is(l, errLink))
			require.Positive(t, loss.Count)
			require.True(t, c.own > 0 || m.lost > 0, "nothing was lost")
		}
		require.GreaterOrEqual(t, loss.Count, c.own, "nil would be a lie")
		require.True(t, loss.Maybe || !c.ownMaybe)
		if !m.gaps {
			assert.LessOrEqual(t, loss.Count, max(m.lost, c.own))
		}
		told = max(told, loss.Count)
	}
	require.GreaterOrEqual(t, told, m.lost-still, "each loss is told")
	if len(flushes) == 0 {
		require.Equal(t, m.lost, still, "and told once")
	}
	m.lost = still
}
