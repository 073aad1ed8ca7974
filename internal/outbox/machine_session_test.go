package outbox

import (
	"bytes"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/transport"
)

// UseAcks begins a session over a new link.
func (m *machine) UseAcks(t *rapid.T) {
	if m.session {
		t.Skip()
	}
	m.LinkDown(t)
	m.Check(t)
	m.severalTurns = true
	m.session, m.maxMessage, m.droppedSent = true, rapid.IntRange(4, 14).Draw(t, "maxMessage"), 0
	m.q.UseAcks(m.maxMessage)
	for _, c := range m.blocked {
		if c.item.size > m.maxMessage {
			m.returns(c, isErr(ErrTooBig))
		}
	}
	m.blocked = slices.DeleteFunc(slices.Clone(m.blocked), func(c *modelCall) bool { return c.item.size > m.maxMessage })
	for i := 0; i < len(m.queue); {
		if m.queue[i].size > m.maxMessage {
			m.drop(&m.queue, i, ErrTooBig)
		} else {
			i++
		}
	}
	m.settle()
}

func (m *machine) EndAcks(t *rapid.T) {
	rarely(t, 4)
	if !m.session || m.over || m.taken > 0 {
		t.Skip()
	}
	m.severalTurns = true
	n := m.q.EndAcks(errLink)
	m.session, m.skipped, m.droppedSent = false, nil, 0
	m.linkDown(t, n)
}

// tryTake is Take in a session: each message has its number, and what was dropped
// right before it.
func (m *machine) tryTake(t *rapid.T) {
	group := m.q.TryTake([]Entry{{}}, maxGroupBytes)[1:]
	require.Len(t, group, len(m.queue), "they are few and small")
	before := uint64(0)
	for i, got := range group {
		it := m.queue[i]
		require.Equal(t, transport.MessageType(it.id), got.Type)
		require.Equal(t, bytes.Repeat([]byte{it.id}, it.size), got.Data)
		require.Equal(t, it.seq, got.Seq)
		skip := uint64(0)
		for _, seq := range m.skipped {
			if before < seq && seq < it.seq {
				skip = max(skip, seq)
			}
		}
		require.Equal(t, skip, got.Skip, "what was dropped before %d", it.seq)
		before = it.seq
	}
	m.taken = len(group)
}

func (m *machine) TakeSkip(t *rapid.T) {
	if !m.session || m.over {
		t.Skip()
	}
	skip := uint64(0)
	if len(m.queue) == 0 && len(m.skipped) > 0 {
		skip, m.skipped = slices.Max(m.skipped), nil
	}
	require.Equal(t, skip, m.q.TakeSkip())
}

// Acknowledge settles what was sent up to a number, which need not be a
// message's.
func (m *machine) Acknowledge(t *rapid.T) {
	if !m.session || len(m.sent) == 0 {
		t.Skip()
	}
	seq := rapid.Uint64Range(0, m.sent[len(m.sent)-1].seq).Draw(t, "seq")
	m.q.Acknowledge(seq)
	i := slices.IndexFunc(m.sent, func(it *item) bool { return it.seq > seq })
	if i < 0 {
		i = len(m.sent)
	}
	m.prove(slices.Clone(m.sent[:i]))
}

// Relink is another link of the same session.
func (m *machine) Relink(t *rapid.T) {
	if !m.session || m.over {
		t.Skip()
	}
	m.q.Relink()
	m.pings = nil
	for _, c := range m.waits {
		c.pinged = false
	}
	m.settle()
}
