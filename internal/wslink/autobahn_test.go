//go:build !js

package wslink_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// The cases of the Autobahn test suite, under its numbers: a peer that sends
// what is right and what is not, and expects an echo, pongs and closes.

// piece is one frame of a case.
type piece struct {
	head    byte
	payload []byte
}

// more makes a case end inside its last frame, of which as many bytes are missing.
const more = 100

// autobahnCase is what the peer sends and what has to come of it.
type autobahnCase struct {
	name string
	send []piece
	chop int // bytes a write; 0 for all in one

	echoed []piece // messages echoed and pongs, in order
	code   uint16  // the link's close frame
	fails  bool    // the peer has broken the protocol
	cut    bool    // the last frame stays without its last more bytes
}

// bytesOf is a case's stream; build makes a frame of the peer's side.
func (c *autobahnCase) bytesOf(build func(head byte, payload ...byte) []byte) (b []byte) {
	for _, p := range c.send {
		b = append(b, build(p.head, p.payload...)...)
	}
	if c.cut {
		b = b[:len(b)-more]
	}
	return b
}

// run sends the case to a link that echoes, and compares what comes of it.
// ended gives the link's end.
func (c *autobahnCase) run(t *testing.T, peer io.Writer, b []byte, next func() (frameIn, error), ended <-chan error) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		chop := c.chop
		if chop == 0 {
			chop = len(b)
		}
		for len(b) > 0 {
			n := min(chop, len(b))
			if _, err := peer.Write(b[:n]); err != nil {
				return // the link has seen enough
			}
			b = b[n:]
		}
	}()
	var got []frameIn
	for {
		f, err := next()
		require.NoError(t, err, "before the close frame")
		got = append(got, f)
		if f.head == 0x88 {
			break
		}
	}
	before, code := closeCode(got)
	assert.Equal(t, int(c.code), int(code))
	if assert.Len(t, before, len(c.echoed)) {
		for i, want := range c.echoed {
			assert.Equal(t, want.head, before[i].head)
			assert.True(t, bytes.Equal(want.payload, before[i].payload), "payload %d", i)
		}
	}
	err := receive(t, ended)
	var ce *transport.CloseError
	var pe *transport.ProtocolError
	if c.fails {
		require.ErrorAs(t, err, &pe)
		assert.Equal(t, int(c.code), int(pe.Code))
	} else {
		require.ErrorAs(t, err, &ce)
		assert.Equal(t, int(c.code), int(ce.Code))
	}
	<-sent
}

// echoUntil echoes and returns why reading ended.
func echoUntil(l transport.Link) error {
	for {
		typ, data, err := l.Read(nil)
		if err != nil {
			return err
		}
		if _, err := l.Write([]transport.Message{{Type: typ, Data: data}}); err != nil {
			return err
		}
	}
}

func TestAutobahnClient(t *testing.T) {
	for _, c := range autobahn() {
		t.Run(c.name, func(t *testing.T) {
			ended, wires, hold := make(chan error, 1), make(chan *wire), make(chan struct{})
			defer close(hold)
			l := dial(t, request(t, rawServer(t, func(w *wire) {
				wires <- w
				<-hold
			})))
			go func() { ended <- echoUntil(l) }()
			w := receive(t, wires)
			c.run(t, w, c.bytesOf(frame), w.next, ended)
		})
	}
}

func TestAutobahnServer(t *testing.T) {
	ended, hold := make(chan error, 1), make(chan struct{})
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{WriteTimeout: patience}, func(l transport.Link) {
		ended <- echoUntil(l)
		<-hold
	}))
	for _, c := range autobahn() {
		t.Run(c.name, func(t *testing.T) {
			defer func() { hold <- struct{}{} }()
			conn := connect(t, url, "", nil)
			c.run(t, conn, c.bytesOf(ours), conn.next, ended)
		})
	}
}

// 12 and 13: compressed messages of many sizes, with and without contexts.
func TestAutobahnCompression(t *testing.T) {
	for mode, name := range map[websocket.CompressionMode]string{websocket.CompressionContextTakeover: "12", websocket.CompressionNoContextTakeover: "13"} {
		url := httpServer(t, echo(&websocket.AcceptOptions{CompressionMode: mode}))
		for i, size := range []int{16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
			t.Run(fmt.Sprintf("%s.1.%d", name, i+1), func(t *testing.T) {
				r := request(t, url)
				r.Compression = true
				l := dial(t, r)
				require.NotEmpty(t, l.Info().Response.Header.Get("Sec-WebSocket-Extensions"))
				for n := range 6 {
					m := transport.Message{Type: transport.Binary, Data: randomBytes(size)}
					if n%2 == 0 {
						m = transport.Message{Type: transport.Text, Data: bytes.Repeat([]byte("a£€😀z"), size/12+1)}
					}
					sent := make(chan error, 1)
					go func() {
						_, err := l.Write([]transport.Message{m})
						sent <- err
					}()
					typ, data, err := l.Read(nil)
					require.NoError(t, err)
					require.NoError(t, receive(t, sent))
					assert.Equal(t, m.Type, typ)
					require.True(t, bytes.Equal(m.Data, data))
				}
			})
		}
	}
}

func stars(n int) []byte { return bytes.Repeat([]byte{'*'}, n) }

func some(head byte, payload string) piece { return piece{head, []byte(payload)} }

// each is p as frames of n bytes of payload: a message in fragments.
func each(opcode byte, p []byte, n int) (frames []piece) {
	for {
		k := min(n, len(p))
		head := opcode
		if k == len(p) {
			head |= 0x80
		}
		frames = append(frames, piece{head, p[:k]})
		if p, opcode = p[k:], 0; len(p) == 0 {
			return frames
		}
	}
}

var normalClose = piece{0x88, []byte{3, 232}}

// ok is a case in which all is echoed and the peer closes.
func ok(name string, chop int, send, echoed []piece) autobahnCase {
	return autobahnCase{name: name, chop: chop, send: append(slices.Clip(send), normalClose), echoed: echoed, code: 1000}
}

// fails is a case that ends with code, after what is echoed.
func fails(name string, chop int, code uint16, echoed []piece, send ...piece) autobahnCase {
	return autobahnCase{name: name, chop: chop, send: send, echoed: echoed, code: code, fails: true}
}

func closing(code uint16, reason string) piece {
	return piece{0x88, closeFrame(code, reason)[2:]}
}

func autobahn() (cases []autobahnCase) {
	add := func(c ...autobahnCase) { cases = append(cases, c...) }
	one := func(p piece) []piece { return []piece{p} }
	text, binary := byte(0x81), byte(0x82)

	// 1: framing
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
		chop := 0
		if i == 7 {
			chop = 997
		}
		p := piece{text, stars(n)}
		add(ok(fmt.Sprintf("1.1.%d", i+1), chop, one(p), one(p)))
		p = piece{binary, bytes.Repeat([]byte{0xfe}, n)}
		add(ok(fmt.Sprintf("1.2.%d", i+1), chop, one(p), one(p)))
	}

	// 2: pings and pongs
	ping := func(p string) piece { return some(0x89, p) }
	pong := func(p string) piece { return some(0x8a, p) }
	long := strings.Repeat("\xfe", 125)
	add(
		ok("2.1", 0, one(ping("")), one(pong(""))),
		ok("2.2", 0, one(ping("Hello, world!")), one(pong("Hello, world!"))),
		ok("2.3", 0, one(ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), one(pong("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"))),
		ok("2.4", 0, one(ping(long)), one(pong(long))),
		fails("2.5", 0, 1002, nil, ping(long+"\xfe")),
		ok("2.6", 1, one(ping(long)), one(pong(long))),
		ok("2.7", 0, one(pong("")), nil),
		ok("2.8", 0, one(pong("unsolicited pong payload")), nil),
		ok("2.9", 0, []piece{pong("unsolicited pong payload"), ping("ping payload")}, one(pong("ping payload"))),
	)
	var tens, back []piece
	for i := range 10 {
		tens, back = append(tens, ping(fmt.Sprint("payload-", i))), append(back, pong(fmt.Sprint("payload-", i)))
	}
	add(ok("2.10", 0, tens, back), ok("2.11", 1, tens, back))

	// 3: reserved bits
	hello, echo := some(text, "Hello, world!"), some(text, "Hello, world!")
	add(
		fails("3.1", 0, 1002, nil, some(0xc1, "Hello, world!")),
		fails("3.2", 0, 1002, one(echo), hello, some(0xa1, "Hello, world!"), ping("")),
		fails("3.3", 0, 1002, one(echo), hello, some(0xb1, "Hello, world!"), ping("")),
		fails("3.4", 1, 1002, one(echo), hello, some(0xc1, "Hello, world!"), ping("")),
		fails("3.5", 0, 1002, nil, some(0xd2, "\x00\xff\xfe\xfd")),
		fails("3.6", 0, 1002, nil, some(0xe9, "Hello, world!")),
		fails("3.7", 0, 1002, nil, piece{0xf8, []byte{3, 232}}),
	)

	// 4: opcodes
	for i, op := range []byte{3, 4, 5, 6, 7} {
		switch i {
		case 0:
			add(fails("4.1.1", 0, 1002, nil, some(0x80|op, "")))
		case 1:
			add(fails("4.1.2", 0, 1002, nil, some(0x80|op, "reserved opcode payload")))
		default:
			add(fails(fmt.Sprintf("4.1.%d", i+1), i-2, 1002, one(echo), hello, some(0x80|op, ""), ping("")))
		}
		op += 8
		switch i {
		case 0:
			add(fails("4.2.1", 0, 1002, nil, some(0x80|op, "")))
		case 1:
			add(fails("4.2.2", 0, 1002, nil, some(0x80|op, "reserved opcode payload")))
		default:
			add(fails(fmt.Sprintf("4.2.%d", i+1), i-2, 1002, one(echo), hello, some(0x80|op, ""), ping("")))
		}
	}

	// 5: fragmentation
	f1, f2 := some(0x01, "fragment1"), some(0x80, "fragment2")
	both := some(text, "fragment1fragment2")
	add(
		fails("5.1", 0, 1002, nil, some(0x09, "fragment1"), f2),
		fails("5.2", 0, 1002, nil, some(0x0a, "fragment1"), f2),
		ok("5.3", 0, []piece{f1, f2}, one(both)),
		ok("5.4", 11, []piece{f1, f2}, one(both)),
		ok("5.5", 1, []piece{f1, f2}, one(both)),
		ok("5.6", 0, []piece{f1, ping("ping payload"), f2}, []piece{pong("ping payload"), both}),
		ok("5.7", 11, []piece{f1, ping("ping payload"), f2}, []piece{pong("ping payload"), both}),
		ok("5.8", 1, []piece{f1, ping("ping payload"), f2}, []piece{pong("ping payload"), both}),
	)
	for i, first := range []byte{0x80, 0x80, 0x80, 0x00, 0x00, 0x00} {
		add(fails(fmt.Sprintf("5.%d", 9+i), []int{0, 11, 1}[i%3], 1002, nil, some(first, "non-continuation payload"), hello))
	}
	f3, f4 := some(0x01, "fragment3"), some(0x80, "fragment4")
	add(
		fails("5.15", 0, 1002, one(both), f1, f2, some(0x00, "fragment3"), some(text, "fragment4")),
		fails("5.16", 0, 1002, nil, some(0x00, "fragment1"), f3, some(0x80, "fragment2"), some(0x00, "fragment1"), f3, f4),
		fails("5.17", 0, 1002, nil, some(0x80, "fragment1"), f3, some(0x80, "fragment2"), some(0x80, "fragment1"), f3, f4),
		fails("5.18", 0, 1002, nil, f1, some(text, "fragment2")),
	)
	five := []piece{f1, some(0x00, "fragment2"), ping("pongme 1!"), some(0x00, "fragment3"), some(0x00, "fragment4"), ping("pongme 2!"), some(0x80, "fragment5")}
	fiveBack := []piece{pong("pongme 1!"), pong("pongme 2!"), some(text, "fragment1fragment2fragment3fragment4fragment5")}
	add(ok("5.19", 0, five, fiveBack), ok("5.20", 1, five, fiveBack))

	// 6: UTF-8
	add(
		ok("6.1.1", 0, one(some(text, "")), one(some(text, ""))),
		ok("6.1.2", 0, []piece{some(0x01, ""), some(0x00, ""), some(0x80, "")}, one(some(text, ""))),
		ok("6.1.3", 0, []piece{some(0x01, ""), some(0x00, "middle frame payload"), some(0x80, "")}, one(some(text, "middle frame payload"))),
	)
	greeting := "Hello-µ@ßöäüàá-UTF-8!!"
	kosme := "κόσμε"
	add(
		ok("6.2.1", 0, one(some(text, greeting)), one(some(text, greeting))),
		ok("6.2.2", 0, []piece{some(0x01, "Hello-µ@ßöä"), some(0x80, "üàá-UTF-8!!")}, one(some(text, greeting))),
		ok("6.2.3", 0, each(1, []byte(greeting), 1), one(some(text, greeting))),
		ok("6.2.4", 0, each(1, []byte(kosme), 1), one(some(text, kosme))),
		fails("6.3.1", 0, 1007, nil, some(text, kosme+"\xed\xa0\x80edited")),
		fails("6.3.2", 0, 1007, nil, each(1, []byte(kosme+"\xed\xa0\x80edited"), 1)...),
	)
	// Fail fast: the rest, and the end of the message, never come.
	add(
		fails("6.4.1", 0, 1007, nil, some(0x01, kosme), some(0x00, "\xf4\x90\x80\x80")),
		fails("6.4.2", 0, 1007, nil, some(0x01, kosme+"\xf4"), some(0x00, "\x90")),
	)
	for i, tt := range []string{kosme + "\xf4\x90\x80\x80", kosme + "\xf4\x90"} {
		c := fails(fmt.Sprintf("6.4.%d", 3+i), 0, 1007, nil, some(text, tt+strings.Repeat("x", more)))
		c.cut = true
		add(c)
	}
	// 6.5 to 6.23: each string as one message, in two fragments and in
	// fragments of one byte.
	for _, tt := range utf8Cases {
		p := []byte(tt.text)
		for i, frames := range [][]piece{{{text, p}}, each(1, p, max(1, len(p)/2)), each(1, p, 1)} {
			name := fmt.Sprintf("%s/%d", tt.name, i)
			if utf8.Valid(p) {
				add(ok(name, 0, frames, one(piece{text, p})))
			} else {
				add(fails(name, 0, 1007, nil, frames...))
			}
		}
	}

	// 7: the closing handshake
	add(
		ok("7.1.1", 0, one(hello), one(echo)),
		autobahnCase{name: "7.1.2", send: []piece{normalClose, normalClose}, code: 1000},
		autobahnCase{name: "7.1.3", send: []piece{normalClose, ping("")}, code: 1000},
		autobahnCase{name: "7.1.4", send: []piece{normalClose, hello}, code: 1000},
		autobahnCase{name: "7.1.5", send: []piece{f1, normalClose, f2}, code: 1000},
		autobahnCase{name: "7.1.6", send: []piece{{text, stars(256 << 10)}, hello, normalClose, ping("")}, echoed: []piece{{text, stars(256 << 10)}, echo}, code: 1000},
		autobahnCase{name: "7.3.1", send: one(some(0x88, "")), code: 1005},
		fails("7.3.2", 0, 1002, nil, some(0x88, "a")),
		autobahnCase{name: "7.3.3", send: one(normalClose), code: 1000},
		autobahnCase{name: "7.3.4", send: one(closing(1000, "Hello World!")), code: 1000},
		autobahnCase{name: "7.3.5", send: one(closing(1000, strings.Repeat("*", 123))), code: 1000},
		fails("7.3.6", 0, 1002, nil, closing(1000, strings.Repeat("*", 124))),
		fails("7.5.1", 0, 1007, nil, closing(1000, kosme+"\xed\xa0\x80edited")),
	)
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		add(autobahnCase{name: fmt.Sprintf("7.7.%d", i+1), send: one(closing(code, "")), code: code})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		add(fails(fmt.Sprintf("7.9.%d", i+1), 0, 1002, nil, closing(code, "")))
	}
	add(
		fails("7.13.1", 0, 1002, nil, closing(5000, "")),
		fails("7.13.2", 0, 1002, nil, closing(65535, "")),
	)

	// 9: limits and performance, scaled down from the suite's 16 MiB
	for i, n := range []int{64 << 10, 256 << 10, 1 << 20} {
		for _, kind := range []byte{1, 2} {
			p := piece{0x80 | kind, stars(n)}
			add(ok(fmt.Sprintf("9.%d.%d", kind, i+1), 0, one(p), one(p)))
		}
	}
	for i, n := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10} {
		for _, kind := range []byte{1, 2} {
			p := stars(64 << 10)
			add(ok(fmt.Sprintf("9.%d.%d", 2+kind, i+1), 0, each(kind, p, n), one(piece{0x80 | kind, p})))
			add(ok(fmt.Sprintf("9.%d.%d", 4+kind, i+1), n, one(piece{0x80 | kind, p}), one(piece{0x80 | kind, p})))
		}
	}
	for i, n := range []int{0, 16, 64, 256, 1 << 10, 4 << 10} {
		for _, kind := range []byte{1, 2} {
			var many []piece
			for range 100 {
				many = append(many, piece{0x80 | kind, stars(n)})
			}
			add(ok(fmt.Sprintf("9.%d.%d", 6+kind, i+1), 0, many, many))
		}
	}

	// 10: misc
	p := stars(65536)
	add(ok("10.1.1", 0, each(1, p, 1300), one(piece{text, p})))
	return cases
}

// utf8Cases are the suite's strings, from Markus Kuhn's stress test.
var utf8Cases = func() (cases []struct{ name, text string }) {
	add := func(group string, texts ...string) {
		for i, s := range texts {
			cases = append(cases, struct{ name, text string }{fmt.Sprintf("%s.%d", group, i+1), s})
		}
	}
	add("6.5", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "κόσμε\xf4\x90\x80\x80edited")
	var parts []string
	kosme := "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	for i := 1; i <= len(kosme); i++ {
		parts = append(parts, kosme[:i])
	}
	add("6.6", parts...)
	add("6.7", "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80")
	add("6.8", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80")
	add("6.9", "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf")
	add("6.10", "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf")
	add("6.11", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80")
	add("6.12", "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", continuations())
	add("6.13", lonely(0xc0, 0xe0), lonely(0xe0, 0xf0), lonely(0xf0, 0xf8), lonely(0xf8, 0xfc), lonely(0xfc, 0xfe))
	add("6.14", "\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf")
	add("6.15", "\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf")
	add("6.16", "\xfe", "\xff", "\xfe\xfe\xff\xff")
	add("6.17", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf")
	add("6.18", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf")
	add("6.19", "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80")
	add("6.20", "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf")
	add("6.21", "\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf", "\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf")
	var noncharacters []string
	for plane := rune(0); plane <= 16; plane++ {
		noncharacters = append(noncharacters, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	add("6.22", noncharacters...)
	add("6.23", "\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff")
	return cases
}()

func continuations() string {
	var b strings.Builder
	for c := 0x80; c < 0xc0; c++ {
		b.WriteByte(byte(c))
	}
	return b.String()
}

// lonely is start bytes, each with a space behind it.
func lonely(from, to int) string {
	var b strings.Builder
	for c := from; c < to; c++ {
		b.Write([]byte{byte(c), ' '})
	}
	return b.String()
}
