package inbox

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errLink = errors.New("the link is lost")

func TestHeldMessagesGoToTakeHeld(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("before")
		waiting := b.takeHeld(t.Context())
		waiting.fails(errNotHeld)
		b.Hold()
		held := b.takeHeld(t.Context())
		held.waits()
		b.put("a b c")
		held.gets("a")
		b.takeHeld(t.Context()).gets("b")
		b.receive(t.Context()).gets("before")
		receiver := b.receive(t.Context())
		receiver.waits()
		b.EndHeld(errEnd)
		b.Release(false)
		receiver.gets("c")
		b.put("d")
		b.receive(t.Context()).gets("d")
	})
}

func TestReleaseKeepsTheOrder(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("a")
		b.Hold()
		b.put("b c d")
		b.takeHeld(t.Context()).gets("b")
		b.Release(false)
		b.put("e")
		for _, s := range []string{"a", "c", "d", "e"} {
			b.receive(t.Context()).gets(s)
		}
	})
}

func TestReleaseForgets(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.put("a")
		b.Hold()
		b.put("b c")
		b.Release(true)
		b.put("d")
		b.receive(t.Context()).gets("a")
		b.receive(t.Context()).gets("d")
	})
}

func TestReleaseAfterCloseGivesNothingAfterTheError(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.Hold()
		b.put("a")
		b.Close(errEnd)
		b.receive(t.Context()).fails(errEnd)
		b.Release(false)
		b.receive(t.Context()).fails(errEnd)
		assert.Zero(t, b.Stats().Queued)
	})
}

func TestEndHeldComesAfterWhatWasHeld(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.EndHeld(errLink) // nothing is held: it means nothing
		b.Hold()
		b.put("a b")
		b.EndHeld(errLink)
		b.EndHeld(errEnd) // the first counts
		b.takeHeld(t.Context()).gets("a")
		b.takeHeld(t.Context()).gets("b")
		b.takeHeld(t.Context()).fails(errLink)
		b.takeHeld(t.Context()).fails(errLink)
		b.Release(true)
		b.takeHeld(t.Context()).fails(errLink)
		b.receive(t.Context()).waits()
	})
}

func TestEndHeldLeavesTheRestToReceive(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.Hold()
		b.put("a b")
		b.EndHeld(errLink)
		b.takeHeld(t.Context()).gets("a")
		b.Release(false)
		b.takeHeld(t.Context()).fails(errLink)
		b.receive(t.Context()).gets("b")
	})
}

func TestEachEndTellsWhoWaitsForHeldMessages(t *testing.T) {
	for name, end := range map[string]struct {
		end  func(b *box)
		want error
	}{
		"EndHeld":       {func(b *box) { b.EndHeld(errLink) }, errLink},
		"Release":       {func(b *box) { b.Release(false) }, errNotHeld},
		"Release, true": {func(b *box) { b.Release(true) }, errNotHeld},
		"Hold":          {func(b *box) { b.Hold() }, errNotHeld},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1<<20, func(t *testing.T, b *box) {
				ctx, cancel := context.WithCancel(t.Context())
				b.Hold()
				calls := []*call{b.takeHeld(t.Context()), b.takeHeld(ctx)}
				end.end(b)
				cancel() // too late to matter
				for _, c := range calls {
					c.fails(end.want)
				}
			})
		})
	}
}

func TestEndedContextOfTakeHeld(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		b.Hold()
		waiting := b.takeHeld(ctx)
		cancel()
		waiting.fails(context.Canceled)
		b.put("a")
		b.takeHeld(ctx).fails(context.Canceled)
		b.takeHeld(t.Context()).gets("a")
	})
}

func TestHoldAnew(t *testing.T) {
	bubble(t, 1<<20, func(t *testing.T, b *box) {
		b.Hold()
		b.put("a")
		b.EndHeld(errLink)
		b.Release(true)
		b.Hold() // the next attempt
		held := b.takeHeld(t.Context())
		held.waits()
		b.put("b")
		held.gets("b")
		b.Release(false)
	})
}

func TestHeldMessagesHaveTheBoundToThemselves(t *testing.T) {
	bubble(t, 2*Overhead, func(t *testing.T, b *box) {
		b.put("a b c") // the receiver is behind
		b.Hold()
		b.room(nil).hasRoom(true)
		b.put("d")
		b.room(nil).hasRoom(true)
		b.put("e")
		reader := b.room(nil)
		reader.waits()
		assert.Equal(t, int32(1), b.pauses.Load())
		b.receive(t.Context()).gets("a") // makes no room among those held
		reader.waits()
		b.takeHeld(t.Context()).gets("d")
		reader.hasRoom(true)
		b.put("f")
		reader = b.room(nil)
		reader.waits()
		b.Release(false)
		reader.waits() // both are in one queue now: b c e f
		for _, s := range []string{"b", "c", "e"} {
			reader.waits()
			b.receive(t.Context()).gets(s)
		}
		reader.hasRoom(true)
		b.receive(t.Context()).gets("f")
	})
}

func TestReleaseMakesRoom(t *testing.T) {
	bubble(t, 2*Overhead, func(t *testing.T, b *box) {
		b.Hold()
		b.put("a b")
		reader := b.room(nil)
		reader.waits()
		b.Release(true)
		reader.hasRoom(true)

		receivers := []*call{b.receive(t.Context()), b.receive(t.Context())}
		b.Hold()
		b.put("c d")
		reader = b.room(nil)
		reader.waits()
		b.Release(false)
		receivers[0].gets("c")
		receivers[1].gets("d")
		reader.hasRoom(true)
		require.Zero(t, b.Stats().Queued)
	})
}
