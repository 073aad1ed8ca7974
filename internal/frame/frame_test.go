package frame

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// event is what a decoder told.
type event struct {
	ev   Event
	kind byte
	data string
}

// decode feeds b in chunks of the sizes that next gives, and fills messages
// straight where it can if direct is set.
func decode(d *Decoder, b []byte, next func() int, direct bool) (events []event, err error) {
	var dst []byte
	for len(b) > 0 {
		chunk := b[:min(len(b), max(1, next()))]
		b = b[len(chunk):]
		for {
			var ev Event
			if p := int(min(d.Pending(), int64(len(chunk)))); direct && p > 0 {
				start := len(dst)
				dst = append(d.Room(dst, p), chunk[:p]...)
				chunk = chunk[p:]
				ev, err = d.Took(dst[start:])
			} else {
				var n int
				dst, n, ev, err = d.Decode(dst, chunk)
				chunk = chunk[n:]
			}
			if err != nil {
				return events, err
			}
			switch ev {
			case Message:
				events = append(events, event{ev, d.MessageType(), string(dst)})
				dst = dst[:0]
			case GotPing, GotPong, GotClose:
				events = append(events, event{ev, 0, string(d.Control())})
			}
			if len(chunk) == 0 {
				break
			}
		}
	}
	return events, nil
}

func whole(b []byte) func() int { return func() int { return len(b) } }

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		e := Encoder{Mask: seed%2 == 0}
		var b []byte
		var want []event
		control := func() {
			p := make([]byte, r.IntN(MaxControl+1))
			switch r.IntN(4) {
			case 0:
				b = e.Append(b, Fin|Ping, p)
				want = append(want, event{GotPing, 0, string(p)})
			case 1:
				b = e.Append(b, Fin|Pong, p)
				want = append(want, event{GotPong, 0, string(p)})
			}
		}
		for range 10 {
			kind, text := byte(Binary), bytes.Repeat([]byte("a£€😀"), r.IntN(20))
			if r.IntN(2) == 0 {
				kind = Text
			} else {
				text = append(text, 0xff)
			}
			if r.IntN(10) == 0 {
				text = bytes.Repeat([]byte("xyz"), 30_000)
			}
			op := kind
			for rest := text; ; op = Continuation {
				n := r.IntN(len(rest) + 1)
				last := r.IntN(3) == 0
				first := op
				if last {
					n, first = len(rest), op|Fin
				}
				b = e.Begin(b, first, n)
				if b = e.Continue(b, rest[:n/3]); n > 0 {
					b = e.Continue(b, rest[n/3:n])
				}
				if rest = rest[n:]; last {
					break
				}
				control()
			}
			want = append(want, event{Message, kind, string(text)})
			control()
		}
		b = e.Append(b, Fin|Close, []byte{3, 232, 'b'})
		want = append(want, event{GotClose, 0, "\x03\xe8b"})
		for name, next := range map[string]func() int{
			"whole": whole(b), "bytes": func() int { return 1 }, "random": func() int { return r.IntN(200) },
		} {
			for _, direct := range []bool{false, true} {
				d := NewDecoder(e.Mask, -1)
				got, err := decode(&d, b, next, direct)
				require.NoError(t, err)
				require.Equal(t, want, got, "seed %d, %s", seed, name)
				assert.True(t, d.Between())
			}
		}
	}
}

func TestMaskingKeysAreUsedOnce(t *testing.T) {
	e := Encoder{Mask: true}
	seen := map[uint32]bool{}
	var b []byte
	for range 2000 {
		b = e.Append(b[:0], Fin|Binary, nil)
		seen[binary.LittleEndian.Uint32(b[2:])] = true
	}
	assert.Greater(t, len(seen), 1990)
}

func TestHeaders(t *testing.T) {
	for n, want := range map[int]string{
		0: "\x82\x00", 125: "\x82\x7d", 126: "\x82\x7e\x00\x7e", 0xffff: "\x82\x7e\xff\xff",
		0x10000: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		var e Encoder
		assert.Equal(t, want, string(e.Begin(nil, Fin|Binary, n)))
		e.Mask = true
		b := e.Begin(nil, Fin|Binary, n)
		assert.Len(t, b, len(want)+4)
		assert.Equal(t, want[1]|0x80, b[1])
	}
}

// A fault is found with the byte that shows it, and what stands before it is
// delivered.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		client bool
		bytes  string // the last one shows it
		want   *Fault
	}{
		{"RSV1", false, "\xc1", ErrReserved},
		{"RSV2", false, "\xa1", ErrReserved},
		{"RSV3 on a ping", false, "\x99", ErrReserved},
		{"opcode 3", false, "\x83", ErrOpcode},
		{"opcode 7", false, "\x87", ErrOpcode},
		{"opcode 11", false, "\x8b", ErrOpcode},
		{"opcode 15", false, "\x8f", ErrOpcode},
		{"a ping in fragments", false, "\x09", ErrFragmented},
		{"a continuation of nothing", false, "\x80", ErrNothing},
		{"a message inside another", false, "\x01\x00\x81", ErrInside},
		{"masked", false, "\x81\x80", ErrMasked},
		{"unmasked", true, "\x81\x00", ErrUnmasked},
		{"a long ping", false, "\x89\x7e\x00\x7e", ErrControlSize},
		{"a ping with a long length", false, "\x89\x7e\x00\x7d", ErrNotShortest},
		{"2^63", false, "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", ErrLength},
		{"125 in two bytes", false, "\x82\x7e\x00\x7d", ErrNotShortest},
		{"65535 in eight bytes", true, "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", ErrNotShortest},
		{"over the limit", false, "\x82\x7e\x03\xe9", ErrTooBig},
		{"fragments over the limit", false, "\x02\x01x\x80\x7e\x03\xe8", ErrTooBig},
		{"far over the limit", false, "\x02\x01x\x80\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", ErrTooBig},
		{"a byte that never is UTF-8", false, "\x01\x05a\xff", ErrNotUTF8},
		{"a surrogate", false, "\x01\x05\xed\xa0", ErrNotUTF8},
		{"over U+10FFFF", false, "\x81\x05\xf4\x90", ErrNotUTF8},
		{"a character cut by the end", false, "\x81\x02\xe2\x82", ErrNotUTF8},
		{"a character cut by an empty end", false, "\x01\x02\xe2\x82\x80\x00", ErrNotUTF8},
		{"a character spoiled by the next fragment", false, "\x01\x02\xe2\x82\x80\x05a", ErrNotUTF8},
		{"a close of one byte", false, "\x88\x01\x03", ErrCloseSize},
		{"a close with 1005", false, "\x88\x02\x03\xed", ErrCloseCode},
		{"a close with 1016", false, "\x88\x02\x03\xf8", ErrCloseCode},
		{"a close with 2999", false, "\x88\x02\x0b\xb7", ErrCloseCode},
		{"a close reason", false, "\x88\x03\x03\xe8\xff", ErrReason},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := Encoder{Mask: tt.client}
			b := append(before.Append(nil, Fin|Text, []byte("before")), tt.bytes...)
			for _, size := range []int{1, len(b)} {
				d := NewDecoder(tt.client, 1000)
				got, err := decode(&d, b[:len(b)-1], func() int { return size }, false)
				require.NoError(t, err)
				assert.Equal(t, []event{{Message, Text, "before"}}, got)
				_, err = decode(&d, b[len(b)-1:], whole(b), false)
				assert.Equal(t, tt.want, err)

				d = NewDecoder(tt.client, 1000)
				got, err = decode(&d, append(b, "behind"...), whole(b), false)
				assert.Equal(t, tt.want, err)
				assert.Equal(t, []event{{Message, Text, "before"}}, got)
			}
		})
	}
}

func TestTheLimitIsOfTheMessage(t *testing.T) {
	var e Encoder
	b := e.Append(nil, Fin|Binary, make([]byte, 1000))
	b = e.Append(b, Binary, make([]byte, 600))
	b = e.Append(b, Fin|Ping, make([]byte, 100))
	b = e.Append(b, Continuation, make([]byte, 400))
	b = e.Append(b, Fin|Continuation, nil)
	d := NewDecoder(false, 1000)
	got, err := decode(&d, b, whole(b), false)
	require.NoError(t, err)
	assert.Len(t, got, 3)
	b = e.Append(nil, Fin|Binary, []byte{1})
	d = NewDecoder(false, 0)
	_, err = decode(&d, b, whole(b), false)
	assert.Equal(t, ErrTooBig, err)
}

// A header alone does not make the decoder allocate what it promises.
func TestPromisesAreNotTrusted(t *testing.T) {
	var e Encoder
	d := NewDecoder(false, -1)
	dst, _, _, err := d.Decode(nil, []byte("\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00x"))
	require.NoError(t, err)
	assert.Equal(t, "x", string(dst))
	assert.LessOrEqual(t, cap(dst), 128<<10)
	assert.EqualValues(t, int64(1)<<40-1, d.Pending())
	d = NewDecoder(false, -1)
	dst, _, _, err = d.Decode(nil, e.Append(nil, Fin|Binary, make([]byte, 1000)))
	require.NoError(t, err)
	assert.Less(t, cap(dst), 1100, "what has come is allocated as it is")
}

func TestClosed(t *testing.T) {
	code, reason := Closed(nil)
	assert.EqualValues(t, 1005, code)
	assert.Empty(t, reason)
	code, reason = Closed([]byte{3, 233, 'x'})
	assert.EqualValues(t, 1001, code)
	assert.Equal(t, "x", reason)
}

// Any bytes give the same in chunks of any size.
func FuzzChunks(f *testing.F) {
	f.Add(false, []byte("\x01\x02\xe2\x82\x89\x01p\x80\x01\xac\x88\x03\x03\xe8x"), []byte{0, 3})
	f.Add(true, []byte("\x81\xfe\x00\x7e\x01\x02\x03\x04"), []byte{1})
	f.Fuzz(func(t *testing.T, client bool, b, sizes []byte) {
		at := 0
		next := func() int {
			if len(sizes) == 0 {
				return 1
			}
			at++
			return int(sizes[at%len(sizes)])
		}
		d := NewDecoder(client, 1000)
		want, wantErr := decode(&d, b, whole(b), false)
		for _, direct := range []bool{false, true} {
			d = NewDecoder(client, 1000)
			got, err := decode(&d, b, next, direct)
			assert.Equal(t, want, got)
			assert.Equal(t, wantErr, err)
		}
	})
}
