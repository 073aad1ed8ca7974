//go:build !js

package wslink_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	protocol "github.com/holdfast-ws/holdfast/internal/frame"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// errScriptEnd is not io.EOF: coder would take that inside a message for the message's end.
var errScriptEnd = errors.New("the script has ended")

// script is a connection whose peer's bytes are known. It ends behind them.
type script struct {
	chunks  [][]byte
	written []byte
	asked   func(*script) // once, when something was written
}

func (s *script) Read(p []byte) (int, error) {
	for len(s.chunks) > 0 && len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	if len(s.chunks) == 0 {
		return 0, errScriptEnd
	}
	n := copy(p, s.chunks[0])
	s.chunks[0] = s.chunks[0][n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.written = append(s.written, p...)
	if s.asked != nil {
		s.asked(s)
	}
	return len(p), nil
}

func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// outcome is what an end made of a stream.
type outcome struct {
	messages []transport.Message
	partial  []byte // of a message that never was complete
	err      error
	sent     []frameIn
}

const likeLimit = 300 // bytes of a message in these tests

var likeRequest = "GET / HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// hijackable is the ResponseWriter of a script.
type hijackable struct {
	*script
	header http.Header
}

func (h hijackable) Header() http.Header { return h.header }
func (h hijackable) WriteHeader(int)     {}
func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.script, bufio.NewReadWriter(bufio.NewReader(h.script), bufio.NewWriter(h.script)), nil
}

func parseRequest(t *testing.T) *http.Request {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(likeRequest)))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// throughOurs feeds a link of this package's.
func throughOurs(t *testing.T, server bool, chunks [][]byte) (o outcome) {
	s := &script{}
	var l transport.Link
	var err error
	if server {
		s.chunks = chunks
		l, err = wslink.Accept(hijackable{s, http.Header{}}, parseRequest(t), &wslink.AcceptOptions{MaxMessageSize: likeLimit})
	} else {
		s.asked = func(s *script) {
			s.asked = nil
			req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(s.written)))
			if err != nil {
				t.Error(err)
				return
			}
			answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept(req) + "\r\n\r\n"
			s.chunks = append([][]byte{[]byte(answer)}, chunks...)
			s.written = nil
		}
		l, err = wslink.New().Dial(context.Background(), &transport.Request{
			URL:            &url.URL{Scheme: "ws", Host: "h.test", Path: "/"},
			MaxMessageSize: likeLimit,
			DialContext:    func(context.Context, string, string) (net.Conn, error) { return s, nil },
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Abort()
	for {
		typ, data, err := l.Read(nil)
		if err != nil {
			o.err = err
			break
		}
		o.messages = append(o.messages, transport.Message{Type: typ, Data: data})
	}
	o.sent = framesOf(t, s.written)
	return o
}

// roundTrip answers coder's handshake with a script.
type roundTrip struct{ *script }

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols,
		Header:     http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {accept(req)}},
		Body:       r.script,
		Request:    req,
	}, nil
}

// throughCoder feeds coder.
func throughCoder(t *testing.T, server bool, chunks [][]byte) (o outcome) {
	s := &script{chunks: chunks}
	var c *websocket.Conn
	var err error
	if server {
		c, err = websocket.Accept(hijackable{s, http.Header{}}, parseRequest(t), nil)
	} else {
		c, _, err = websocket.Dial(context.Background(), "ws://h.test/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: roundTrip{s}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(likeLimit)
	for o.err == nil {
		typ, r, err := c.Reader(context.Background())
		if err != nil {
			o.err = err
			break
		}
		var data []byte
		var buf [1]byte // more would come masked if the connection ends in it
		for {
			n, err := r.Read(buf[:])
			data = append(data, buf[:n]...)
			if err == io.EOF {
				o.messages = append(o.messages, transport.Message{Type: transport.MessageType(typ), Data: data})
				break
			}
			if err != nil {
				o.err, o.partial = err, data
				break
			}
		}
	}
	o.sent = framesOf(t, s.written)
	return o
}

// framesOf parses what an end sent.
func framesOf(t *testing.T, b []byte) (frames []frameIn) {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 && bytes.HasPrefix(b, []byte("HTTP/")) {
		b = b[i+4:]
	}
	for len(b) > 0 {
		if len(b) < 2 || b[1]&0x7f > 125 {
			t.Fatalf("sent %x", b)
		}
		n, key, at := int(b[1]&0x7f), [4]byte{}, 2
		if b[1]&0x80 != 0 {
			copy(key[:], b[2:])
			at = 6
		}
		p := slices.Clone(b[at : at+n])
		for i := range p {
			p[i] ^= key[i%4]
		}
		frames = append(frames, frameIn{b[0], p})
		b = b[at+n:]
	}
	return frames
}

// class puts the end of an outcome into a word.
func class(err error) string {
	var mine *transport.CloseError
	var coders websocket.CloseError
	var pe *transport.ProtocolError
	switch {
	case errors.As(err, &mine):
		return fmt.Sprintf("closed %d %q", mine.Code, mine.Reason)
	case errors.As(err, &coders):
		return fmt.Sprintf("closed %d %q", coders.Code, coders.Reason)
	case errors.Is(err, transport.ErrMessageTooBig), errors.Is(err, websocket.ErrMessageTooBig):
		return "too big"
	case errors.Is(err, errScriptEnd):
		return "ended"
	case errors.As(err, &pe):
		return "protocol"
	}
	return "protocol" // coder has no type for it
}

// closeCode is that of the close frame which stands last in what was sent, 0 without one.
func closeCode(sent []frameIn) (before []frameIn, code uint16) {
	if len(sent) == 0 || sent[len(sent)-1].head != 0x88 {
		return sent, 0
	}
	last := sent[len(sent)-1]
	if code = 1005; len(last.payload) >= 2 {
		code = binary.BigEndian.Uint16(last.payload)
	}
	return sent[:len(sent)-1], code
}

// bad says that no text begins like this.
func bad(text []byte) bool {
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if tail := text[len(text)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				text = text[:len(text)-i]
			}
			break
		}
	}
	return !utf8.Valid(text)
}

// difference says how two outcomes of the same stream differ, "" if they do
// not, but for where this package is known to see more than coder.
func difference(ours, coders outcome) string {
	if !slices.EqualFunc(ours.messages, coders.messages[:min(len(coders.messages), len(ours.messages))], func(a, b transport.Message) bool {
		return a.Type == b.Type && bytes.Equal(a.Data, b.Data)
	}) {
		return "the messages"
	}
	next := coders.partial // what coder made of the message that we gave none of
	whole := len(coders.messages) > len(ours.messages)
	if whole {
		next = coders.messages[len(ours.messages)].Data
	}
	ourPongs, ourCode := closeCode(ours.sent)
	theirPongs, theirCode := closeCode(coders.sent)
	same := func(a, b frameIn) bool { return a.head == b.head && bytes.Equal(a.payload, b.payload) }
	if len(ourPongs) > len(theirPongs) || !slices.EqualFunc(ourPongs, theirPongs[:len(ourPongs)], same) {
		return "the pongs"
	}
	// What is found here and not by coder: coder may go on.
	switch {
	case errors.Is(ours.err, protocol.ErrNotUTF8):
		if ourCode != 1007 || !bad(next) && (!whole || utf8.Valid(next)) {
			return "text that is UTF-8 was refused"
		}
		return ""
	case errors.Is(ours.err, protocol.ErrReason):
		var ce websocket.CloseError
		if ourCode != 1007 || !errors.As(coders.err, &ce) || utf8.ValidString(ce.Reason) {
			return "a reason that is UTF-8 was refused"
		}
		return ""
	case errors.Is(ours.err, protocol.ErrMasked), errors.Is(ours.err, protocol.ErrNotShortest):
		if ourCode != 1002 {
			return "the close code"
		}
		return ""
	}
	if whole {
		return "coder has more messages"
	}
	if len(ourPongs) != len(theirPongs) {
		return "the pongs"
	}
	a, b := class(ours.err), class(coders.err)
	switch {
	case a == b && ourCode == theirCode:
		return ""
	case a == b && theirCode == 0 && ourCode == 1002 && (strings.Contains(coders.err.Error(), "received unmasked frame") ||
		strings.Contains(coders.err.Error(), "received negative payload length")):
		return "" // coder says nothing to the peer
	case b == "ended" && theirCode == 0 && (a == "protocol" && ourCode == 1002 || a == "too big" && ourCode == 1009):
		return "" // found in a header of which coder waits for the rest, or for the payload
	}
	return fmt.Sprintf("the end: %s and code %d here, %s and code %d in coder", a, ourCode, b, theirCode)
}

// cutUp cuts b into chunks whose sizes are the bytes of cuts, over and over.
func cutUp(b, cuts []byte) (chunks [][]byte) {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)])+1)
		}
		chunks = append(chunks, b[:n:n])
		b = b[n:]
	}
	return chunks
}

// The same bytes of a peer give the same messages, pongs, close code and error
// as with coder. Four things are known to differ, and are told apart: text
// and close reasons that are not UTF-8, masked frames from a server, and
// lengths that are not in their shortest form are refused here alone.
func FuzzLikeCoder(f *testing.F) {
	for _, tt := range likeSeeds() {
		for _, cuts := range [][]byte{nil, {0}, {6}, {2, 0, 40, 1}} {
			f.Add(false, false, tt[0], cuts)
			f.Add(true, false, tt[1], cuts)
			f.Add(false, true, tt[0], cuts)
			f.Add(true, true, tt[1], cuts)
		}
	}
	f.Fuzz(func(t *testing.T, server, padded bool, b, cuts []byte) {
		if len(b) > 4<<10 {
			return
		}
		if padded { // so that the last header and payload are not cut
			b = append(slices.Clone(b), make([]byte, 2*likeLimit)...)
		}
		ours := throughOurs(t, server, cutUp(b, cuts))
		coders := throughCoder(t, server, cutUp(b, cuts))
		if what := difference(ours, coders); what != "" {
			t.Errorf("%s\nhere:  %d messages, %v, sent %x\ncoder: %d messages, %v, sent %x",
				what, len(ours.messages), ours.err, ours.sent, len(coders.messages), coders.err, coders.sent)
		}
	})
}

// likeSeeds are streams of a server and the same of a client.
func likeSeeds() (seeds [][2][]byte) {
	add := func(frames ...frameIn) {
		var s, c []byte
		for _, f := range frames {
			s = append(s, frame(f.head, f.payload...)...)
			c = append(c, ours(f.head, f.payload...)...)
		}
		seeds = append(seeds, [2][]byte{s, c})
	}
	text, long := []byte("a£€😀z"), bytes.Repeat([]byte("x€"), 100)
	add(frameIn{0x81, text}, frameIn{0x82, []byte{0xff}}, frameIn{0x88, []byte{3, 232, 'b'}})
	add(frameIn{0x01, text[:2]}, frameIn{0x89, []byte("p")}, frameIn{0x00, text[2:4]}, frameIn{0x8a, nil}, frameIn{0x80, text[4:]}, frameIn{0x88, nil})
	add(frameIn{0x81, long}, frameIn{0x82, make([]byte, likeLimit)}, frameIn{0x82, make([]byte, likeLimit+1)})
	add(frameIn{0x02, make([]byte, 200)}, frameIn{0x80, make([]byte, 200)})
	add(frameIn{0x81, []byte{'a', 0xff}}, frameIn{0x82, nil})
	add(frameIn{0x01, []byte{0xf4, 0x90}}, frameIn{0x80, nil})
	add(frameIn{0x88, []byte{3, 232, 0xff}})
	add(frameIn{0x88, []byte{3, 238}})
	add(frameIn{0x88, []byte{3}})
	add(frameIn{0x89, bytes.Repeat([]byte{0}, 125)}, frameIn{0x89, make([]byte, 126)})
	add(frameIn{0x09, nil})
	add(frameIn{0xc1, nil})
	add(frameIn{0x83, nil})
	add(frameIn{0x80, nil})
	add(frameIn{0x01, nil}, frameIn{0x81, nil})
	seeds = append(seeds,
		[2][]byte{masked(0x81, 'x'), frame(0x81, 'x')},
		[2][]byte{{0x82, 126, 0, 1, 'x'}, {0x82, 0xfe, 0, 1, 0, 0, 0, 0, 'x'}},
		[2][]byte{{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, {0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}},
	)
	return seeds
}
