package pump

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// A link whose reader is late brings nothing into the queues once its session is
// forgotten: they are another one's by then.
func TestForgottenSessionReceivesNothing(t *testing.T) {
	out := outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 100}, func(int, error) {})
	in := inbox.New(1<<20, func() {})
	gaps := 0
	e := New(Config{Session: session.Config{MaxMessage: 1000, Window: 1 << 20}, Out: out, In: in, MaxMessage: 1000, Epoch: 1,
		OnGap: func(uint64, uint64) { gaps++ }})
	at, err := e.Attach(wire.WelcomePayload{SID: "a.b", RecvNext: 1, Window: 1000, MaxMessage: 1000, ResumeTTL: time.Minute}, false)
	require.NoError(t, err)
	data := func(seq uint64) []byte {
		return wire.Append(nil, wire.Frame{Type: wire.Data, Seq: seq, Payload: []byte("x")})
	}
	require.NoError(t, at.Receive(data(1)))
	require.Equal(t, 1, in.Stats().Queued)
	e.Forget()
	assert.True(t, closed(at.Gone()))
	assert.ErrorIs(t, at.Receive(data(2)), session.ErrStale)
	assert.ErrorIs(t, at.Receive(wire.Append(nil, wire.Frame{Type: wire.Gap, Seq: 2, Payload: wire.GapPayload{Count: 5}.Append(nil)})), session.ErrStale)
	assert.Equal(t, 1, in.Stats().Queued)
	assert.Zero(t, gaps)
	assert.Empty(t, at.Next(nil, 1<<20))
	out.Close(transport.ErrNoSession)
}
