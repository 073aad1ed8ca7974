package outbox

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/transport"
)

// Time passes in steps, and modelTimeout is no multiple of one, so that a time-out
// and MaxAge never fall on the same moment.
const (
	modelStep    = 100 * time.Millisecond
	modelTimeout = 2*time.Second + modelStep/2
)

// machine does the same to a Queue and to the model.
type machine struct {
	model
	q                    *Queue
	heard                atomic.Int64 // drops that onDrop told of
	lastID               byte
	lastOnLink, lastEver byte // what the writer got last
	severalTurns         bool // the last step was more than one turn of the Queue
}

func TestQueueLikeAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newMachine(t)
			defer m.end()
			for range 3 { // long enough to fill it several times
				t.Repeat(rapid.StateMachineActions(m))
			}
			if !m.over {
				m.close(t)
				m.Check(t)
			}
		})
	})
}

func newMachine(t *rapid.T) *machine {
	m := &machine{model: model{limits: Limits{
		MaxBytes:    rapid.IntRange(1, 12).Draw(t, "MaxBytes"),
		MaxMessages: rapid.IntRange(1, 6).Draw(t, "MaxMessages"),
		WhenFull:    rapid.SampledFrom([]WhenFull{Block, Fail, DropOldest}).Draw(t, "WhenFull"),
		Keep:        rapid.Bool().Draw(t, "Keep"),
	}}}
	if rapid.Bool().Draw(t, "ages") {
		m.limits.MaxAge = modelStep * time.Duration(rapid.IntRange(1, 40).Draw(t, "MaxAge"))
	}
	if rapid.Bool().Draw(t, "proves") {
		m.limits.ProveAfter = modelStep * time.Duration(rapid.IntRange(1, 20).Draw(t, "ProveAfter"))
	}
	m.q = New(m.limits, func(n int, _ error) { m.heard.Add(int64(n)) })
	m.now = time.Now()
	return m
}

// end lets go whoever waits, after a failure too.
func (m *machine) end() {
	m.q.Close(errEnd)
	synctest.Wait()
}

// rarely keeps an action for one step in n.
func rarely(t *rapid.T, n int) {
	if rapid.IntRange(1, n).Draw(t, "rarely") > 1 {
		t.Skip()
	}
}

func (m *machine) Push(t *rapid.T) {
	if m.lastID == 255 {
		t.Skip()
	}
	m.lastID++
	it := &item{id: m.lastID, size: rapid.IntRange(0, 8).Draw(t, "size")}
	if rapid.IntRange(0, 15).Draw(t, "huge") == 0 {
		it.size += m.limits.MaxBytes
	}
	c := &modelCall{item: it, sync: rapid.Bool().Draw(t, "sync")}
	ended := rapid.IntRange(0, 9).Draw(t, "ended") == 0
	switch {
	case ended:
		m.returns(c, isErr(context.Canceled))
	case m.closed:
		m.returns(c, isErr(errEnd))
	case m.session && it.size > m.maxMessage:
		m.returns(c, isErr(ErrTooBig))
	case len(m.blocked) == 0 && m.fits(it):
		m.accept(c)
	case m.limits.WhenFull == Fail:
		m.returns(c, isErr(ErrFull))
	default:
		m.blocked = append(m.blocked, c)
		m.settle()
	}
	m.start(c, ended, func(ctx context.Context) error {
		msg := transport.Message{Type: transport.MessageType(it.id), Data: bytes.Repeat([]byte{it.id}, it.size)}
		if !c.sync {
			return m.q.Push(ctx, msg.Type, msg.Data, nil)
		}
		w := NewWaiter()
		if err := m.q.Push(ctx, msg.Type, msg.Data, w); err != nil {
			return err
		}
		return m.q.Wait(ctx, w, modelTimeout, errNoPong)
	})
}

func (m *machine) Flush(t *rapid.T) {
	if m.over {
		t.Skip()
	}
	c := &modelCall{}
	for _, it := range m.all {
		if it.fate == open {
			c.of = append(c.of, it)
		}
	}
	m.waits = append(m.waits, c)
	m.settle()
	m.start(c, false, func(ctx context.Context) error {
		return m.q.Wait(ctx, m.q.Flush(), modelTimeout, errNoPong)
	})
}

func (m *machine) start(c *modelCall, ended bool, f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.done = cancel, make(chan struct{})
	if ended {
		cancel()
	}
	go func() {
		defer close(c.done)
		c.err = f(ctx)
	}()
}

// Cancel ends the context of a call that has not returned.
func (m *machine) Cancel(t *rapid.T) {
	waiting := slices.Concat(m.blocked, m.waits)
	if len(waiting) == 0 {
		t.Skip()
	}
	c := rapid.SampledFrom(waiting).Draw(t, "call")
	c.cancel()
	if i := slices.Index(m.blocked, c); i >= 0 {
		m.blocked = slices.Delete(slices.Clone(m.blocked), i, i+1)
		m.returns(c, isErr(context.Canceled))
	} else {
		m.abandon(c, context.Canceled)
	}
	m.settle()
}

func (m *machine) Take(t *rapid.T) {
	if m.over || m.taken > 0 || len(m.queue) == 0 {
		t.Skip()
	}
	if m.session {
		m.tryTake(t)
		return
	}
	group, ok := m.q.Take(nil)
	require.True(t, ok)
	require.Len(t, group, len(m.queue), "they are few and small")
	for i, got := range group {
		require.Equal(t, transport.MessageType(m.queue[i].id), got.Type)
		require.Equal(t, bytes.Repeat([]byte{m.queue[i].id}, m.queue[i].size), got.Data)
	}
	m.taken = len(group)
}

// Write is Take and Written of all, which is what happens mostly.
func (m *machine) Write(t *rapid.T) {
	m.Take(t)
	m.Check(t)
	m.written(t, m.taken)
}

func (m *machine) Written(t *rapid.T) {
	if m.taken == 0 {
		t.Skip()
	}
	m.written(t, rapid.IntRange(0, m.taken).Draw(t, "n"))
}

func (m *machine) written(t *rapid.T, n int) {
	m.severalTurns = true // what has grown stale goes right after it
	m.q.Written(n)
	for _, it := range m.queue[:n] {
		require.Greater(t, it.id, m.lastOnLink, "the order on one link")
		m.lastOnLink = it.id
		if !m.limits.Keep {
			require.Greater(t, it.id, m.lastEver, "written twice")
		}
		m.lastEver = max(m.lastEver, it.id)
		m.sent = append(m.sent, it)
		for _, other := range m.all {
			if other.id < it.id && other.fate == open {
				require.Contains(t, m.sent, other, "skipped")
			}
		}
		it.written = true
		m.wrote++
	}
	if n > 0 { // they said so
		m.skipped = slices.DeleteFunc(m.skipped, func(seq uint64) bool { return seq < m.queue[n-1].seq })
	}
	m.queue, m.taken = slices.Clone(m.queue[n:]), 0
	m.settle()
}

func (m *machine) RequestPing(t *rapid.T) {
	if m.over {
		t.Skip()
	}
	m.q.RequestPing()
	m.asked = true
}

func (m *machine) NextPing(t *rapid.T) {
	if m.over || m.taken > 0 {
		t.Skip()
	}
	answered := rapid.Bool().Draw(t, "answered")
	id, due := m.q.NextPing(answered)
	covered := len(m.sent) == 0 || len(m.pings) > 0 && slices.Contains(m.pings[len(m.pings)-1].covers, m.sent[len(m.sent)-1])
	switch {
	case m.asked && !answered || slices.ContainsFunc(m.waits, m.wantsPing):
		require.True(t, due, "somebody needs it")
	case covered || !m.limits.Keep && m.limits.ProveAfter == 0 || m.session:
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
	m.pings = append(m.pings, modelPing{id, slices.Clone(m.sent), m.now})
	for _, c := range m.waits {
		if m.wantsPing(c) {
			c.pinged, c.pingedAt = true, m.now
		}
	}
}

func (m *machine) Pong(t *rapid.T) {
	id := rapid.Uint64Range(0, m.lastPing+2).Draw(t, "id")
	if len(m.pings) > 0 && rapid.Bool().Draw(t, "remembered") {
		id = rapid.SampledFrom(m.pings).Draw(t, "ping").id
	}
	rtt, ok := m.q.Pong(id)
	n := 0
	for n < len(m.pings) && m.pings[n].id <= id && id <= m.lastPing {
		n++
	}
	if n == 0 {
		require.False(t, ok)
		return
	}
	p := m.pings[n-1]
	m.pings = slices.Clone(m.pings[n:])
	require.Equal(t, p.id == id, ok)
	if ok {
		require.Equal(t, m.now.Sub(p.at), rtt)
	}
	if !m.session {
		m.prove(p.covers)
	}
}

func (m *machine) prove(items []*item) {
	for _, it := range items {
		if it.fate == open {
			it.end(proven)
		}
	}
	m.sent = slices.DeleteFunc(slices.Clone(m.sent), func(it *item) bool { return it.fate != open })
	m.settle()
}

func (m *machine) Proven(t *rapid.T) {
	rarely(t, 4)
	m.q.Proven()
	m.pings, m.asked = nil, false
	m.prove(m.sent)
}

func (m *machine) LinkDown(t *rapid.T) {
	if m.over || m.taken > 0 || m.session {
		t.Skip()
	}
	m.severalTurns = true // what has grown stale goes right after it
	m.linkDown(t, m.q.LinkDown(errLink))
}

// linkDown follows the end of a link or session, which cost n messages.
func (m *machine) linkDown(t *rapid.T, n int) {
	for _, c := range m.waits {
		c.pinged = false
	}
	sent := m.sent
	m.sent, m.pings, m.asked, m.lastOnLink = nil, nil, false, 0
	if m.limits.Keep {
		require.Zero(t, n)
		m.queue = slices.Concat(sent, m.queue)
	} else {
		require.Equal(t, len(sent), n)
		m.lostToLinks += n
		for _, it := range sent {
			m.lose(it, unknown, true, errLink)
		}
	}
	m.settle()
}

func (m *machine) FailWaiters(t *rapid.T) {
	rarely(t, 4)
	m.q.FailWaiters(errNoPong)
	m.blocked = slices.DeleteFunc(slices.Clone(m.blocked), func(c *modelCall) bool {
		if c.sync {
			m.returns(c, isErr(errNoPong))
		}
		return c.sync
	})
	for _, c := range slices.Clone(m.waits) {
		m.abandon(c, errNoPong)
	}
	m.settle()
}

// Sleep lets time pass. The model goes through it moment by moment.
func (m *machine) Sleep(t *rapid.T) {
	m.severalTurns = true
	target := m.now.Add(modelStep * time.Duration(rapid.IntRange(1, 30).Draw(t, "steps")))
	for m.now.Before(target) {
		m.now = m.now.Add(modelStep / 2)
		for _, c := range slices.Clone(m.waits) {
			if c.pinged && !m.session && m.now.Sub(c.pingedAt) >= modelTimeout {
				m.abandon(c, errNoPong)
			}
		}
		m.settle()
	}
	time.Sleep(time.Until(target))
}

func (m *machine) BeginClose(t *rapid.T) {
	rarely(t, 20)
	m.q.BeginClose(errEnd)
	m.beginClose()
}

func (m *machine) Close(t *rapid.T) {
	rarely(t, 30)
	m.close(t)
}

func (m *machine) close(t *rapid.T) {
	if m.taken > 0 {
		m.written(t, 0)
		m.Check(t)
	}
	require.Equal(t, m.model.close(), m.q.Close(errEnd))
}

// Check holds the two together after each step.
func (m *machine) Check(t *rapid.T) {
	synctest.Wait()
	for _, c := range slices.Concat(m.blocked, m.waits) {
		require.False(t, isClosed(c.done), "a call has returned too early: %v", c.err)
	}
	var flushes []*modelCall
	for _, c := range m.returned {
		require.True(t, isClosed(c.done), "a call has not returned")
		if c.reports {
			flushes = append(flushes, c)
		} else {
			c.check(t, c.err)
		}
	}
	m.returned = nil
	if still := m.q.lost.Count; len(flushes) > 0 && !m.severalTurns {
		require.Zero(t, still)
	}
	m.severalTurns = false
	m.checkReports(t, flushes, m.q.lost.Count)

	s := m.q.Stats()
	require.Equal(t, len(m.queue), s.Queued, "queued")
	require.Equal(t, int64(sizes(m.queue)), s.QueuedBytes, "queued bytes")
	require.Equal(t, len(m.sent), s.Unacknowledged, "unacknowledged")
	require.Equal(t, uint64(m.wrote), s.Sent, "sent")
	require.Equal(t, uint64(m.lostToLinks), s.Unknown, "unknown")
	require.Equal(t, uint64(m.drops), s.Dropped, "dropped")
	require.Equal(t, int64(m.drops), m.heard.Load(), "each drop is told")
	require.Equal(t, m.closed && len(m.queue) == 0, isClosed(m.q.Drained()), "drained")

	require.Equal(t, len(m.queue) > 0, m.q.Pending())
	require.Equal(t, m.droppedSent, m.q.Dropped())

	held := m.queue
	if m.keeps() {
		held = slices.Concat(m.queue, m.sent)
	}
	require.LessOrEqual(t, len(held), m.limits.MaxMessages)
	require.True(t, sizes(held) <= m.limits.MaxBytes || len(held) == 1, "%d bytes", sizes(held))

	var sum [fates]int
	for _, it := range m.all {
		sum[it.fate]++
	}
	require.Equal(t, len(m.queue)+len(m.sent), sum[open], "each accepted message has one place or one fate")
	require.Equal(t, m.drops, sum[dropped])
	require.Equal(t, m.lostToLinks, sum[unknown])
}
