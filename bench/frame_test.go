package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// masked is a frame of a client.
func masked(head byte, payload []byte, key uint32) []byte {
	b := appendHeader(nil, head&0x0f, len(payload))
	b[0] = head
	b[1] |= 0x80
	b = binary.LittleEndian.AppendUint32(b, key)
	for i, v := range payload {
		b = append(b, v^byte(key>>(8*(i&3))))
	}
	return b
}

func TestFrames(t *testing.T) {
	const key = 0x8badf00d
	whole, large := payloads(1000)[0], payloads(70000)[0]
	stream := masked(0x80|opBinary, []byte("short"), key)
	stream = append(stream, masked(0x80|opBinary, whole, key)...)
	stream = append(stream, masked(opBinary, large[:7], key)...)
	stream = append(stream, masked(0x80|opPing, []byte("ping"), key)...)
	stream = append(stream, masked(opContinuation, large[7:66000], 0)...)
	stream = append(stream, masked(0x80|opContinuation, large[66000:], key+1)...)
	stream = append(stream, appendFrame(nil, opBinary, large)...)
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream))} {
		t.Run(name, func(t *testing.T) {
			f := newFrameReader(r, 70<<10+100)
			for _, want := range []struct {
				op      byte
				payload []byte
			}{{opBinary, []byte("short")}, {opBinary, whole}, {opPing, []byte("ping")}, {opBinary, large}, {opBinary, large}} {
				op, payload, key, err := f.next()
				require.NoError(t, err)
				assert.Equal(t, checksum(want.payload, 0), checksum(payload, key))
				unmask(payload, key)
				assert.Equal(t, want.op, op)
				assert.Equal(t, want.payload, payload)
			}
			_, _, _, err := f.next()
			assert.ErrorIs(t, err, io.EOF)
		})
	}
	_, _, _, err := newFrameReader(bytes.NewReader(appendFrame(nil, opBinary, large)), 1000).next()
	assert.ErrorIs(t, err, errFrame)
}

func TestChecksumOfWhatWasChanged(t *testing.T) {
	for n := range 100 {
		p := make([]byte, n)
		want := checksum(p, 0)
		require.NotEqual(t, want, checksum(append(bytes.Clone(p), 0), 0), "%d bytes and one", n)
		for i := range p {
			for bit := range 8 {
				p[i] ^= 1 << bit
				require.NotEqual(t, want, checksum(p, 0), "bit %d of byte %d of %d", bit, i, n)
				p[i] ^= 1 << bit
			}
		}
	}
	p := payloads(1 << 10)[0]
	for i := range 127 { // words change places
		q := bytes.Clone(p)
		copy(q[8*i:], p[8*i+8:8*i+16])
		copy(q[8*i+8:], p[8*i:8*i+8])
		require.NotEqual(t, checksum(p, 0), checksum(q, 0), "words %d and %d", i, i+1)
	}
}

func TestTally(t *testing.T) {
	all := payloads(16)
	var got tally
	for i := range 10 {
		got.add(checksum(all[(60+i)%len(all)], 0))
	}
	assert.Equal(t, expect(all, 60, 10), got)
	again, ok := parseTally(got.append(nil))
	assert.True(t, ok)
	assert.Equal(t, got, again)
	_, ok = parseTally(nil)
	assert.False(t, ok)
}
