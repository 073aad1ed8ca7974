package outbox

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// filled is a message that says what it is: its number, again and again.
func filled(n uint64, size int) []byte {
	return bytes.Repeat([]byte{byte(n), byte(n >> 8), byte(n >> 16)}, size/3+1)[:size]
}

// held is what a session holds of a message, until it is acknowledged.
type held struct {
	seq  uint64
	data []byte
	want []byte
}

// What the writer has, and what a session holds of it, does not change while it
// may be read, whatever becomes of messages around it.
func TestArenaKeepsWhatMayBeRead(t *testing.T) {
	for _, l := range []Limits{
		{MaxBytes: 300_000, MaxMessages: 60},
		{MaxBytes: 300_000, MaxMessages: 60, WhenFull: DropOldest},
		{MaxBytes: 300_000, MaxMessages: 60, WhenFull: DropOldest, Keep: true},
		{MaxBytes: 300_000, MaxMessages: 60, WhenFull: Fail, Keep: true},
	} {
		for _, acks := range []bool{false, true} {
			for seed := range uint64(2) {
				arenaRun(t, l, acks, rand.New(rand.NewPCG(seed, 0)))
			}
		}
	}
}

func arenaRun(t *testing.T, l Limits, acks bool, rnd *rand.Rand) {
	if l.WhenFull == Block {
		l.WhenFull = Fail
	}
	q := New(l, func(int, error) {})
	defer q.Close(errEnd)
	if acks {
		q.UseAcks(1 << 20)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var seq uint64 // numbers of the queue and the content alike
	var session []held
	size := func() int {
		switch rnd.IntN(8) {
		case 0:
			return 0
		case 1:
			return maxShared - 1 + rnd.IntN(3)
		case 2:
			return rnd.IntN(40_000)
		}
		return rnd.IntN(3000)
	}
	check := func(m transport.Message, seq uint64) {
		require.True(t, bytes.Equal(filled(seq, len(m.Data)), m.Data), "message %d is damaged", seq)
	}
	during := func() { // what comes while the writer has a group, and may drop others
		n, taken := size(), 0
		for i := range q.taken {
			taken += q.queue.At(i).n
		}
		if taken+n <= l.MaxBytes && q.taken < l.MaxMessages { // it does not wait
			if q.Push(t.Context(), transport.Text, filled(seq+1, n), nil) == nil {
				seq++
			}
		}
	}
	for range 300 {
		switch rnd.IntN(10) {
		case 0, 1, 2, 3, 4: // accept
			for range rnd.IntN(8) {
				n := size()
				if rnd.IntN(10) == 0 { // and take back
					w := NewWaiter()
					if q.Push(t.Context(), transport.Text, filled(seq+1, n), w) == nil {
						seq++
						_ = q.Wait(ended, w, pongTimeout, errNoPong)
					}
				} else if q.Push(t.Context(), transport.Text, filled(seq+1, n), nil) == nil {
					seq++
				}
			}
		case 5, 6: // write
			if acks {
				group := q.TryTake(nil, maxGroupBytes)
				during()
				n := 0
				if len(group) > 0 {
					n = rnd.IntN(len(group) + 1)
				}
				for _, e := range group {
					check(e.Message, e.Seq)
				}
				for _, e := range group[:n] {
					session = append(session, held{e.Seq, e.Data, bytes.Clone(e.Data)})
				}
				q.Written(n)
				break
			}
			group, _ := q.TakeNow()
			first := uint64(0)
			if len(group) > 0 {
				first = q.queue.At(0).seq
			}
			during()
			for i, m := range group {
				require.LessOrEqual(t, first, q.queue.At(i).seq)
				check(m, q.queue.At(i).seq)
			}
			n := 0
			if len(group) > 0 {
				n = rnd.IntN(len(group) + 1)
			}
			q.Written(n)
		case 7: // a receipt
			if !acks {
				q.RequestPing()
				id, _ := q.NextPing(false)
				_, _ = q.Pong(id)
				break
			}
			if len(session) == 0 {
				break
			}
			n := rnd.IntN(len(session))
			upTo := session[n].seq
			session = session[n+1:]
			q.Acknowledge(upTo)
		case 8:
			if rnd.IntN(4) == 0 && !acks {
				_, _ = q.TakeNow()
				q.LinkDown(errLink) // of a writer that was not joined, perhaps
			}
		case 9: // the session ends; what it holds it may still read
			if rnd.IntN(20) == 0 && acks {
				q.EndAcks(errLink)
				q.UseAcks(1 << 20)
				for i := range session {
					session[i].seq = 0
				}
			}
		}
		for _, h := range session {
			require.True(t, bytes.Equal(h.want, h.data), "message %d is damaged while it is held", h.seq)
		}
		require.LessOrEqual(t, q.arena.shared, q.arena.most)
	}
}

func TestArenaIsBounded(t *testing.T) {
	bubble(t, Limits{MaxBytes: 1 << 20}, func(t *testing.T, b *box) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		long := strings.Repeat("x", maxShared)
		for range 200 { // one small one stays in each chunk
			b.push("x")
			for range 4 {
				w := NewWaiter()
				require.NoError(t, b.Push(t.Context(), text(long), w))
				require.Error(t, b.Wait(ended, w, pongTimeout, errNoPong))
			}
		}
		b.stats(200, 200, 0)
		assert.LessOrEqual(t, b.arena.shared, 2*(1<<20)/chunkSize+spareChunk)
		assert.Equal(t, strings.TrimSuffix(strings.Repeat("x ", 200), " "), b.write())
		b.prove()
		assert.Zero(t, b.arena.shared)
	})
}

func TestAnIdleQueueHoldsNoMemory(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			for range 300 {
				b.push("a " + strings.Repeat("b", 1000) + " " + strings.Repeat("c", 100_000))
			}
			for !b.idle() {
				group, _ := b.TakeNow()
				b.Written(len(group))
				if id, due := b.NextPing(false); due {
					b.Pong(id)
				}
			}
			b.prove()
			assert.Zero(t, b.arena.shared)
			assert.Nil(t, b.arena.current)
			assert.Nil(t, b.batch)
			assert.Zero(t, b.queue.Len()+b.kept.Len())
		})
	}
}
