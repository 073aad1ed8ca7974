package session

import (
	"errors"
	"flag"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// model is a pair of sessions, the links between them, and all that goes wrong.
type model struct {
	client, server *end
	links          []*link
	configs        [2]Config
	mutation       mutation
	sent           int // messages, for their content
}

func newModel(t *rapid.T, m mutation) *model {
	config := func(name string) Config {
		return Config{
			MaxMessage: rapid.SampledFrom([]int64{1, 100, 1000, 70_000, 200_000, 600_000}).Draw(t, name+" MaxMessage"),
			Window:     rapid.SampledFrom([]int64{1, 300, 1000, 10_000, 70_000, 300_000}).Draw(t, name+" Window"),
		}
	}
	md := &model{mutation: m, configs: [2]Config{config("client"), config("server")}}
	md.reset()
	if rapid.IntRange(0, 4).Draw(t, "connected") > 0 {
		md.connect(rapid.Bool().Draw(t, "polling"))
	}
	return md
}

// reset begins a new session.
func (m *model) reset() {
	m.client, m.server = newEnd("client", m.configs[0], m.mutation), newEnd("server", m.configs[1], m.mutation)
	m.client.peer, m.server.peer = m.server, m.client
	m.links = nil
}

func (m *model) open(polling bool) *link {
	if len(m.links) == 4 {
		m.links = m.links[1:]
	}
	l := &link{polling: polling, client: m.client, server: m.server}
	m.links = append(m.links, l)
	return l
}

func (m *model) welcome(l *link) {
	if l.n == 0 {
		l.welcome = &wire.WelcomePayload{RecvNext: m.server.s.RecvNext(), Window: m.server.s.Window()}
		m.server.watch()
	}
}

func (m *model) connect(polling bool) *link {
	l := m.open(polling)
	m.welcome(l)
	l.attach()
	return l
}

// accept is the application's Send: it waits in the queue to be numbered.
func (m *model) accept(t *rapid.T, e *end) {
	if e.s.closing || len(e.queue) > 30 {
		return
	}
	e.nextID++
	msg := message{id: e.nextID, typ: transport.Binary}
	most := min(e.peer.s.c.MaxMessage, 200_000)
	switch rapid.IntRange(0, 9).Draw(t, "size") {
	case 0:
	case 1:
		msg.n = int(most)
	case 2:
		msg.n = int(min(most, wire.MaxPayload+1))
	default:
		msg.n = rapid.IntRange(0, int(min(most, 300))).Draw(t, "n")
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		msg.id = 0
	case 1, 2, 3:
		msg.typ = transport.Text
	}
	m.sent++
	msg.at = m.sent * 1009 % (len(pool) - msg.n)
	e.queue = append(e.queue, msg)
}

func (m *model) room(t *rapid.T) int {
	return rapid.SampledFrom([]int{0, 31, 100, 80 << 10, wire.MaxBatch, wire.MaxBatch}).Draw(t, "room")
}

// pick draws a link, most often the client's; nil if there is none.
func (m *model) pick(t *rapid.T) *link {
	if len(m.links) == 0 {
		return nil
	}
	if rapid.IntRange(0, 3).Draw(t, "current") > 0 {
		for _, l := range m.links {
			if l.currentAt(m.client) {
				return l
			}
		}
	}
	return m.links[rapid.IntRange(0, len(m.links)-1).Draw(t, "link")]
}

func (m *model) end(t *rapid.T) *end {
	if rapid.Bool().Draw(t, "client") {
		return m.client
	}
	return m.server
}

// actions returns what may happen, each as often as its weight says.
func (m *model) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"": func(*rapid.T) { m.client.check(); m.server.check() }}
	add := func(weight int, name string, do func(t *rapid.T)) {
		for ; weight > 0; weight-- {
			name += "'"
			actions[name] = func(t *rapid.T) { steps.Add(1); do(t) }
		}
	}
	onEnd := func(weight int, name string, do func(t *rapid.T, e *end)) {
		add(weight, name, func(t *rapid.T) { do(t, m.end(t)) })
	}
	onLink := func(weight int, name string, do func(t *rapid.T, l *link)) {
		add(weight, name, func(t *rapid.T) {
			if l := m.pick(t); l != nil {
				do(t, l)
			}
		})
	}

	// The applications.
	onEnd(5, "accept", m.accept)
	onEnd(6, "number", func(_ *rapid.T, e *end) {
		for len(e.queue) > 0 && e.s.Ready(e.queue[0].n) {
			e.number()
		}
	})
	onEnd(2, "number before there is room", func(_ *rapid.T, e *end) {
		if len(e.queue) > 0 {
			e.number()
		}
	})
	onEnd(1, "skip", func(t *rapid.T, e *end) {
		if len(e.queue) > 0 {
			e.skip(rapid.IntRange(1, len(e.queue)).Draw(t, "n"))
		}
	})
	onEnd(2, "drop", func(t *rapid.T, e *end) {
		if n := len(e.units); n > 0 {
			e.drop(e.units[rapid.IntRange(max(0, n-8), n-1).Draw(t, "unit")].id)
		}
	})
	onEnd(4, "take", func(t *rapid.T, e *end) {
		if len(e.inbox) > 0 {
			e.take(rapid.IntRange(1, len(e.inbox)).Draw(t, "n"))
		}
	})
	onEnd(2, "take all", func(_ *rapid.T, e *end) { e.take(len(e.inbox)) })
	onEnd(1, "set held", func(_ *rapid.T, e *end) { e.s.SetHeld(e.held) })
	onEnd(2, "acknowledge", func(_ *rapid.T, e *end) {
		if e.s.AckPending() {
			e.s.AckNow()
		}
	})
	onEnd(1, "ping", func(_ *rapid.T, e *end) {
		e.pinged++
		e.s.Ping(e.pinged)
	})
	add(1, "rare", func(t *rapid.T) {
		e := m.end(t)
		switch rapid.IntRange(0, 9).Draw(t, "which") {
		case 0, 1:
			e.close(1000)
		case 2, 3:
			m.server.s.GoAway(wire.GoAwayRestart)
		case 4:
			m.expire(t)
		}
	})

	// The links.
	add(1, "open", func(t *rapid.T) { m.welcome(m.open(rapid.Bool().Draw(t, "polling"))) })
	add(1, "attach", func(t *rapid.T) {
		if i := slices.IndexFunc(m.links, func(l *link) bool { return l.welcome != nil }); i >= 0 {
			m.links[i].attach()
		}
	})
	add(1, "reconnect", func(t *rapid.T) {
		if !m.client.s.linked || rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			m.connect(rapid.Bool().Draw(t, "polling"))
		}
	})
	onLink(1, "cut", func(t *rapid.T, l *link) {
		l.up, l.down, l.cut = truncate(t, l.up), truncate(t, l.down), true
	})
	onLink(2, "notice", func(t *rapid.T, l *link) {
		if l.cut {
			l.notice(m.end(t))
		}
	})
	onEnd(12, "flush", func(t *rapid.T, e *end) {
		for _, l := range m.links {
			if l.currentAt(e) {
				l.flush(e, m.room(t))
			}
		}
	})
	onLink(16, "step", m.step)
	return actions
}

// step moves a link on, or lets something on it be lost.
func (m *model) step(t *rapid.T, l *link) {
	whole := func(list []wire.Frame) []wire.Frame { return list }
	part := func(list []wire.Frame) []wire.Frame { return prefix(t, list) }
	again := func() bool { return rapid.IntRange(0, 4).Draw(t, "again") == 0 }
	which := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") }
	var can []func()
	add := func(ok bool, weight int, do func()) {
		for ; ok && weight > 0; weight-- {
			can = append(can, do)
		}
	}
	add(len(l.up) > 0, 1, func() { l.deliver(true) })
	add(len(l.down) > 0, 1, func() { l.deliver(false) })
	if l.polling {
		current := l.currentAt(l.client)
		add(current && !l.waiting, 3, l.poll)
		add(len(l.polls) > 0, 3, func() { l.pollArrives(which(len(l.polls)), again()) })
		add(l.hanging && (l.server.s.Due() || l.server.s.Sendable()), 3, l.pollAnswered)
		add(len(l.answers) > 0, 3, func() { l.answerArrives(whole) })
		add(len(l.answers) > 0, 1, func() { l.answerArrives(part) })
		add(l.waiting, 1, func() { l.answers, l.waiting = nil, false }) // lost: the client asks again
		add(current && l.sending == nil && l.client.s.Sendable(), 3, func() { l.send(m.room(t)) })
		add(len(l.sends) > 0, 3, func() { l.sendArrives(which(len(l.sends)), again(), whole) })
		add(len(l.sends) > 0, 1, func() { l.sendArrives(which(len(l.sends)), again(), part) })
		add(l.sendAnswer != nil, 3, l.sendAnswered)
		add(l.sending != nil, 1, func() { // lost: the client sends it again
			l.sendAnswer = nil
			l.sends = append(l.sends, l.sending)
		})
	}
	if len(can) > 0 {
		can[which(len(can))]()
	}
}

// expire ends the session: one side has forgotten it, or the other came back
// too late. What was not numbered goes over to a new one.
func (m *model) expire(t *rapid.T) {
	next := uint64(0)
	if rapid.Bool().Draw(t, "tombstone") {
		next = m.server.s.RecvNext()
	}
	m.client.s.Detach()
	m.client.s.Settle(next, m.client)
	m.client.check()
	for _, u := range m.client.units {
		must(next == 0 || u.gone || u.last >= m.server.want || u.last <= m.client.s.acked, "the fate of %d is known", u.first)
	}
	queues := [2][]message{m.client.queue, m.server.queue}
	ids := [2]uint64{m.client.nextID, m.server.nextID}
	m.reset()
	m.client.queue, m.server.queue = queues[0], queues[1]
	m.client.nextID, m.server.nextID = ids[0], ids[1]
}

// drain gives connectivity: everything accepted must arrive and be
// acknowledged, CLOSE both ways too.
func (m *model) drain(polling bool) {
	for _, l := range m.links {
		l.notice(m.client)
		l.notice(m.server)
	}
	m.links = nil
	l := m.connect(polling)
	ends := []*end{m.client, m.server}
	whole := func(list []wire.Frame) []wire.Frame { return list }
	settled := func() bool {
		return !slices.ContainsFunc(ends, func(e *end) bool {
			return len(e.queue) > 0 || e.s.acked < e.s.sent || e.peer.want <= e.s.sent || e.ponged < e.pinged
		})
	}
	settle := func(what string) {
		for range 3000 {
			if settled() {
				return
			}
			for _, e := range ends {
				e.take(len(e.inbox))
				for len(e.queue) > 0 && e.s.Ready(e.queue[0].n) {
					e.number()
				}
				if e.s.AckPending() {
					e.s.AckNow()
				}
				if e.ponged < e.pinged {
					e.s.Ping(e.pinged)
				}
				l.flush(e, wire.MaxBatch)
				e.check()
			}
			l.deliver(true)
			l.deliver(false)
			if polling {
				l.poll()
				for len(l.polls) > 0 {
					l.pollArrives(0, false)
				}
				l.pollAnswered()
				l.answerArrives(whole)
				l.send(wire.MaxBatch)
				for len(l.sends) > 0 {
					l.sendArrives(0, false, whole)
				}
				l.sendAnswered()
			}
		}
		for _, e := range ends {
			must(e.s.acked == e.s.sent && len(e.queue) == 0, "%s %s: %d of %d are acknowledged, %d are not numbered", e.name, what, e.s.acked, e.s.sent, len(e.queue))
		}
		must(settled(), "%s: something never arrives", what)
	}
	settle("drains")
	for _, e := range ends {
		e.close(1000)
	}
	settle("closes")
	for _, e := range ends {
		must(e.s.Done(), "%s is not done", e.name)
	}
}

// steps counts the actions of all runs.
var steps atomic.Int64

// run plays the model once, and says what broke.
func run(t *rapid.T, m mutation) (err error) {
	defer func() {
		if r := recover(); r != nil {
			b, ok := r.(broken)
			if !ok {
				panic(r)
			}
			err = errors.New(b.text)
		}
	}()
	md := newModel(t, m)
	t.Repeat(md.actions())
	md.drain(rapid.Bool().Draw(t, "drain by polling"))
	return nil
}

// moreSteps makes the runs of a test longer than rapid's 30 steps, unless the
// flag says how long.
func moreSteps(t *testing.T) {
	f := flag.Lookup("rapid.steps")
	if f.Value.String() != f.DefValue {
		return
	}
	require.NoError(t, f.Value.Set("200"))
	t.Cleanup(func() { require.NoError(t, f.Value.Set(f.DefValue)) })
}

// TestModel drives pairs of sessions through drops, duplicates, delays,
// truncations, link races, full windows, slow receivers, dropped messages, CLOSE
// races and expiries, and checks the invariants of docs/protocol.md at every
// step. At the end of each run everything must drain.
func TestModel(t *testing.T) {
	moreSteps(t)
	before := steps.Load()
	rapid.Check(t, func(t *rapid.T) {
		if err := run(t, 0); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d steps", steps.Load()-before)
}

// TestModelFindsMutations leaves out one rule of the protocol at a time: the
// model must notice.
func TestModelFindsMutations(t *testing.T) {
	for name, m := range map[string]mutation{
		"attach fencing":                   noFencing,
		"GAP trimming":                     noTrimming,
		"rewinding on a new link":          noRewind,
		"discarding a message in assembly": noDiscard,
	} {
		t.Run(name, func(t *testing.T) {
			moreSteps(t)
			runs := rapid.Custom(func(t *rapid.T) string {
				if err := run(t, m); err != nil {
					return err.Error()
				}
				return ""
			})
			for seed := range 3000 {
				if found := runs.Example(seed); found != "" {
					t.Logf("seed %d: %s", seed, found)
					return
				}
			}
			require.Fail(t, "not noticed")
		})
	}
}
