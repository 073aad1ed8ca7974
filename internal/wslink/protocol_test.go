//go:build !js

package wslink_test

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// masked is a frame as only a client may send it.
func masked(head byte, payload ...byte) []byte {
	b := frame(head, payload...)
	b[1] |= 0x80
	at := len(b) - len(payload)
	return join(b[:at], []byte{0, 0, 0, 0}, payload)
}

func TestBrokenProtocol(t *testing.T) {
	hello := frame(0x81, []byte("hello")...)
	for _, tt := range []struct {
		name     string
		bytes    []byte
		messages int
		code     uint16
	}{
		{"text that is not UTF-8", join(hello, frame(0x81, 'a', 0xff)), 1, 1007},
		{"a character cut at the end", frame(0x81, 0xe2, 0x82), 0, 1007},
		{"a surrogate", frame(0x81, 0xed, 0xa0, 0x80), 0, 1007},
		{"fragments that are not UTF-8", join(frame(0x01, 'a', 0xc3), frame(0x80, 'b')), 0, 1007},
		{"a reserved bit", join(hello, frame(0xa1, 'x')), 1, 1002},
		{"RSV1 without compression", frame(0xc1, 'x'), 0, 1002},
		{"a reserved bit on a ping", frame(0x99), 0, 1002},
		{"a reserved opcode", frame(0x83, 'x'), 0, 1002},
		{"a reserved control opcode", frame(0x8b), 0, 1002},
		{"a ping that is too long", frame(0x89, make([]byte, 126)...), 0, 1002},
		{"a ping in fragments", join(frame(0x09, 'x'), frame(0x80)), 0, 1002},
		{"a continuation of nothing", join(hello, frame(0x80, 'x')), 1, 1002},
		{"a message inside another", join(frame(0x01, 'x'), frame(0x81, 'y')), 0, 1002},
		{"a close of one byte", frame(0x88, 3), 0, 1002},
		{"a close with a code that is not for the wire", closeFrame(1006, ""), 0, 1002},
		{"a close with code 0", closeFrame(0, ""), 0, 1002},
		{"a masked message", join(hello, masked(0x81, 'x')), 1, 1002},
		{"a masked first frame", masked(0x82), 0, 1002},
		{"a masked ping", join(hello, hello, masked(0x89)), 2, 1002},
		{"a masked close", masked(0x88, 3, 232), 0, 1002},
		{"a masked continuation", join(frame(0x01, 'x'), masked(0x80, 'y')), 0, 1002},
		{"masked behind long frames", join(frame(0x82, make([]byte, 300)...), frame(0x82, make([]byte, 70_000)...), masked(0x82)), 2, 1002},
		{"a negative length", join(hello, []byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}), 1, 1002},
	} {
		for _, chunk := range []int{1, 7, len(tt.bytes)} {
			if chunk == 1 && len(tt.bytes) > 1000 {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				code := make(chan uint16, 1)
				l := dial(t, request(t, rawServer(t, func(w *wire) {
					for b := tt.bytes; len(b) > 0; b = b[min(chunk, len(b)):] {
						w.Write(b[:min(chunk, len(b))])
					}
					code <- w.nextClose()
				})))
				for range tt.messages {
					_, _, err := l.Read(nil)
					require.NoError(t, err)
				}
				_, _, err := l.Read(nil)
				var pe *transport.ProtocolError
				require.ErrorAs(t, err, &pe)
				assert.Equal(t, tt.code, pe.Code)
				assert.Equal(t, tt.code, receive(t, code))
				_, _, again := l.Read(nil)
				assert.Equal(t, err, again)
				require.Error(t, l.Close(testContext(t), 1000, ""))
			})
		}
	}
}

func TestCloseReasonThatIsNotUTF8(t *testing.T) {
	l := dial(t, request(t, rawServer(t, func(w *wire) {
		w.Write(closeFrame(1001, "\xff"))
		w.drain()
	})))
	_, _, err := l.Read(nil)
	var pe *transport.ProtocolError
	require.ErrorAs(t, err, &pe)
	assert.Equal(t, uint16(1007), pe.Code)
}

func TestCorruptCompression(t *testing.T) {
	code := make(chan uint16, 1)
	ln := listen(t, func(c net.Conn) {
		w := answerUpgrade(c, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
		w.Write(frame(0xc2, 0xff, 0xff, 0xff, 0xff))
		code <- w.nextClose()
	})
	r := request(t, "ws://"+ln.Addr().String())
	r.Compression = true
	_, _, err := dial(t, r).Read(nil)
	var pe *transport.ProtocolError
	require.ErrorAs(t, err, &pe)
	assert.Equal(t, uint16(1007), pe.Code)
	assert.Equal(t, uint16(1007), receive(t, code))
}

func TestNegotiation(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		ok           bool
	}{
		{"as asked", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: b\r\n", true},
		{"other case", "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: {}\r\n", true},
		{"wrong accept", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: nonsense\r\n", false},
		{"no upgrade", "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n", false},
		{"no connection", "Upgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n", false},
		{"a subprotocol that was not offered", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: c\r\n", false},
		{"an extension that was not offered", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			closed := make(chan struct{})
			ln := listen(t, func(c net.Conn) {
				defer close(closed)
				w := &wire{Conn: c}
				req := readRequest(w)
				if req == nil {
					return
				}
				c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n" + strings.ReplaceAll(tt.answer, "{}", accept(req)) + "\r\n"))
				w.drain()
			})
			r := request(t, "ws://"+ln.Addr().String()+"/?token=SECRET")
			r.Subprotocols = []string{"a", "b"}
			if tt.ok {
				l := dial(t, r)
				assert.Equal(t, l.Info().Response.Header.Get("Sec-WebSocket-Protocol"), l.Info().Subprotocol)
				return
			}
			te := dialError(t, testContext(t), r)
			assert.Equal(t, transport.PhaseHandshake, te.Phase)
			assert.Equal(t, 101, te.StatusCode)
			assert.NotEmpty(t, te.Header)
			receive(t, closed)
		})
	}
}
