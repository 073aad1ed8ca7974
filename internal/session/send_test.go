package session

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestOrderOfABatch(t *testing.T) {
	client, server := attachedPair(t, wide)
	var sink record
	require.NoError(t, client.Receive(1, wire.Frame{Type: wire.Ping}, &sink))
	client.Ping(1)
	client.AckNow()
	client.GoAway(wire.GoAwayRestart)
	client.Send(1, transport.Text, []byte("a"))
	client.Skip(2)
	client.Close(1000, "bye")
	client.Close(4000, "only the first counts")
	assert.True(t, client.Closing())
	assert.True(t, client.Due())
	assert.True(t, client.Sendable())
	b := client.Next(nil, wire.MaxBatch)
	list, _ := types(t, b, 0)
	assert.Equal(t, []string{"ACK", "PONG", "GOAWAY", "DATA", "GAP", "CLOSE", "PING"}, list)
	assert.Empty(t, client.Next(nil, wire.MaxBatch))
	assert.False(t, client.Due())
	assert.False(t, client.Sendable())
	client.Rewind()
	pass(t, nil, client, server, &sink)
	assert.Equal(t, []string{"text a", "gap 2-2", "closed 1000 bye"}, sink.heard())
}

func TestNothingForTheLastLinkGoesOutOnTheNext(t *testing.T) {
	client, server := attachedPair(t, wide)
	var sink record
	require.NoError(t, client.Receive(1, wire.Frame{Type: wire.Ping}, &sink))
	client.Ping(1)
	client.GoAway(wire.GoAwayRestart)
	client.Detach()
	client.Ping(2)
	client.GoAway(wire.GoAwayRestart)
	client.AckNow()
	assert.False(t, client.Due())
	assert.False(t, client.Sendable())
	assert.Empty(t, client.Next(nil, wire.MaxBatch))
	assert.Empty(t, client.Poll())
	n, err := client.Attach(wire.WelcomePayload{RecvNext: 1, Window: server.Window()})
	require.NoError(t, err)
	assert.Equal(t, uint64(2), n)
	list, _ := types(t, client.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"ATTACH"}, list)
}

func TestAttachUntilItIsAnswered(t *testing.T) {
	client, server := New(wide), New(wide)
	var sink record
	_, err := client.Attach(wire.WelcomePayload{RecvNext: 1, Window: server.Window()})
	require.NoError(t, err)
	list, attach := types(t, client.Poll(), wire.Attach)
	assert.Equal(t, []string{"ATTACH", "ACK"}, list)
	client.Send(1, transport.Binary, []byte("a"))
	list, _ = types(t, client.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"ATTACH", "DATA"}, list)
	assert.Empty(t, client.Next(nil, wire.MaxBatch))
	client.Rewind() // the answer said nothing
	list, _ = types(t, client.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"ATTACH", "DATA"}, list)

	p, err := wire.ParseAttach(attach.Payload)
	require.NoError(t, err)
	require.NoError(t, server.Attached(p))
	require.NoError(t, server.Receive(1, attach, &sink), "the same ATTACH is no change")
	server.AckNow()
	list, _ = types(t, server.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"ACK"}, list, "the server's first word")
	require.NoError(t, client.Receive(1, ack(1, 1000, 0), &sink))
	list, _ = types(t, client.Poll(), 0)
	assert.Equal(t, []string{"ACK"}, list)
	client.Rewind()
	list, _ = types(t, client.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"DATA"}, list)
}

func TestReady(t *testing.T) {
	s := New(wide)
	assert.False(t, s.Ready(0), "there is no link")
	_, err := s.Attach(wire.WelcomePayload{RecvNext: 1, Window: 300})
	require.NoError(t, err)
	assert.True(t, s.Ready(300-wire.Overhead))
	assert.False(t, s.Ready(300-wire.Overhead+1))
	s.Send(1, transport.Binary, make([]byte, 100))
	assert.False(t, s.Ready(0), "a message has not gone out")
	s.Next(nil, wire.MaxBatch)
	assert.True(t, s.Ready(300-164-wire.Overhead))
	assert.False(t, s.Ready(300-164-wire.Overhead+1))
	s.Rewind()
	assert.False(t, s.Ready(0), "it goes out again")
	s.Next(nil, wire.MaxBatch)
	s.Detach()
	assert.False(t, s.Ready(0))
	_, err = s.Attach(wire.WelcomePayload{RecvNext: 2, Window: 1 << 20})
	require.NoError(t, err)
	assert.True(t, s.Ready(1<<30), "only the first frame needs room")
	s.Close(1000, "")
	s.Next(nil, wire.MaxBatch)
	assert.False(t, s.Ready(0))
	assert.Panics(t, func() { s.Send(2, transport.Binary, nil) })
	s.Skip(2)
	s.Rewind()
	list, _ := types(t, s.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"ATTACH", "CLOSE"}, list, "nothing comes after CLOSE, not even a GAP")
}

func TestWindowHoldsDataAloneBack(t *testing.T) {
	s := New(wide)
	var sink record
	_, err := s.Attach(wire.WelcomePayload{RecvNext: 1, Window: 2 * frameCost})
	require.NoError(t, err)
	s.Send(1, transport.Binary, make([]byte, 2*wire.MaxPayload+1))
	list, _ := types(t, s.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"ATTACH", "DATA", "DATA"}, list)
	assert.False(t, s.Sendable())
	s.Ping(1)
	list, _ = types(t, s.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"PING"}, list)
	require.NoError(t, s.Receive(1, ack(3, 65, 0), &sink))
	assert.True(t, s.Sendable())
	list, f := types(t, s.Next(nil, wire.MaxBatch), wire.Data)
	assert.Equal(t, []string{"DATA"}, list)
	assert.Equal(t, wire.Frame{Type: wire.Data, Seq: 3, Payload: []byte{0}}, f)
	s.Send(2, transport.Binary, nil)
	assert.False(t, s.Sendable())
	s.Drop(2)
	list, _ = types(t, s.Next(nil, wire.MaxBatch), 0)
	assert.Equal(t, []string{"GAP"}, list)
}

func TestGapsGrow(t *testing.T) {
	client, server := attachedPair(t, wide)
	var sink record
	for id := uint64(1); id <= 3; id++ {
		client.Send(id, transport.Binary, []byte("a"))
	}
	client.Drop(1)
	client.Skip(4)
	pass(t, nil, client, server, &sink)
	assert.Equal(t, []string{"gap 1-1", "binary a", "binary a", "gap 4-4"}, sink.heard())
	client.Drop(3) // too late, but nobody knows
	client.Skip(5)
	frames, bytes := client.Unacked()
	assert.Equal(t, 5, frames)
	assert.Zero(t, bytes)
	list, f := types(t, client.Next(nil, wire.MaxBatch), wire.Gap)
	assert.Equal(t, []string{"GAP"}, list)
	assert.Equal(t, gap(1, 5), f)
	require.NoError(t, server.Receive(1, f, &sink))
	assert.Equal(t, []string{"gap 5-5"}, sink.heard(), "only what is new")
	pass(t, nil, server, client, &sink)
	assert.Empty(t, sink.heard(), "what was dropped is not acknowledged")
	frames, _ = client.Unacked()
	assert.Zero(t, frames)
}

func TestGapIsNotLongerThanAGapCanBe(t *testing.T) {
	s := New(wide)
	s.Skip(1)
	s.sent = wire.MaxGap - 1 // as if so many had been skipped
	s.Skip(2)
	assert.Equal(t, 1, s.items.Len())
	s.Skip(3)
	assert.Equal(t, 2, s.items.Len())
	_, err := s.Attach(wire.WelcomePayload{RecvNext: 1})
	require.NoError(t, err)
	_, f := types(t, s.Next(nil, wire.MaxBatch), wire.Gap)
	p, err := wire.ParseGap(f.Seq, f.Payload)
	require.NoError(t, err)
	assert.Equal(t, uint64(wire.MaxGap), p.Count)
}

func TestSettleTakesWholeMessages(t *testing.T) {
	s := New(wide)
	var sink record
	s.Send(1, transport.Binary, nil)
	s.Send(2, transport.Binary, make([]byte, 2*wire.MaxPayload)) // 2 and 3
	s.Send(3, transport.Binary, nil)
	s.Settle(0, &sink)
	assert.Empty(t, sink.heard())
	s.Settle(3, &sink) // the second half was wanted
	assert.Equal(t, []string{"acked 1"}, sink.heard())
	s.Settle(99, &sink)
	assert.Equal(t, []string{"acked 3"}, sink.heard())
	s.Settle(2, &sink)
	assert.Empty(t, sink.heard())
}

func TestSmallRoom(t *testing.T) {
	for room := range 3000 {
		client, _ := attachedPair(t, wide)
		var sink record
		require.NoError(t, client.Receive(1, wire.Frame{Type: wire.Ping, Payload: make([]byte, MaxPing)}, &sink))
		client.Ping(1)
		client.AckNow()
		client.GoAway(wire.GoAwayRestart)
		client.Send(1, transport.Text, make([]byte, 500))
		dst := []byte("before")
		dst = client.Next(dst, room)
		require.LessOrEqual(t, len(dst), len("before")+room)
		require.True(t, strings.HasPrefix(string(dst), "before"))
		rest, _ := types(t, dst[len("before"):], 0)
		more, _ := types(t, client.Next(nil, wire.MaxBatch), 0)
		require.ElementsMatch(t, []string{"ACK", "PONG", "GOAWAY", "DATA", "PING"}, append(rest, more...))
	}
}

func TestAcksAreDue(t *testing.T) {
	var sink record
	t.Run("after 64 messages", func(t *testing.T) {
		_, server := attachedPair(t, wide)
		server.Next(nil, wire.MaxBatch)
		for seq := uint64(1); seq <= 64; seq++ {
			assert.False(t, server.Due())
			require.NoError(t, server.Receive(1, data(seq, 0, ""), &sink))
			assert.Equal(t, seq < 64, server.AckPending())
		}
		assert.True(t, server.Due())
	})
	t.Run("after 64 KiB", func(t *testing.T) {
		_, server := attachedPair(t, wide)
		server.Next(nil, wire.MaxBatch)
		half := strings.Repeat("a", wire.MaxPayload/2)
		require.NoError(t, server.Receive(1, data(1, 0, half), &sink))
		assert.False(t, server.Due())
		require.NoError(t, server.Receive(1, data(2, wire.More, half), &sink))
		assert.True(t, server.Due())
	})
	t.Run("when it is said", func(t *testing.T) {
		_, server := attachedPair(t, wide)
		assert.True(t, server.AckPending(), "what the last link was to tell may be lost")
		server.AckNow()
		server.Next(nil, wire.MaxBatch)
		assert.False(t, server.AckPending())
		require.NoError(t, server.Receive(1, data(1, 0, ""), &sink))
		assert.True(t, server.AckPending())
		server.AckNow()
		assert.True(t, server.Due())
		assert.False(t, server.AckPending())
	})
	t.Run("but not beside DATA", func(t *testing.T) {
		_, server := attachedPair(t, wide)
		server.Next(nil, wire.MaxBatch)
		require.NoError(t, server.Receive(1, data(1, 0, ""), &sink))
		server.Send(1, transport.Binary, nil)
		_, f := types(t, server.Next(nil, wire.MaxBatch), wire.Data)
		assert.Equal(t, uint64(1), f.Ack)
		assert.False(t, server.AckPending())
		require.NoError(t, server.Receive(1, data(2, wire.More, ""), &sink))
		server.Send(2, transport.Binary, nil)
		server.Next(nil, wire.MaxBatch)
		assert.True(t, server.AckPending(), "DATA cannot say what is being assembled")
	})
	t.Run("when a quarter of the window is new", func(t *testing.T) {
		_, server := attachedPair(t, Config{MaxMessage: 100, Window: 4000})
		server.Next(nil, wire.MaxBatch)
		assert.Equal(t, int64(-1), server.NotifyAt())
		for seq := uint64(1); seq <= 10; seq++ {
			require.NoError(t, server.Receive(1, data(seq, 0, strings.Repeat("a", 36)), &sink))
		}
		assert.Equal(t, int64(0), server.NotifyAt())
		require.NoError(t, server.Receive(1, data(11, 0, strings.Repeat("a", 36)), &sink))
		assert.Equal(t, int64(100), server.NotifyAt())
		server.SetHeld(101)
		assert.False(t, server.Due())
		server.SetHeld(100)
		assert.True(t, server.Due())
		assert.Equal(t, int64(-1), server.NotifyAt())
	})
}
