package outbox

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

func TestGroupIsBoundedByCount(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		for range 2*maxGroup + 1 {
			b.push("a")
		}
		for _, n := range []int{maxGroup, maxGroup, 1} {
			group, ok := b.Take(nil)
			require.True(t, ok)
			assert.Len(t, group, n)
			b.Written(n)
		}
	})
}

func TestGroupIsBoundedByBytes(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		sizes := func(group []transport.Message) (n []int) {
			for _, m := range group {
				n = append(n, len(m.Data))
			}
			return n
		}
		for _, n := range []int{maxGroupBytes / 2, maxGroupBytes / 2, 1, 5 * maxGroupBytes, 0, 7} {
			require.NoError(t, b.Push(t.Context(), text(strings.Repeat("x", n)), nil))
		}
		for _, want := range [][]int{{maxGroupBytes / 2, maxGroupBytes / 2}, {1}, {5 * maxGroupBytes}, {0, 7}} {
			group, ok := b.Take(nil)
			require.True(t, ok)
			assert.Equal(t, want, sizes(group))
			b.Written(len(group))
		}
	})
}

func TestTakeWaitsForAMessage(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		var group string
		take := b.start(func() error {
			group = b.take()
			return nil
		})
		take.waits()
		b.push("a")
		take.succeeds()
		assert.Equal(t, "a", group)
	})
}

func TestTakeWaitsForAPingToSend(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		take := b.start(func() error {
			assert.Empty(t, b.take())
			return nil
		})
		take.waits()
		b.RequestPing()
		take.succeeds()
	})
}

func TestTakeStops(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		stop := make(chan struct{})
		take := b.start(func() error {
			_, ok := b.Take(stop)
			assert.False(t, ok)
			return nil
		})
		take.waits()
		close(stop)
		take.succeeds()
		b.push("a")
		_, ok := b.Take(stop)
		assert.False(t, ok, "whatever there is to write")
		assert.Equal(t, "a", b.take(), "and it is left for the next writer")
	})
}

func TestWrittenPartly(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			b.push("a bb ccc")
			b.take()
			b.push("dddd")
			b.Written(1)
			b.stats(3, 9, 1)
			assert.Equal(t, "bb ccc dddd", b.take())
			b.Written(0)
			b.stats(3, 9, 1)
			assert.Equal(t, "bb ccc dddd", b.take())
			b.Written(2)
			b.stats(1, 4, 3)
			assert.Equal(t, "dddd", b.take())
			b.Written(1)
			b.stats(0, 0, 4)
			s := b.Stats()
			assert.Equal(t, [2]uint64{4, 10}, [2]uint64{s.Sent, s.SentBytes})
			assert.True(t, keep || b.idle())
		})
	}
}

func TestWriterHoldsNoDataOfWhatIsWritten(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a b")
		group, _ := b.Take(nil)
		b.Written(1)
		for _, m := range group[:cap(group)] {
			assert.Nil(t, m.Data)
		}
	})
}

func TestOneWriterAfterTheOther(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.push("a")
		assert.True(t, len(b.ready) == 1)
		b.write()
		assert.True(t, b.idle()) // the signal is used up
		b.push("b")
		b.take()
		b.Written(0)
		b.LinkDown(errLink)
		<-b.ready // a writer that ended has eaten it
		assert.Equal(t, "b", b.write())
		synctest.Wait()
	})
}
