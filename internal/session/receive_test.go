package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// record is a sink that writes down what it hears.
type record []string

func (r *record) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

func (r *record) Message(typ transport.MessageType, data []byte) { r.add("%v %s", typ, data) }
func (r *record) Gap(from, to uint64)                            { r.add("gap %d-%d", from, to) }
func (r *record) Acked(id uint64)                                { r.add("acked %d", id) }
func (r *record) Pong(id uint64)                                 { r.add("pong %d", id) }
func (r *record) GoAway(reason uint64)                           { r.add("goaway %d", reason) }
func (r *record) Closed(code uint16, reason string)              { r.add("closed %d %s", code, reason) }

// heard returns what was written down since the last call.
func (r *record) heard() []string {
	list := *r
	*r = nil
	return list
}

var wide = Config{MaxMessage: 1 << 20, Window: 1 << 20}

func data(seq uint64, flags wire.Flags, payload string) wire.Frame {
	return wire.Frame{Type: wire.Data, Flags: flags, Seq: seq, Payload: []byte(payload)}
}

func gap(first, count uint64) wire.Frame {
	return wire.Frame{Type: wire.Gap, Seq: first, Payload: wire.GapPayload{Count: count}.Append(nil)}
}

func closeFrame(seq uint64) wire.Frame {
	return wire.Frame{Type: wire.Close, Seq: seq, Payload: wire.ClosePayload{Code: 1000, Reason: "bye"}.Append(nil)}
}

func ack(next, window, acked uint64) wire.Frame {
	return wire.Frame{Type: wire.Ack, Ack: acked, Payload: wire.AckPayload{RecvNext: next, Window: window}.Append(nil)}
}

// types returns the types of the frames of a batch, and the first that has
// the type of want.
func types(t *testing.T, b []byte, want wire.Type) (list []string, found wire.Frame) {
	for len(b) > 0 {
		f, n, err := wire.Parse(b)
		require.NoError(t, err)
		if f.Type == want && found.Type == 0 {
			found = f
		}
		list, b = append(list, f.Type.String()), b[n:]
	}
	return list, found
}

func TestViolations(t *testing.T) {
	text := wire.Text
	for name, c := range map[string]struct {
		frames []wire.Frame // the last one is wrong
		code   uint16
	}{
		"an ACK of what was not sent":       {[]wire.Frame{ack(1, 0, 1)}, 1002},
		"an ACK that wants number 0":        {[]wire.Frame{ack(0, 0, 0)}, 1002},
		"an ACK that wants the unsent":      {[]wire.Frame{ack(2, 0, 0)}, 1002},
		"a frame with an ack of the unsent": {[]wire.Frame{{Type: wire.Data, Seq: 1, Ack: 1}}, 1002},
		"an ACK that cannot be read":        {[]wire.Frame{{Type: wire.Ack}}, 1002},
		"an ATTACH that cannot be read":     {[]wire.Frame{{Type: wire.Attach}}, 1002},
		"an ATTACH that wants the unsent":   {[]wire.Frame{{Type: wire.Attach, Payload: wire.AttachPayload{Attachment: 1, RecvNext: 2}.Append(nil)}}, 1002},
		"an ATTACH of another link":         {[]wire.Frame{{Type: wire.Attach, Payload: wire.AttachPayload{Attachment: 2, RecvNext: 1}.Append(nil)}}, 1002},
		"a GAP that cannot be read":         {[]wire.Frame{{Type: wire.Gap, Seq: 1}}, 1002},
		"a CLOSE that cannot be read":       {[]wire.Frame{{Type: wire.Close, Seq: 1}}, 1002},
		"a GOAWAY that cannot be read":      {[]wire.Frame{{Type: wire.GoAway}}, 1002},
		"a long PING":                       {[]wire.Frame{{Type: wire.Ping, Payload: make([]byte, MaxPing+1)}}, 1002},
		"HELLO":                             {[]wire.Frame{{Type: wire.Hello}}, 1002},
		"WELCOME":                           {[]wire.Frame{{Type: wire.Welcome}}, 1002},
		"REJECT":                            {[]wire.Frame{{Type: wire.Reject}}, 1002},
		"DATA after CLOSE":                  {[]wire.Frame{closeFrame(1), data(2, 0, "a")}, 1002},
		"a GAP after CLOSE":                 {[]wire.Frame{closeFrame(1), gap(1, 2)}, 1002},
		"two CLOSEs":                        {[]wire.Frame{closeFrame(1), closeFrame(2)}, 1002},
		"CLOSE inside a message":            {[]wire.Frame{data(1, wire.More, "a"), closeFrame(2)}, 1002},
		"a message of two types":            {[]wire.Frame{data(1, wire.More|text, "a"), data(2, 0, "b")}, 1002},
		"text that is not UTF-8":            {[]wire.Frame{data(1, text, "\xff")}, 1007},
		"text cut inside a character":       {[]wire.Frame{data(1, wire.More|text, "a\xc3"), data(2, text, "b")}, 1007},
		"a message over the bound":          {[]wire.Frame{data(1, 0, strings.Repeat("a", 101))}, 1009},
		"a message of frames over the bound": {[]wire.Frame{
			data(1, wire.More, strings.Repeat("a", 60)), data(2, wire.More, strings.Repeat("a", 41))}, 1009},
	} {
		t.Run(name, func(t *testing.T) {
			_, server := attachedPair(t, Config{MaxMessage: 100, Window: 1000})
			var sink record
			last := len(c.frames) - 1
			for _, f := range c.frames[:last] {
				require.NoError(t, server.Receive(1, f, &sink))
			}
			sink.heard()
			err := server.Receive(1, c.frames[last], &sink)
			var v *Violation
			require.ErrorAs(t, err, &v)
			assert.Equal(t, c.code, v.Code)
			assert.NotEmpty(t, v.Error())
			assert.Empty(t, sink.heard())
		})
	}
}

func TestTextMayBeCutInsideACharacter(t *testing.T) {
	_, server := attachedPair(t, wide)
	var sink record
	require.NoError(t, server.Receive(1, data(1, wire.Text|wire.More, "a\xc3"), &sink))
	require.NoError(t, server.Receive(1, data(2, wire.Text, "\xa4b"), &sink))
	assert.Equal(t, []string{"text aäb"}, sink.heard())
}

func TestAheadChangesNothing(t *testing.T) {
	_, server := attachedPair(t, wide)
	var sink record
	for _, f := range []wire.Frame{data(2, 0, "b"), gap(2, 5), closeFrame(2)} {
		require.Equal(t, ErrAhead, server.Receive(1, f, &sink))
	}
	require.NoError(t, server.Receive(1, data(1, 0, "a"), &sink))
	require.NoError(t, server.Receive(1, closeFrame(2), &sink))
	assert.Equal(t, []string{"binary a", "closed 1000 bye"}, sink.heard())
}

func TestBeyondTheWindowChangesNothing(t *testing.T) {
	_, server := attachedPair(t, Config{MaxMessage: 200, Window: 300})
	server.Next(nil, wire.MaxBatch)
	var sink record
	require.NoError(t, server.Receive(1, data(1, 0, strings.Repeat("a", 200)), &sink)) // leaves 36
	sink.heard()
	for range 2 {
		err := server.Receive(1, data(2, 0, ""), &sink)
		require.ErrorIs(t, err, ErrFull)
		var v *Violation
		require.ErrorAs(t, err, &v)
		assert.Equal(t, uint16(1002), v.Code)
		assert.Equal(t, uint64(2), server.RecvNext())
	}
	assert.Equal(t, int64(300-36-300/4), server.NotifyAt(), "a quarter of the window is then new")
	server.SetHeld(0)
	assert.True(t, server.Due())
	_, f := types(t, server.Next(nil, wire.MaxBatch), wire.Ack)
	p, err := wire.ParseAck(f.Payload)
	require.NoError(t, err)
	assert.Equal(t, wire.AckPayload{RecvNext: 2, Window: 300}, p)
	require.NoError(t, server.Receive(1, data(2, 0, "b"), &sink), "the ACK has granted more")
	assert.Equal(t, []string{"binary b"}, sink.heard())
}

func TestSmallMessagesDoNotFillTheRoomOfALargeOne(t *testing.T) {
	_, server := attachedPair(t, Config{MaxMessage: 32 << 20, Window: 1 << 20})
	var sink record
	var err error
	for seq := uint64(1); err == nil; seq++ {
		err = server.Receive(1, data(seq, 0, strings.Repeat("a", 10_000)), &sink)
		if len(server.Next(nil, wire.MaxBatch)) > 0 {
			server.SetHeld(server.held) // nothing is taken
		}
	}
	require.ErrorIs(t, err, ErrFull)
	assert.LessOrEqual(t, server.held, int64(1<<20))
}

func TestMessageLargerThanTheWindow(t *testing.T) {
	client, server := attachedPair(t, Config{MaxMessage: 2 << 20, Window: 1000})
	var toServer, toClient counter
	client.Send(1, transport.Binary, make([]byte, 2<<20))
	for range 50 {
		pass(t, nil, client, server, &toServer)
		pass(t, nil, server, client, &toClient)
	}
	assert.Equal(t, 1, toServer.messages)
	assert.Equal(t, uint64(1), toClient.acked)
}

func TestDuplicatesAreAcknowledgedAgain(t *testing.T) {
	client, server := attachedPair(t, wide)
	var sink record
	frames := []wire.Frame{data(1, 0, "a"), gap(2, 3), closeFrame(5)}
	for _, f := range frames {
		require.NoError(t, server.Receive(1, f, &sink))
	}
	assert.Equal(t, []string{"binary a", "gap 2-4", "closed 1000 bye"}, sink.heard())
	pass(t, nil, client, server, &sink)
	for _, f := range append(frames, gap(1, 4)) {
		server.Next(nil, wire.MaxBatch)
		require.False(t, server.Due())
		require.NoError(t, server.Receive(1, f, &sink))
		assert.True(t, server.Due(), "%v %d", f.Type, f.Seq)
	}
	assert.Empty(t, sink.heard())
}

func TestGapTakesTheMessageInAssembly(t *testing.T) {
	_, server := attachedPair(t, wide)
	var sink record
	require.NoError(t, server.Receive(1, data(1, 0, "a"), &sink))
	require.NoError(t, server.Receive(1, data(2, wire.More, "lost"), &sink))
	require.NoError(t, server.Receive(1, data(3, wire.More, "lost"), &sink))
	assert.Equal(t, uint64(4), server.RecvNext())
	require.NoError(t, server.Receive(1, gap(1, 5), &sink))
	require.NoError(t, server.Receive(1, data(6, 0, "b"), &sink))
	assert.Equal(t, []string{"binary a", "gap 2-5", "binary b"}, sink.heard())
}

func TestStaleAttachment(t *testing.T) {
	_, server := attachedPair(t, wide)
	var sink record
	server.Send(1, transport.Binary, []byte("a"))
	server.Send(2, transport.Binary, []byte("b"))
	require.NoError(t, server.Attached(wire.AttachPayload{Attachment: 7, RecvNext: 1, Window: 1000}))
	for _, n := range []uint64{1, 7} {
		require.ErrorIs(t, server.Attached(wire.AttachPayload{Attachment: n, RecvNext: 1}), ErrStale)
	}
	for _, n := range []uint64{0, 1, 6} {
		for _, f := range []wire.Frame{data(1, 0, "a"), gap(1, 1), closeFrame(1), {Type: wire.GoAway}, {Type: wire.Ping}, data(9, 0, "")} {
			require.NoError(t, server.Receive(n, f, &sink))
		}
	}
	assert.Equal(t, uint64(1), server.RecvNext())
	assert.Empty(t, sink.heard())
	f := data(1, 0, "a")
	f.Ack = 1
	require.NoError(t, server.Receive(1, f, &sink))
	require.NoError(t, server.Receive(0, ack(3, 0, 2), &sink))
	assert.Equal(t, []string{"acked 1", "acked 2"}, sink.heard(), "what it acknowledges counts")
	var v *Violation
	require.ErrorAs(t, server.Receive(8, data(1, 0, "a"), &sink), &v)
	require.ErrorAs(t, server.Receive(1, ack(4, 0, 3), &sink), &v)
}

func TestAttachmentsThatWantTheUnsent(t *testing.T) {
	client, server := New(wide), New(wide)
	var v *Violation
	for _, next := range []uint64{0, 2} {
		_, err := client.Attach(wire.WelcomePayload{RecvNext: next})
		require.ErrorAs(t, err, &v)
		require.ErrorAs(t, server.Attached(wire.AttachPayload{Attachment: 1, RecvNext: next}), &v)
	}
	assert.Zero(t, client.Attachment())
	assert.Zero(t, server.Attachment())
	assert.Empty(t, client.Next(nil, wire.MaxBatch))
}

func TestPong(t *testing.T) {
	client, server := attachedPair(t, wide)
	var sink record
	server.Next(nil, wire.MaxBatch)
	require.NoError(t, server.Receive(1, wire.Frame{Type: wire.Ping, Payload: []byte("first")}, &sink))
	require.NoError(t, server.Receive(1, wire.Frame{Type: wire.Ping, Payload: make([]byte, MaxPing)}, &sink))
	list, pong := types(t, server.Next(nil, wire.MaxBatch), wire.Pong)
	assert.Equal(t, []string{"PONG"}, list, "the last one's only")
	assert.Len(t, pong.Payload, MaxPing)

	require.NoError(t, client.Receive(1, wire.Frame{Type: wire.Pong, Payload: []byte("not one of ours")}, &sink))
	assert.Empty(t, sink.heard())
	client.Ping(5)
	client.Ping(6)
	pass(t, nil, client, server, &sink)
	pass(t, nil, server, client, &sink)
	assert.Equal(t, []string{"pong 6"}, sink.heard())
}

func TestUnknownFramesAreSkipped(t *testing.T) {
	_, server := attachedPair(t, wide)
	var sink record
	require.NoError(t, server.Receive(1, wire.Frame{Type: 99, Payload: []byte("later")}, &sink))
	assert.Empty(t, sink.heard())
}

// FuzzReceive gives a session whatever frames can be read: the bounds must hold.
func FuzzReceive(f *testing.F) {
	var seed []byte
	for _, frame := range []wire.Frame{data(1, wire.Text, "a"), data(2, wire.More, "b"), gap(1, 5), {Type: wire.Ping}, ack(2, 1000, 1), closeFrame(6)} {
		seed = wire.Append(seed, frame)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Config{MaxMessage: 50, Window: 400}
		_, server := attachedPair(t, c)
		var sink record
		server.Send(1, transport.Binary, []byte("one"))
		server.Send(2, transport.Text, make([]byte, wire.MaxPayload+1))
		server.Skip(3)
		for len(b) > 0 {
			frame, n, err := wire.Parse(b)
			if err != nil {
				return
			}
			b = b[n:]
			next := server.RecvNext()
			err = server.Receive(1, frame, &sink)
			var v *Violation
			switch {
			case errors.As(err, &v):
				return
			case err != nil:
				require.Equal(t, ErrAhead, err)
				require.Equal(t, next, server.RecvNext())
			}
			require.GreaterOrEqual(t, server.RecvNext(), next)
			require.Less(t, server.ack(), server.RecvNext())
			require.LessOrEqual(t, int64(cap(server.part)), c.MaxMessage)
			require.GreaterOrEqual(t, server.granted, int64(0))
			require.LessOrEqual(t, server.held, c.Window)
			frames, _ := server.Unacked()
			require.Equal(t, int(server.sent-server.acked), frames)
			require.LessOrEqual(t, len(server.Next(nil, 80<<10)), 80<<10)
		}
	})
}
