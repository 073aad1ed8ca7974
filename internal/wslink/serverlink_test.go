//go:build !js

package wslink_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// client is the client's end of a link, byte by byte.
type client struct {
	net.Conn
	br *bufio.Reader
}

// shake asks for the upgrade with more header lines, and sends first in the
// same segment.
func shake(t *testing.T, conn net.Conn, header string, first []byte) *client {
	t.Helper()
	ask := "GET / HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + header + "\r\n"
	_, err := conn.Write(append([]byte(ask), first...))
	require.NoError(t, err)
	c := &client{Conn: conn, br: bufio.NewReader(conn)}
	resp, err := http.ReadResponse(c.br, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	return c
}

func connect(t *testing.T, url, header string, first []byte) *client {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return shake(t, conn, header, first)
}

// next reads a frame of the server's.
func (c *client) next() (frameIn, error) {
	var h [2]byte
	if _, err := io.ReadFull(c.br, h[:]); err != nil {
		return frameIn{}, err
	}
	n := uint64(h[1])
	var ext [8]byte
	switch {
	case h[1]&0x80 != 0:
		return frameIn{}, errors.New("masked")
	case n == 126:
		io.ReadFull(c.br, ext[6:])
		n = binary.BigEndian.Uint64(ext[:])
	case n == 127:
		io.ReadFull(c.br, ext[:])
		n = binary.BigEndian.Uint64(ext[:])
	}
	p := make([]byte, n)
	_, err := io.ReadFull(c.br, p)
	return frameIn{h[0], p}, err
}

// maskedBy is a frame of the client's.
func maskedBy(key [4]byte, head byte, payload ...byte) []byte {
	b := masked(head, payload...)
	at := len(b) - len(payload)
	copy(b[at-4:], key[:])
	for i := range payload {
		b[at+i] ^= key[i%4]
	}
	return b
}

// ours is a frame of a client that keeps to the rules.
func ours(head byte, payload ...byte) []byte {
	return maskedBy([4]byte{0x5a, 0xff, 0, 0x81}, head, payload...)
}

func ourClose(code uint16, reason string) []byte {
	return ours(0x88, append(binary.BigEndian.AppendUint16(nil, code), reason...)...)
}

// reading serves what Read gives, until its error.
func reading(t *testing.T, o *wslink.AcceptOptions) (url string, read <-chan transport.Message, ended <-chan error) {
	messages, errs := make(chan transport.Message, 100), make(chan error, 1)
	return httpServer(t, accepting(t, o, func(l transport.Link) {
		for {
			typ, data, err := l.Read(nil)
			if err != nil {
				_, _, again := l.Read(nil)
				assert.Equal(t, err, again)
				errs <- err
				return
			}
			messages <- transport.Message{Type: typ, Data: data}
		}
	})), messages, errs
}

func TestBrokenProtocolOfAClient(t *testing.T) {
	hello := ours(0x81, []byte("hello")...)
	long := append(bytes.Repeat([]byte{'a'}, 125), 0)[:125]
	url, read, ended := reading(t, &wslink.AcceptOptions{WriteTimeout: patience})
	for _, tt := range []struct {
		name     string
		bytes    []byte
		messages int
		code     uint16
	}{
		{"an unmasked message", join(hello, frame(0x81, 'x')), 1, 1002},
		{"an unmasked first frame", frame(0x82), 0, 1002},
		{"an unmasked ping", join(hello, hello, frame(0x89)), 2, 1002},
		{"an unmasked close", closeFrame(1000, ""), 0, 1002},
		{"an unmasked continuation", join(ours(0x01, 'x'), frame(0x80, 'y')), 0, 1002},
		{"unmasked behind long frames", join(ours(0x82, make([]byte, 300)...), ours(0x82, make([]byte, 70_000)...), frame(0x82)), 2, 1002},
		{"text that is not UTF-8", join(hello, ours(0x81, 'a', 0xff)), 1, 1007},
		{"fragments that are not UTF-8", join(ours(0x01, 'a', 0xc3), ours(0x80, 'b')), 0, 1007},
		{"a close reason that is not UTF-8", ourClose(1001, "ab\xff"), 0, 1007},
		{"a long one", ourClose(1001, string(long[:121])+"\xc3"), 0, 1007},
		{"RSV1 without compression", ours(0xc1, 'x'), 0, 1002},
		{"a reserved opcode", ours(0x83, 'x'), 0, 1002},
		{"a ping that is too long", ours(0x89, make([]byte, 126)...), 0, 1002},
		{"a ping in fragments", join(ours(0x09, 'x'), ours(0x80)), 0, 1002},
		{"a continuation of nothing", join(hello, ours(0x80, 'x')), 1, 1002},
		{"a message inside another", join(ours(0x01, 'x'), ours(0x81, 'y')), 0, 1002},
		{"a close of one byte", ours(0x88, 3), 0, 1002},
		{"a close with a code that is not for the wire", ourClose(1006, ""), 0, 1002},
		{"a negative length", join(hello, []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}), 1, 1002},
	} {
		for _, chunk := range []int{1, 7, len(tt.bytes)} {
			if chunk < len(tt.bytes) && len(tt.bytes) > 1000 {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				c := connect(t, url, "", nil)
				for b := tt.bytes; len(b) > 0; b = b[min(chunk, len(b)):] {
					c.Write(b[:min(chunk, len(b))])
				}
				for range tt.messages {
					receive(t, read)
				}
				var pe *transport.ProtocolError
				require.ErrorAs(t, receive(t, ended), &pe)
				assert.Equal(t, tt.code, pe.Code)
				f, err := c.next()
				require.NoError(t, err)
				assert.Equal(t, byte(0x88), f.head)
				require.GreaterOrEqual(t, len(f.payload), 2)
				assert.Equal(t, tt.code, binary.BigEndian.Uint16(f.payload))
			})
		}
	}
}

func TestFragmentsOfAClient(t *testing.T) {
	url, read, ended := reading(t, nil)
	c := connect(t, url, "", nil)
	c.Write(join(ours(0x01, 'a', 0xc3), ours(0x89, []byte("ping")...), ours(0x00), ours(0x8a, []byte("a pong")...), ours(0x80, 0xa9, 'z')))
	assert.Equal(t, transport.Message{Type: transport.Text, Data: []byte("aéz")}, receive(t, read))
	f, err := c.next()
	require.NoError(t, err)
	assert.Equal(t, frameIn{0x8a, []byte("ping")}, f)
	c.Write(join(ours(0x02, 1), ours(0x88)))
	assert.Equal(t, &transport.CloseError{Code: 1005}, receive(t, ended))
}

// A client that does not wait for the answer to its handshake.
func TestMessagesBehindTheRequest(t *testing.T) {
	url, read, ended := reading(t, nil)
	c := connect(t, url, "", join(ours(0x82, 'x'), ours(0x82, make([]byte, 10_000)...), ours(0x82, 'y')))
	assert.Equal(t, "x", string(receive(t, read).Data))
	assert.Len(t, receive(t, read).Data, 10_000)
	assert.Equal(t, "y", string(receive(t, read).Data))
	c.Close()
	require.ErrorIs(t, receive(t, ended), io.EOF)

	c = connect(t, url, "", join(ours(0x82, 'x'), frame(0x82, 'y')))
	assert.Equal(t, "x", string(receive(t, read).Data))
	var pe *transport.ProtocolError
	require.ErrorAs(t, receive(t, ended), &pe, "they are looked at like any other")
	c.Close()
}

func TestMessageOfAClientTooBig(t *testing.T) {
	for _, tt := range []struct {
		name  string
		o     wslink.AcceptOptions
		limit int
	}{
		{"a limit", wslink.AcceptOptions{MaxMessageSize: 1000}, 1000},
		{"a session", wslink.AcceptOptions{Session: true, MaxMessageSize: 10}, 256 << 10},
	} {
		for _, deflated := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				tt.o.Compression = deflated
				url, read, ended := reading(t, &tt.o)
				c := connect(t, url, "Sec-WebSocket-Extensions: permessage-deflate\r\n", nil)
				send := func(n int) {
					if deflated {
						c.Write(ours(0xc2, deflate(n)...))
					} else {
						c.Write(ours(0x82, make([]byte, n)...))
					}
				}
				send(tt.limit)
				assert.Len(t, receive(t, read).Data, tt.limit)
				send(tt.limit + 1)
				require.ErrorIs(t, receive(t, ended), transport.ErrMessageTooBig)
				f, err := c.next()
				require.NoError(t, err)
				assert.Equal(t, byte(0x88), f.head)
				assert.Equal(t, uint16(1009), binary.BigEndian.Uint16(f.payload))
			})
		}
	}
	url, read, _ := reading(t, nil)
	c := connect(t, url, "", nil)
	c.Write(ours(0x82, make([]byte, 1<<20)...))
	assert.Len(t, receive(t, read).Data, 1<<20, "no limit")
	c.Write(ours(0x88))
	_, err := c.next()
	require.NoError(t, err)
}

// deflate is n zeros, compressed as RFC 7692 wants it.
func deflate(n int) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(make([]byte, n))
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func TestControlFramesOfAServer(t *testing.T) {
	pongs := make(chan uint64, 10)
	ended := make(chan error, 1)
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{OnPong: func(id uint64) { pongs <- id }}, func(l transport.Link) {
		assert.NoError(t, l.Ping(1<<63+9))
		_, _, err := l.Read(nil)
		ended <- err
	}))
	c := connect(t, url, "", nil)
	f, err := c.next()
	require.NoError(t, err)
	assert.Equal(t, frameIn{0x89, binary.BigEndian.AppendUint64(nil, 1<<63+9)}, f, "unmasked")
	c.Write(join(ours(0x8a), ours(0x8a, f.payload...), ours(0x89, []byte("ping")...)))
	assert.Equal(t, uint64(1<<63+9), receive(t, pongs))
	f, err = c.next()
	require.NoError(t, err)
	assert.Equal(t, frameIn{0x8a, []byte("ping")}, f)
	c.Write(ourClose(4000, "own"))
	assert.Equal(t, &transport.CloseError{Code: 4000, Reason: "own"}, receive(t, ended))
	f, err = c.next()
	require.NoError(t, err)
	assert.Equal(t, closeFrame(4000, "own")[2:], f.payload)
	_, err = c.br.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the server ends the connection")
	assert.Empty(t, pongs)
}

func TestCloseByTheServer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer []byte
		ok     bool
	}{
		{"answered", ourClose(1001, ""), true},
		{"answered without a code", ours(0x88), true},
		{"crossed", ourClose(1000, ""), false},
		{"unmasked", closeFrame(1001, ""), false},
		{"gone", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			closed := make(chan error, 1)
			url := httpServer(t, accepting(t, nil, func(l transport.Link) {
				read := make(chan struct{})
				go func() {
					defer close(read)
					for {
						if _, _, err := l.Read(nil); err != nil {
							return
						}
					}
				}()
				closed <- l.Close(testContext(t), 1001, "bye")
				<-read
			}))
			c := connect(t, url, "", nil)
			f, err := c.next()
			require.NoError(t, err)
			assert.Equal(t, frameIn{0x88, closeFrame(1001, "bye")[2:]}, f)
			c.Write(join(ours(0x82, 'x'), tt.answer))
			if tt.answer == nil {
				c.Close()
			}
			if err := receive(t, closed); tt.ok {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
			if tt.answer != nil {
				_, err = c.next()
				require.Error(t, err, "one close frame is enough")
			}
		})
	}
}

func TestServersLinksAreCollected(t *testing.T) {
	infos := make(chan weak.Pointer[transport.Info], 1)
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{Compression: true}, func(l transport.Link) {
		defer func() { infos <- weak.Make(l.Info()) }()
		echoLink(l)
		l.Abort()
	}))
	r := request(t, url)
	r.Compression = true
	l := dial(t, r)
	_, err := l.Write([]transport.Message{{Type: transport.Text, Data: make([]byte, 10_000)}})
	require.NoError(t, err)
	_, _, err = l.Read(nil)
	require.NoError(t, err)
	l.Abort()
	info := receive(t, infos)
	assert.Eventually(t, func() bool {
		runtime.GC()
		return info.Value() == nil
	}, patience, 1)
}

func TestManyServerCyclesLeaveNothing(t *testing.T) {
	served := make(chan struct{}, 1)
	n := 0
	url := httpServer(t, accepting(t, nil, func(l transport.Link) {
		defer func() { served <- struct{}{} }()
		switch n % 3 {
		case 0:
			echoLink(l)
		case 1:
			readOn(l)
			assert.NoError(t, l.Close(testContext(t), 1000, ""))
		case 2:
			l.Abort()
		}
	}))
	before := goleak.IgnoreCurrent()
	for n = range 90 {
		l, err := wslink.New().Dial(testContext(t), request(t, url))
		require.NoError(t, err)
		if n%3 == 0 {
			readOn(l)
			require.NoError(t, l.Close(testContext(t), 1000, ""))
		} else {
			_, _, err = l.Read(nil)
			require.Error(t, err)
			l.Abort()
		}
		receive(t, served)
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).serve"))
}
