package outbox

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPongProvesWhatWasWrittenBeforeItsPing(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			b.push("a b")
			b.write()
			b.RequestPing()
			id := b.ping()
			b.push("c")
			b.write()
			time.Sleep(3 * time.Second)
			rtt, ok := b.Pong(id)
			assert.True(t, ok)
			assert.Equal(t, 3*time.Second, rtt)
			b.stats(0, 0, 1)
			unknown := 1
			if keep {
				unknown = 0
			}
			assert.Equal(t, unknown, b.LinkDown(errLink))
		})
	}
}

func TestPongAnswersAllEarlierPings(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			var ids []uint64
			for _, s := range []string{"a", "b c", "d", "e f"} {
				b.push(s)
				b.write()
				b.RequestPing()
				ids = append(ids, b.ping())
			}
			_, ok := b.Pong(ids[1])
			assert.True(t, ok)
			b.stats(0, 0, 3)
			_, ok = b.Pong(ids[0])
			assert.False(t, ok, "a late answer")
			_, ok = b.Pong(ids[1])
			assert.False(t, ok, "a repeated answer")
			b.stats(0, 0, 3)
			_, ok = b.Pong(ids[3])
			assert.True(t, ok)
			b.stats(0, 0, 0)
		})
	}
}

func TestUnknownPongsAreIgnored(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			b.push("a")
			b.write()
			pongs := func(unacknowledged int, ids ...uint64) {
				t.Helper()
				for _, id := range ids {
					_, ok := b.Pong(id)
					assert.False(t, ok, id)
				}
				b.stats(0, 0, unacknowledged)
			}
			pongs(1, 0, 1, 1<<63)
			b.RequestPing()
			id := b.ping()
			pongs(1, 0, id+1, id+1000, 1<<64-1)
			_, ok := b.Pong(id)
			assert.True(t, ok)

			b.push("b")
			b.write()
			b.RequestPing()
			old := b.ping()
			b.LinkDown(errLink)
			if keep {
				b.write()
			}
			b.push("c")
			b.write()
			pongs(b.Stats().Unacknowledged, old) // of another link
			b.RequestPing()
			b.ping()
			pongs(b.Stats().Unacknowledged, old)
		})
	}
}

func TestMorePingsThanAreRemembered(t *testing.T) {
	const pings = 3*maxPings + 5
	written := func(t *testing.T, b *box) (ids []uint64) {
		for range pings {
			b.push("a")
			b.write()
			b.RequestPing()
			ids = append(ids, b.ping())
		}
		require.LessOrEqual(t, len(b.receipts.pings), maxPings)
		return ids
	}
	for _, keep := range []bool{false, true} {
		t.Run("every ping is answered", func(t *testing.T) {
			bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
				proven := 0
				for i, id := range written(t, b) {
					b.Pong(id)
					left := b.Stats().Unacknowledged
					assert.LessOrEqual(t, pings-left, i+1, "what was not proven")
					proven = max(proven, pings-left)
				}
				assert.Equal(t, pings, proven)
			})
		})
		t.Run("only the latest is answered", func(t *testing.T) {
			bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
				ids := written(t, b)
				_, ok := b.Pong(ids[pings-1])
				assert.True(t, ok)
				b.stats(0, 0, 0)
			})
		})
		t.Run("one that is not remembered is answered", func(t *testing.T) {
			bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
				ids := written(t, b)
				_, ok := b.Pong(ids[2*maxPings])
				assert.False(t, ok, "it tells no round trip")
				b.stats(0, 0, pings-(maxPings-1))
			})
		})
	}
}

func TestMorePingsOnTheirWayThanAreRemembered(t *testing.T) {
	// A path of 40 pings: each answer arrives 40 pings after its question.
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep, MaxMessages: 4000}, func(t *testing.T, b *box) {
			var onTheirWay []uint64
			for range 1000 {
				b.sync(t.Context(), "a") // its time-out is far away
				b.write()
				onTheirWay = append(onTheirWay, b.ping())
				if len(onTheirWay) == 40 {
					b.Pong(onTheirWay[0])
					onTheirWay = onTheirWay[1:]
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				require.LessOrEqual(t, b.Stats().Unacknowledged, 2*40)
			}
			for _, id := range onTheirWay {
				b.Pong(id)
			}
			b.stats(0, 0, 0)
		})
	}
}

func TestPingOnlyWhenNeeded(t *testing.T) {
	bubble(t, Limits{}, func(t *testing.T, b *box) {
		b.noPing()
		b.push("a")
		b.noPing()
		b.write()
		b.noPing()
		assert.True(t, b.idle())

		b.RequestPing()
		assert.True(t, b.PingRequested())
		assert.False(t, b.idle())
		b.ping()
		assert.False(t, b.PingRequested())
		b.noPing()
		assert.True(t, b.idle())

		b.RequestPing()
		_, due := b.NextPing(true) // something else was sent for it
		assert.False(t, due)
		assert.False(t, b.PingRequested())
		b.noPing()

		sync := b.sync(t.Context(), "b")
		b.noPing() // b is not written
		b.write()
		assert.False(t, b.idle())
		_, due = b.NextPing(true)
		assert.True(t, due, "something else is no proof of receipt")
		b.noPing()
		assert.True(t, b.idle())

		flush := b.flush(t.Context())
		assert.False(t, b.idle())
		b.push("c") // after the Flush
		b.Pong(b.ping())
		sync.succeeds()
		flush.succeeds()
		b.noPing()
	})
}

func TestWriterIsWokenForAPing(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, b *box) {
		b.wakes(b.RequestPing)
		b.ping()
		b.push("a")
		b.write()
		var flush *call
		b.wakes(func() { flush = b.flush(t.Context()) })
		flush.waits()
		b.Pong(b.ping())
		flush.succeeds()
		assert.True(t, b.idle())
	})
}

func TestReceiptOfKeptMessagesIsAskedForAfterAQuarter(t *testing.T) {
	for name, l := range map[string]Limits{
		"of the messages": {Keep: true, MaxMessages: 8},
		"of the bytes":    {Keep: true, MaxBytes: 8},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, l, func(t *testing.T, b *box) {
				b.push("a")
				b.write()
				b.noPing()
				assert.True(t, b.idle())
				b.push("b")
				b.write()
				id := b.ping()
				b.noPing() // it covers them
				b.Pong(id)
				b.push("c")
				b.write()
				b.noPing()
			})
		})
	}
}

func TestReceiptOfKeptMessagesIsAskedForAfterASecond(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		time.Sleep(maxUnproven - 1)
		b.noPing()
		b.wakes(func() { time.Sleep(1) })
		id := b.ping()
		b.noPing()
		time.Sleep(2 * maxUnproven)
		b.noPing() // the peer owes an answer
		b.push("b")
		b.write()
		b.noPing()
		time.Sleep(maxUnproven)
		synctest.Wait()
		b.Pong(id)
		b.Pong(b.ping())
		b.stats(0, 0, 0)
		time.Sleep(2 * maxUnproven)
		synctest.Wait()
		b.noPing()
		assert.True(t, b.idle())
	})
}

func TestSecondBeginsWithTheOldestUnasked(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		time.Sleep(maxUnproven / 2)
		b.RequestPing()
		b.Pong(b.ping())
		b.push("b")
		b.write()
		b.noPing()
		time.Sleep(maxUnproven) // at the latest
		synctest.Wait()
		b.ping()
	})
}

func TestNothingIsDueForWhatAPingCovers(t *testing.T) {
	bubble(t, Limits{Keep: true}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.RequestPing()
		b.ping()
		time.Sleep(2 * maxUnproven) // the second is over, with nothing to ask for
		synctest.Wait()
		b.push("b")
		b.write()
		b.noPing() // b has its own second
		time.Sleep(maxUnproven)
		synctest.Wait()
		b.ping()
	})
}

func TestReceiptOfASingleLargeMessageIsAskedForAtOnce(t *testing.T) {
	bubble(t, Limits{Keep: true, MaxBytes: 8}, func(t *testing.T, b *box) {
		b.push(strings.Repeat("x", 100))
		b.write()
		b.Pong(b.ping())
		b.stats(0, 0, 0)
	})
}

func TestTinyKeepBufferNeverStalls(t *testing.T) {
	bubble(t, Limits{Keep: true, MaxMessages: 1}, func(t *testing.T, b *box) {
		for range 3 {
			b.push("a")
			b.write()
			blocked := b.send(t.Context(), "b")
			blocked.waits()
			b.Pong(b.ping())
			blocked.succeeds()
			b.write()
			b.Pong(b.ping())
		}
	})
}

func TestProvenMakesRoom(t *testing.T) {
	bubble(t, Limits{Keep: true, MaxBytes: 4}, func(t *testing.T, b *box) {
		b.push("aa bb")
		b.write()
		first, second := b.send(t.Context(), "cc"), b.send(t.Context(), "dd")
		first.waits()
		b.Proven()
		first.succeeds()
		second.succeeds()
		b.stats(2, 4, 0)
	})
}

func TestReceiptIsAskedForInTimeWithoutKeepToo(t *testing.T) {
	bubble(t, Limits{ProveAfter: 25 * time.Second}, func(t *testing.T, b *box) {
		b.push("a")
		b.write()
		b.push("b")
		b.write()
		b.wakes(func() { time.Sleep(25 * time.Second) })
		id := b.ping()
		b.noPing()
		b.push("c")
		b.write()
		b.Pong(id)
		b.stats(0, 0, 1)
		b.wakes(func() { time.Sleep(25 * time.Second) })
		b.Pong(b.ping())
		b.stats(0, 0, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.noPing()

		b.push("d")
		b.write()
		b.LinkDown(errLink)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.noPing()
	})
}

func TestProvenByTheClosingHandshake(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, Limits{Keep: keep}, func(t *testing.T, b *box) {
			b.push("a")
			sync := b.sync(t.Context(), "b")
			flush := b.flush(t.Context())
			b.write()
			b.ping()
			b.Proven()
			sync.succeeds()
			flush.succeeds()
			b.stats(0, 0, 0)
			assert.Zero(t, b.Close(errEnd))
		})
	}
}
