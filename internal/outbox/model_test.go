package outbox

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fate is what became of a message. Each has one in the end, and only one.
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
	size    int
	at      time.Time
	written bool // on any link
	fate    fate
	waiter  *modelWait // SendSync's
}

// modelWait is a Push that may block, a Wait, or both.
type modelWait struct {
	item   *item   // of a Push
	sync   bool    // the Push is followed by a Wait
	of     []*item // what a Flush waits for
	own    int     // of those, lost meanwhile
	pinged bool
	at     time.Time // when it was pinged
	cancel context.CancelFunc

	done chan struct{} // closed when the real call has returned
	err  error         // and its error

	ended bool // the model says that it has returned
	check func(t *rapid.T, err error)
}

type modelPing struct {
	id     uint64
	covers []*item
	at     time.Time
}

// model is a Queue as one would write it without a thought of speed: each
// message is an object, and every question is answered by looking at all.
type model struct {
	q      *Queue
	limits Limits
	blur   bool // messages were dropped or withdrawn: counts of a Flush may be too high

	all                 []*item
	queue, sent         []*item // sent: on this link, without receipt
	taken               int
	blocked             []*modelWait
	waits               []*modelWait
	pings               []modelPing
	asked               bool
	lastPing            uint64
	closed, over        bool
	lost                int // not yet told
	drops               int // told to onDrop
	hadDrops            int
	unknown             int
	wrote               int
	lastOnLink, maxEver byte
	nextID              byte
}

// modelTimeout is never a multiple of the steps in which time passes, so that
// a time-out and MaxAge never fall on the same moment.
const (
	modelStep    = 100 * time.Millisecond
	modelTimeout = 2*time.Second + modelStep/2
)

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newModel(t)
			defer m.end()
			t.Repeat(rapid.StateMachineActions(m))
			if !m.over {
				m.doClose(t)
				m.Check(t)
			}
		})
	})
}

func newModel(t *rapid.T) *model {
	m := &model{limits: Limits{
		MaxBytes:    rapid.IntRange(1, 12).Draw(t, "MaxBytes"),
		MaxMessages: rapid.IntRange(1, 6).Draw(t, "MaxMessages"),
		WhenFull:    rapid.SampledFrom([]WhenFull{Block, Fail, DropOldest}).Draw(t, "WhenFull"),
		Keep:        rapid.Bool().Draw(t, "Keep"),
	}}
	if rapid.Bool().Draw(t, "ages") {
		m.limits.MaxAge = modelStep * time.Duration(rapid.IntRange(1, 40).Draw(t, "MaxAge"))
	}
	m.q = New(m.limits, func(n int, _ error) { m.drops += n })
	return m
}

// end lets what still waits go.
func (m *model) end() {
	m.q.Close(errEnd)
	synctest.Wait()
}

func (m *model) Push(t *rapid.T) {
	if m.nextID == 255 {
		t.Skip("out of numbers")
	}
	m.nextID++
	it := &item{id: m.nextID, size: rapid.IntRange(1, 8).Draw(t, "size")}
	if rapid.IntRange(0, 15).Draw(t, "huge") == 0 {
		it.size += m.limits.MaxBytes
	}
	w := &modelWait{item: it, sync: rapid.Bool().Draw(t, "sync")}
	ended := rapid.IntRange(0, 9).Draw(t, "ended") == 0
	m.call(w, ended, func(ctx context.Context) error {
		data := text(string(slices.Repeat([]byte{it.id}, it.size)))
		data.Data = slices.Repeat([]byte{it.id}, it.size)
		if !w.sync {
			return m.q.Push(ctx, data, nil)
		}
		real := NewWaiter()
		if err := m.q.Push(ctx, data, real); err != nil {
			return err
		}
		return m.q.Wait(ctx, real, modelTimeout, errNoPong)
	})
	switch {
	case ended:
		m.returned(w, isErr(context.Canceled))
	case m.closed:
		m.returned(w, isErr(errEnd))
	case len(m.blocked) == 0 && m.fits(it):
		m.accept(w)
	case m.limits.WhenFull == Fail:
		m.returned(w, isErr(ErrFull))
	default:
		m.blocked = append(m.blocked, w)
	}
	m.settle()
}

func (m *model) Flush(t *rapid.T) {
	if m.over {
		t.Skip("closed")
	}
	w := &modelWait{}
	for _, it := range m.all {
		if it.fate == open {
			w.of = append(w.of, it)
		}
	}
	m.call(w, false, func(ctx context.Context) error {
		return m.q.Wait(ctx, m.q.Flush(), modelTimeout, errNoPong)
	})
	m.waits = append(m.waits, w)
	m.settle()
}

// call runs the real thing.
func (m *model) call(w *modelWait, ended bool, f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	if ended {
		cancel()
	}
	go func() {
		defer close(w.done)
		w.err = f(ctx)
	}()
	synctest.Wait()
}

// Cancel ends the context of a call that has not returned.
func (m *model) Cancel(t *rapid.T) {
	waiting := slices.Concat(m.blocked, m.waits)
	if len(waiting) == 0 {
		t.Skip("nobody waits")
	}
	w := rapid.SampledFrom(waiting).Draw(t, "who")
	w.cancel()
	synctest.Wait()
	if i := slices.Index(m.blocked, w); i >= 0 {
		m.blocked = slices.Delete(m.blocked, i, i+1)
		m.returned(w, isErr(context.Canceled))
	} else {
		m.abandon(w, context.Canceled)
	}
	m.settle()
}

func (m *model) Take(t *rapid.T) {
	if m.over || m.taken > 0 || len(m.queue) == 0 {
		t.Skip("nothing to take")
	}
	group, ok := m.q.Take(nil)
	require.True(t, ok)
	m.taken = len(group)
	require.Len(t, group, len(m.queue), "few and small: all of them")
	for i, got := range group {
		require.Equal(t, slices.Repeat([]byte{m.queue[i].id}, m.queue[i].size), got.Data)
	}
	m.settle()
}

func (m *model) Written(t *rapid.T) {
	if m.over || m.taken == 0 {
		t.Skip("nothing is taken")
	}
	n := rapid.IntRange(0, m.taken).Draw(t, "n")
	m.q.Written(n)
	for _, it := range m.queue[:n] {
		require.Greater(t, it.id, m.lastOnLink, "the order of one link")
		m.lastOnLink = it.id
		if !m.limits.Keep {
			require.False(t, it.written, "written twice")
			require.Greater(t, it.id, m.maxEver)
		}
		for _, other := range m.all {
			require.False(t, other.id < it.id && other.fate == open && !slices.Contains(m.sent, other), "%d was skipped", other.id)
		}
		m.maxEver = max(m.maxEver, it.id)
		it.written = true
		m.sent = append(m.sent, it)
		m.wrote++
	}
	m.queue, m.taken = slices.Clone(m.queue[n:]), 0
	m.settle()
}

func (m *model) RequestPing(t *rapid.T) {
	if m.over {
		t.Skip("closed")
	}
	m.q.RequestPing()
	m.asked = true
}

func (m *model) NextPing(t *rapid.T) {
	if m.over || m.taken > 0 {
		t.Skip("the writer is busy")
	}
	answered := rapid.Bool().Draw(t, "answered")
	id, due := m.q.NextPing(answered)
	wanted := slices.ContainsFunc(m.waits, m.wantsPing)
	unasked := m.limits.Keep && len(m.sent) > 0 && (len(m.pings) == 0 || len(m.pings[len(m.pings)-1].covers) < len(m.sent))
	switch {
	case m.asked && !answered || wanted:
		require.True(t, due, "somebody needs it")
	case !unasked:
		require.False(t, due, "nobody needs it")
	}
	m.asked = false
	if !due {
		return
	}
	require.Greater(t, id, m.lastPing)
	m.lastPing = id
	if len(m.pings) == maxPings {
		m.pings = m.pings[:maxPings-1]
	}
	m.pings = append(m.pings, modelPing{id, slices.Clone(m.sent), time.Now()})
	for _, w := range m.waits {
		if m.wantsPing(w) {
			w.pinged, w.at = true, time.Now()
		}
	}
	synctest.Wait()
}

func (m *model) wantsPing(w *modelWait) bool {
	return !w.pinged && !slices.ContainsFunc(m.of(w), func(it *item) bool { return slices.Contains(m.queue, it) })
}

// of is what a Wait waits for.
func (m *model) of(w *modelWait) []*item {
	if w.item != nil {
		return []*item{w.item}
	}
	return w.of
}

func (m *model) Pong(t *rapid.T) {
	id := rapid.Uint64Range(0, m.lastPing+2).Draw(t, "id")
	if rapid.Bool().Draw(t, "the first") && len(m.pings) > 0 {
		id = m.pings[0].id
	}
	rtt, ok := m.q.Pong(id)
	match := -1
	for i, p := range m.pings {
		if p.id <= id && id <= m.lastPing {
			match = i
		}
	}
	if match < 0 {
		require.False(t, ok)
		return
	}
	p := m.pings[match]
	require.Equal(t, p.id == id, ok)
	if ok {
		require.Equal(t, time.Since(p.at), rtt)
	}
	m.pings = slices.Delete(m.pings, 0, match+1)
	for _, it := range p.covers {
		if it.fate == open {
			m.settleAs(it, proven)
		}
	}
	m.sent = slices.DeleteFunc(m.sent, func(it *item) bool { return it.fate != open })
	m.settle()
}

func (m *model) Proven(t *rapid.T) {
	if m.over || rapid.IntRange(0, 3).Draw(t, "often enough") > 0 {
		t.Skip("rare")
	}
	m.q.Proven()
	for _, it := range m.sent {
		m.settleAs(it, proven)
	}
	m.sent, m.pings, m.asked = nil, nil, false
	m.settle()
}

func (m *model) LinkDown(t *rapid.T) {
	if m.over || m.taken > 0 {
		t.Skip("the writer is not joined")
	}
	n := m.q.LinkDown(errLink)
	want := 0
	for _, w := range m.waits {
		w.pinged = false
	}
	if m.limits.Keep {
		m.queue = append(m.sent, m.queue...)
	} else {
		want = len(m.sent)
		m.unknown += want
		for _, it := range m.sent {
			m.lose(it, unknown, true, errLink)
		}
	}
	require.Equal(t, want, n)
	m.sent, m.pings, m.asked, m.lastOnLink = nil, nil, false, 0
	m.settle()
}

func (m *model) FailWaiters(t *rapid.T) {
	m.q.FailWaiters(errNoPong)
	for _, w := range slices.Clone(m.waits) {
		m.abandon(w, errNoPong)
	}
	m.settle()
}

// Sleep lets time pass; what it brings is modelled moment by moment.
func (m *model) Sleep(t *rapid.T) {
	target := time.Now().Add(modelStep * time.Duration(rapid.IntRange(1, 30).Draw(t, "steps")))
	now := time.Now()
	for now.Before(target) {
		now = now.Add(modelStep / 2)
		for m.limits.MaxAge > 0 && !m.over && len(m.queue) > m.taken && now.Sub(m.queue[m.taken].at) >= m.limits.MaxAge {
			m.drop(&m.queue, m.taken, ErrStale)
			m.settleAt(now)
		}
		for _, w := range slices.Clone(m.waits) {
			if w.pinged && now.Sub(w.at) >= modelTimeout {
				m.abandon(w, errNoPong)
				m.settleAt(now)
			}
		}
	}
	time.Sleep(time.Until(target))
	synctest.Wait()
}

func (m *model) BeginClose(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "often enough") > 0 {
		t.Skip("rare")
	}
	m.q.BeginClose(errEnd)
	m.beginClose()
}

func (m *model) beginClose() {
	m.closed = true
	for _, w := range m.blocked {
		m.returned(w, isErr(errEnd))
	}
	m.blocked = nil
	m.settle()
}

func (m *model) doClose(t *rapid.T) {
	if m.taken > 0 {
		m.q.Written(0)
		m.taken = 0
		m.settle()
	}
	got := m.q.Close(errEnd)
	m.beginClose()
	want := Left{MaybeSent: len(m.sent)}
	for _, w := range m.waits {
		m.fail(w, errEnd, m.lost, false)
	}
	m.waits = nil
	for _, it := range slices.Concat(m.sent, m.queue) {
		m.settleAs(it, left)
	}
	for _, it := range m.queue {
		if it.written {
			want.MaybeSent++
		} else {
			want.Messages++
			want.Bytes += int64(it.size)
		}
	}
	m.queue, m.sent, m.over = nil, nil, true
	require.Equal(t, want, got)
	synctest.Wait()
}

// Check holds the model and the Queue together after each step.
func (m *model) Check(t *rapid.T) {
	synctest.Wait()
	// Whoever the model says has returned, has, with that error; nobody else.
	for _, it := range m.blocked {
		require.False(t, isClosed(it.done), "%d is blocked", it.item.id)
	}
	for _, w := range m.waits {
		require.False(t, isClosed(w.done), "it waits")
	}
	for _, w := range m.ended() {
		require.True(t, isClosed(w.done), "it should have returned")
		w.check(t, w.err)
	}
	s := m.q.Stats()
	bytes, queued := 0, 0
	for _, it := range m.queue {
		queued += it.size
	}
	for _, it := range m.sent {
		bytes += it.size
	}
	require.Equal(t, len(m.queue), s.Queued, "queued")
	require.Equal(t, int64(queued), s.QueuedBytes, "queued bytes")
	require.Equal(t, len(m.sent), s.Unacknowledged, "unacknowledged")
	require.Equal(t, uint64(m.wrote), s.Sent, "sent")
	require.Equal(t, uint64(m.unknown), s.Unknown, "unknown")
	require.Equal(t, uint64(m.hadDrops), s.Dropped, "dropped")
	require.Equal(t, m.hadDrops, m.drops, "each drop is told")
	count, total := len(m.queue), queued
	if m.limits.Keep {
		count, total = count+len(m.sent), total+bytes
	}
	require.LessOrEqual(t, count, m.limits.MaxMessages)
	require.True(t, total <= m.limits.MaxBytes || count == 1, "%d bytes", total)
	require.Equal(t, m.closed && len(m.queue) == 0, isClosed(m.q.Drained()), "drained")
	// Every accepted message is in one place.
	var sum [fates]int
	for _, it := range m.all {
		sum[it.fate]++
	}
	require.Equal(t, len(m.queue)+len(m.sent), sum[open])
	require.Equal(t, m.hadDrops, sum[dropped])
	require.Equal(t, m.unknown, sum[unknown])
}

// returnedCalls are checked once.
func (m *model) ended() (list []*modelWait) {
	list, m.toCheck = m.toCheck, nil
	return list
}
