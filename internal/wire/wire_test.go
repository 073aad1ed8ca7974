package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// numbers draws numbers of every length.
func numbers(least, most uint64) *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		bits := rapid.IntRange(0, 62).Draw(t, "bits")
		return min(most, max(least, rapid.Uint64Range(0, 1<<bits-1).Draw(t, "number")))
	})
}

func frames() *rapid.Generator[Frame] {
	return rapid.Custom(func(t *rapid.T) Frame {
		f := Frame{
			Type:    Type(rapid.IntRange(int(Hello), int(Close)).Draw(t, "type")),
			Flags:   Flags(rapid.Byte().Draw(t, "flags")),
			Ack:     numbers(0, MaxSeq).Draw(t, "ack"),
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload"),
		}
		if f.Type.Numbered() {
			f.Seq = numbers(1, MaxSeq).Draw(t, "seq")
		}
		return f
	})
}

func TestFramesComeBackFromABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(frames(), 1, 5).Draw(t, "frames")
		var b []byte
		for _, f := range list {
			b = Append(b, f)
		}
		for _, want := range list {
			got, n, err := Parse(b)
			require.NoError(t, err)
			assert.Equal(t, want.Payload, append([]byte{}, got.Payload...))
			got.Payload, want.Payload = nil, nil
			assert.Equal(t, want, got)
			b = b[n:]
		}
		require.Empty(t, b)
	})
}

func TestEveryPartOfAFrameIsShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Append(nil, frames().Draw(t, "frame"))
		for n := range b {
			_, size, err := Parse(b[:n])
			require.Equal(t, ErrShort, err, "%d of %d bytes", n, len(b))
			require.Zero(t, size)
		}
	})
}

func TestLongestFrame(t *testing.T) {
	f := Frame{Type: Data, Flags: Text | More, Seq: MaxSeq, Ack: MaxSeq, Payload: make([]byte, MaxPayload)}
	b := Append(nil, f)
	assert.Len(t, b, MaxHeader+MaxPayload)
	got, n, err := Parse(b)
	require.NoError(t, err)
	assert.Equal(t, f, got)
	assert.Equal(t, len(b), n)
}

func TestPayloadIsPartOfTheBytes(t *testing.T) {
	b := Append(nil, Frame{Type: Ping, Payload: []byte("abc")})
	f, n, err := Parse(append(b, "rest"...))
	require.NoError(t, err)
	assert.Equal(t, 3, cap(f.Payload), "what follows cannot be overwritten by an append")
	assert.Equal(t, "abc", string(f.Payload))
	assert.Equal(t, len(b), n)
}

func TestMalformedFrames(t *testing.T) {
	head := func(typ Type, flags Flags, rest ...byte) []byte {
		return append([]byte{byte(typ), byte(flags)}, rest...)
	}
	over := binary.AppendUvarint(nil, MaxSeq+1)
	for name, b := range map[string][]byte{
		"DATA without a number":       head(Data, 0, 0, 0, 0),
		"GAP without a number":        head(Gap, 0, 0, 0, 1, 1),
		"CLOSE without a number":      head(Close, 0, 0, 0, 0),
		"ACK with a number":           head(Ack, 0, 1, 0, 0),
		"unknown with a number":       head(99, 0, 1, 0, 0),
		"unknown and critical":        head(99, Critical, 0, 0, 0),
		"type 0 with a number":        head(0, 0, 1, 0, 0),
		"seq over the bound":          append(head(Data, 0), over...),
		"ack over the bound":          append(head(Ping, 0, 0), over...),
		"length over the bound":       append(head(Ping, 0, 0, 0), binary.AppendUvarint(nil, MaxPayload+1)...),
		"seq not minimal":             head(Data, 0, 0x81, 0x00, 0, 0),
		"zero not minimal":            head(Ping, 0, 0x80, 0x00, 0, 0),
		"ack not minimal":             head(Ping, 0, 0, 0x80, 0x80, 0x00, 0),
		"length not minimal":          head(Ping, 0, 0, 0, 0x80, 0x00),
		"seq of more than 64 bits":    append(head(Data, 0), bytes.Repeat([]byte{0xff}, 11)...),
		"length of more than 64 bits": append(head(Ping, 0, 0, 0), bytes.Repeat([]byte{0xff}, 11)...),
	} {
		_, n, err := Parse(b)
		require.ErrorIs(t, err, ErrMalformed, name)
		assert.Zero(t, n, name)
	}
}

func TestUnknownTypesCanBeSkipped(t *testing.T) {
	for _, typ := range []Type{0, Close + 1, 255} {
		b := Append(nil, Frame{Type: typ, Flags: 0x70, Ack: 5, Payload: []byte("later")})
		f, n, err := Parse(b)
		require.NoError(t, err)
		assert.Equal(t, len(b), n)
		assert.False(t, f.Type.Known())
		assert.False(t, f.Type.Numbered())
	}
}

func TestTypeNames(t *testing.T) {
	assert.Equal(t, "HELLO", Hello.String())
	assert.Equal(t, "GOAWAY", GoAway.String())
	assert.Equal(t, "CLOSE", Close.String())
	assert.Equal(t, "frame type 0", Type(0).String())
	assert.Equal(t, "frame type 12", Type(12).String())
}

func TestParseAllocatesNothing(t *testing.T) {
	b := Append(nil, Frame{Type: Data, Seq: 1 << 40, Ack: 1 << 40, Payload: make([]byte, 1000)})
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, err := Parse(b); err != nil {
			t.Error(err)
		}
	}))
}
