//go:build !js

package wslink

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/internal/frame"
)

func TestPeek(t *testing.T) {
	payload := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	long := func(n int) []byte { return append([]byte{0x82, 126, byte(n >> 8), byte(n)}, payload(n)...) }
	longest := append([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, payload(1<<16)...)
	ping := append([]byte{0x89, 3}, payload(3)...)
	masked := append([]byte{0x81, 0x85, 1, 2, 3, 4}, payload(5)...)
	for _, test := range []struct {
		name  string
		data  []byte
		size  int
		whole bool
	}{
		{"nothing", nil, 0, false},
		{"one byte", []byte{0x82}, 0, false},
		{"empty message", []byte{0x81, 0}, 0, true},
		{"short", append([]byte{0x82, 5}, payload(5)...), 5, true},
		{"short, a byte is missing", append([]byte{0x82, 5}, payload(4)...), 5, false},
		{"long", long(300), 300, true},
		{"long, a byte is missing", long(300)[:303], 300, false},
		{"long, of the length a byte is missing", long(300)[:3], 0, false},
		{"longest", longest, 1 << 16, true},
		{"longest, the header alone", longest[:10], 1 << 16, false},
		{"longest, of the length a byte is missing", longest[:9], 0, false},
		{"no such length", []byte{0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255}, 1 << 30, false},
		{"masked", masked, 5, true},
		{"masked, of the key a byte is missing", masked[:5], 0, false},
		{"a fragment", append([]byte{0x02, 5}, payload(5)...), 5, false},
		{"behind a ping", slices.Concat(ping, long(200)), 200, true},
		{"part of a ping", ping[:4], 0, false},
		{"a ping", ping, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &link{}
			l.reader.dec = frame.NewDecoder(false, -1)
			l.reader.data = test.data
			size, whole := l.Peek()
			assert.Equal(t, test.size, size)
			assert.Equal(t, test.whole, whole)
			if len(test.data) > 0 {
				assert.True(t, l.Await(), "it does not wait")
			}
			l.readErr = net.ErrClosed
			_, whole = l.Peek()
			assert.True(t, whole, "an error is at hand")
			assert.True(t, l.Await())
		})
	}
}

func TestWriteSoonDoesNotWaitForAnotherWriter(t *testing.T) {
	l := newLink(clientSide, 0, nil)
	l.writing <- struct{}{}
	n, behind, err := l.WriteSoon(nil)
	assert.Zero(t, n)
	assert.True(t, behind)
	assert.NoError(t, err)
	assert.Len(t, l.writing, 1, "it is still the other's")
}
