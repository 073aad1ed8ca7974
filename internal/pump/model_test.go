package pump

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/internal/outbox"
)

// flow is one direction as its users see it.
type flow struct {
	from, to *side
	pushed   uint64
	syncs    []*syncCall
	received []uint64
	gone     map[uint64]bool // never accepted, or withdrawn: it leaves no gap
	lost     map[uint64]bool // dropped before it was sent
	epoch    uint64
}

type syncCall struct {
	*call
	n      uint64
	cancel context.CancelFunc
}

// machine is a random life of a session.
type machine struct {
	*world
	flows   [2]*flow
	current interface{ cut() }
	old     []interface{ cut() } // links that live though they are replaced
}

func TestSessionInRandomSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newMachine(t)
			defer m.end()
			for range 3 {
				t.Repeat(rapid.StateMachineActions(m))
			}
			m.finish(t)
		})
	})
}

func drawSetup(t *rapid.T, name string) setup {
	s := setup{maxMessage: rapid.SampledFrom([]int{100, 2000, 140 << 10}).Draw(t, name+" MaxMessage")}
	s.window = rapid.SampledFrom([]int{1, 300, 5000, 100 << 10, 1 << 20}).Draw(t, name+" Window")
	s.limits.MaxMessages = rapid.SampledFrom([]int{3, 20, 1 << 20}).Draw(t, name+" MaxMessages")
	s.limits.Keep = rapid.Bool().Draw(t, name+" Keep")
	s.limits.WhenFull = outbox.Fail
	if rapid.Bool().Draw(t, name+" drops") {
		s.limits.WhenFull = outbox.DropOldest
	}
	if rapid.Bool().Draw(t, name+" ages") {
		s.limits.MaxAge = 3 * time.Second
	}
	return s
}

func newMachine(t *rapid.T) *machine {
	m := &machine{world: newWorld(t, drawSetup(t, "client"), drawSetup(t, "server"))}
	m.client.Flow()
	m.server.Flow()
	m.flows[0] = &flow{from: m.client, to: m.server, gone: map[uint64]bool{}, lost: map[uint64]bool{}, epoch: 1}
	m.flows[1] = &flow{from: m.server, to: m.client, gone: map[uint64]bool{}, lost: map[uint64]bool{}, epoch: 1}
	return m
}

func (m *machine) flow(t *rapid.T) *flow { return m.flows[rapid.IntRange(0, 1).Draw(t, "direction")] }

func (f *flow) size(t *rapid.T) int {
	most := int(f.to.c.Session.MaxMessage)
	return rapid.OneOf(rapid.IntRange(8, 100), rapid.IntRange(8, most), rapid.Just(most)).Draw(t, "size")
}

func (m *machine) Push(t *rapid.T) {
	f := m.flow(t)
	for range rapid.SampledFrom([]int{1, 1, 5, 30}).Draw(t, "count") {
		f.pushed++
		if err := accept(context.Background(), f.from.out, number(f.pushed, f.size(t))); err != nil {
			require.ErrorIs(t, err, outbox.ErrFull)
			f.gone[f.pushed] = true
		}
		if rapid.IntRange(0, 3).Draw(t, "slowly") == 0 {
			synctest.Wait()
		}
	}
}

func (m *machine) Sync(t *rapid.T) {
	f := m.flow(t)
	ctx, cancel := context.WithCancel(context.Background())
	f.pushed++
	f.syncs = append(f.syncs, &syncCall{f.from.sync(ctx, number(f.pushed, f.size(t))), f.pushed, cancel})
	synctest.Wait()
}

func (m *machine) Cancel(t *rapid.T) {
	f := m.flow(t)
	if len(f.syncs) == 0 {
		t.Skip()
	}
	rapid.SampledFrom(f.syncs).Draw(t, "call").cancel()
	synctest.Wait()
}

func (m *machine) Receive(t *rapid.T) {
	f := m.flow(t)
	for range rapid.SampledFrom([]int{1, 10, 200}).Draw(t, "count") {
		if f.to.in.Stats().Queued == 0 {
			return
		}
		f.receive(t)
		if rapid.IntRange(0, 3).Draw(t, "slowly") == 0 {
			synctest.Wait()
		}
	}
}

// receive takes a message and holds it against what came before: a number is
// missing exactly where the epoch grows, but for those that were withdrawn.
func (f *flow) receive(t *rapid.T) {
	msg, ok := f.to.get()
	require.True(t, ok)
	n, last := numberOf(t, msg), uint64(0)
	if len(f.received) > 0 {
		last = f.received[len(f.received)-1]
	}
	require.Greater(t, n, last, "twice, or out of order")
	missing := false
	for k := last + 1; k < n; k++ {
		missing = missing || !f.gone[k]
	}
	require.False(t, f.gone[n] || f.lost[n], "%d was not sent", n)
	require.Equal(t, missing, msg.Epoch > f.epoch, "%d follows %d with epoch %d after %d", n, last, msg.Epoch, f.epoch)
	f.epoch = msg.Epoch
	f.received = append(f.received, n)
}

func (m *machine) Connect(t *rapid.T) {
	if len(m.old) > 3 {
		t.Skip()
	}
	if m.current != nil {
		m.old = append(m.old, m.current)
	}
	delay := time.Duration(rapid.IntRange(0, 20).Draw(t, "delay")) * time.Millisecond
	if rapid.Bool().Draw(t, "polls") {
		m.current = m.poll(delay, troubled(rapid.Uint64().Draw(t, "seed")))
	} else {
		m.current = m.connect(delay)
	}
}

// troubled has half of the requests fail.
func troubled(seed uint64) func() trouble {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 0))
	return func() trouble {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(2) == 0 {
			return none
		}
		return trouble(r.IntN(int(troubles)))
	}
}

func (m *machine) CutOld(t *rapid.T) {
	if len(m.old) == 0 {
		t.Skip()
	}
	m.old[0].cut()
	m.old = m.old[1:]
}

func (m *machine) Cut(t *rapid.T) {
	if m.current == nil {
		t.Skip()
	}
	m.current.cut()
	m.current = nil
}

func (m *machine) Sleep(t *rapid.T) {
	ms := rapid.SampledFrom([]int{1, 5, 20, 100, 250, 1000}).Draw(t, "ms")
	time.Sleep(time.Duration(ms) * time.Millisecond)
}

func (m *machine) Check(t *rapid.T) {
	for _, f := range m.flows {
		s := f.from.out.Stats()
		require.LessOrEqual(t, s.Queued+s.Unacknowledged, max(1, f.from.limits().MaxMessages))
		most := max(f.to.c.Session.Window, f.to.c.Session.MaxMessage+64*(1+f.to.c.Session.MaxMessage>>16))
		require.LessOrEqual(t, int64(f.to.in.Held()), most, "the window bounds what is held")
		f.settle(t, false)
	}
}

// settle looks at the calls that have returned.
func (f *flow) settle(t *rapid.T, all bool) {
	var rest []*syncCall
	for _, c := range f.syncs {
		if !closed(c.done) {
			require.False(t, all, "SendSync of %d has not returned", c.n)
			rest = append(rest, c)
			continue
		}
		var loss *outbox.Loss
		switch {
		case c.err == nil:
			require.True(t, f.has(c.n), "%d has not arrived", c.n)
		case errors.Is(c.err, outbox.ErrFull), errors.As(c.err, &loss) && !loss.Maybe && errors.Is(c.err, context.Canceled):
			f.gone[c.n] = true
		case loss != nil && !loss.Maybe:
			f.lost[c.n] = true
		}
	}
	f.syncs = rest
}

// has says that a message was received, or waits in the inbox: it is not in the
// way of what comes, which is only known at the end.
func (f *flow) has(n uint64) bool {
	if len(f.received) > 0 && f.received[len(f.received)-1] >= n {
		for _, k := range f.received {
			if k == n {
				return true
			}
		}
		return false
	}
	return f.to.in.Stats().Queued > 0
}

func (d *side) limits() outbox.Limits { return d.setup.limits }

// finish lets all arrive over a good link.
func (m *machine) finish(t *rapid.T) {
	for _, c := range append(m.old, m.current) {
		if c != nil {
			c.cut()
		}
	}
	if rapid.Bool().Draw(t, "polls in the end") {
		m.poll(time.Millisecond, nil)
	} else {
		m.connect(time.Millisecond)
	}
	for _, f := range m.flows {
		for idle := 0; idle < 2; {
			time.Sleep(time.Second)
			synctest.Wait()
			f.settle(t, false)
			if idle++; f.to.in.Stats().Queued > 0 {
				idle = 0
				f.receive(t)
			}
		}
	}
	time.Sleep(time.Second)
	for _, f := range m.flows {
		synctest.Wait()
		f.settle(t, true)
		s := f.from.out.Stats()
		require.Zero(t, s.Queued)
		require.Zero(t, s.Unacknowledged)
		missing := int(f.pushed) - len(f.received) - len(f.gone)
		require.LessOrEqual(t, missing, int(s.Dropped), "lost")
		gaps, _, drops := f.to.told()
		_, _, told := f.from.told()
		require.Equal(t, int(s.Dropped), told, "each drop is told: %d", drops)
		if s.Dropped == 0 {
			require.Zero(t, missing)
			require.Empty(t, gaps)
		}
		f.from.out.BeginClose(errEnd)
		f.from.Close(1000, "")
	}
	time.Sleep(time.Second)
	for _, f := range m.flows {
		synctest.Wait()
		require.True(t, closed(f.from.Done()))
	}
}
