package holdfast_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

const wireLimit = 1000 // MaxMessageSize

// wire is something that no server may send, and what the client closes with.
type wire struct {
	cause  string
	frames []holdfasttest.Frame
	raw    []byte // after the frames
	code   holdfast.StatusCode
	text   string // a part of the error's; "" for any
	before string // a whole message that comes first, and must be delivered
}

// Frames.

func text(s string) holdfasttest.Frame {
	return holdfasttest.Frame{Fin: true, Opcode: holdfasttest.OpText, Payload: []byte(s)}
}

func binaryFrame(b []byte) holdfasttest.Frame {
	return holdfasttest.Frame{Fin: true, Opcode: holdfasttest.OpBinary, Payload: b}
}

func control(opcode byte, payload []byte) holdfasttest.Frame {
	return holdfasttest.Frame{Fin: true, Opcode: opcode, Payload: payload}
}

func closeFrame(code uint16, reason string) holdfasttest.Frame {
	return control(holdfasttest.OpClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// first and last make fragments of a frame.
func first(f holdfasttest.Frame) holdfasttest.Frame { f.Fin = false; return f }
func last(f holdfasttest.Frame) holdfasttest.Frame  { f.Opcode = holdfasttest.OpContinuation; return f }

func frames(fs ...holdfasttest.Frame) []holdfasttest.Frame { return fs }

func rsv(bits byte) holdfasttest.Frame {
	f := text("reserved")
	f.RSV = bits
	return f
}

var wires = []wire{
	{cause: "RSV1 without an extension", frames: frames(rsv(4)), code: 1002},
	{cause: "RSV2", frames: frames(rsv(2)), code: 1002},
	{cause: "RSV3", frames: frames(rsv(1)), code: 1002},
	{cause: "RSV3 on a ping", frames: frames(holdfasttest.Frame{Fin: true, RSV: 1, Opcode: holdfasttest.OpPing}), code: 1002},
	{cause: "unknown opcode", frames: frames(holdfasttest.Frame{Fin: true, Opcode: 3}), code: 1002},
	{cause: "unknown control opcode", frames: frames(control(0xB, nil)), code: 1002},
	{cause: "masked frame", frames: frames(holdfasttest.Frame{Fin: true, Opcode: holdfasttest.OpText, Masked: true, Payload: []byte("masked")}), code: 1002, text: "masked"},
	{cause: "masked frame behind a good one", before: "good",
		frames: frames(text("good"), holdfasttest.Frame{Fin: true, Opcode: holdfasttest.OpText, Masked: true, Payload: []byte("masked")}), code: 1002, text: "masked"},
	{cause: "length over 2^63-1", raw: []byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0}, code: 1002},
	{cause: "something else than frames", raw: []byte("HTTP/1.1 200 OK\r\n\r\n"), code: 1002},

	{cause: "continuation without a start", frames: frames(last(text("of what?"))), code: 1002},
	{cause: "continuation after the last fragment", before: "all", frames: frames(first(text("al")), last(text("l")), last(text("more"))), code: 1002},
	{cause: "a message within another", frames: frames(first(text("one")), text("two")), code: 1002},
	{cause: "fragmented ping", frames: frames(first(control(holdfasttest.OpPing, []byte("half"))), last(text(""))), code: 1002},
	{cause: "fragmented close", frames: frames(first(closeFrame(1000, ""))), code: 1002},
	{cause: "oversized ping", frames: frames(control(holdfasttest.OpPing, make([]byte, 126))), code: 1002},
	{cause: "oversized pong", frames: frames(control(holdfasttest.OpPong, make([]byte, 70000))), code: 1002},
	{cause: "oversized close", frames: frames(closeFrame(1000, string(make([]byte, 124)))), code: 1002},

	{cause: "close payload of one byte", frames: frames(control(holdfasttest.OpClose, []byte{3})), code: 1002},
	{cause: "close 1005 on the wire", frames: frames(closeFrame(1005, "")), code: 1002},
	{cause: "close 1006 on the wire", frames: frames(closeFrame(1006, "")), code: 1002},
	{cause: "close 1015 on the wire", frames: frames(closeFrame(1015, "")), code: 1002},
	{cause: "close 999", frames: frames(closeFrame(999, "")), code: 1002},
	{cause: "close 5000", frames: frames(closeFrame(5000, "")), code: 1002},
	{cause: "close reason that is not UTF-8", frames: frames(closeFrame(1000, "\xff")), code: 1007},

	{cause: "text that is not UTF-8", frames: frames(text("a\xffb")), code: 1007, text: "UTF-8"},
	{cause: "text with half a surrogate pair", frames: frames(text("\xed\xa0\x80")), code: 1007, text: "UTF-8"},
	{cause: "text that ends within a character", frames: frames(text("caf\xc3")), code: 1007, text: "UTF-8"},
	{cause: "text that is not UTF-8 in its second fragment", frames: frames(first(text("good, ")), first(last(text("b\xffd, "))), last(text("good"))), code: 1007, text: "UTF-8"},
	{cause: "text that is not UTF-8 behind a good one", before: "good", frames: frames(text("good"), text("\xc0\x80")), code: 1007, text: "UTF-8"},

	{cause: "a message over the limit", frames: frames(binaryFrame(make([]byte, wireLimit+1))), code: 1009},
	{cause: "fragments over the limit", frames: frames(first(binaryFrame(make([]byte, wireLimit))), last(binaryFrame([]byte{1}))), code: 1009},
	{cause: "a message of 2^62 bytes", raw: append([]byte{0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0}, make([]byte, wireLimit+1)...), code: 1009},
	{cause: "a message over the limit behind a good one", before: "good", frames: frames(text("good"), binaryFrame(make([]byte, wireLimit+1))), code: 1009},
}

// compressed are those with permessage-deflate negotiated.
var compressed = []wire{
	{cause: "compressed, and no deflate", code: 1007,
		frames: frames(holdfasttest.Frame{Fin: true, RSV: 4, Opcode: holdfasttest.OpBinary, Payload: []byte("\xff\xff\xff\xff nonsense")})},
	{cause: "compressed, over the limit once inflated", code: 1009,
		frames: frames(holdfasttest.Frame{Fin: true, RSV: 4, Opcode: holdfasttest.OpBinary, Payload: deflated(make([]byte, 1<<20))})},
	{cause: "compressed, text that is not UTF-8", code: 1007, text: "UTF-8",
		frames: frames(holdfasttest.Frame{Fin: true, RSV: 4, Opcode: holdfasttest.OpText, Payload: deflated([]byte("a\xffb"))})},
	{cause: "a compressed ping", code: 1002,
		frames: frames(holdfasttest.Frame{Fin: true, RSV: 4, Opcode: holdfasttest.OpPing, Payload: deflated(nil)})},
}

// deflated is data as permessage-deflate sends it (RFC 7692, section 7.2.1).
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression) // fails for other levels only
	w.Write(data)
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func TestFailuresWire(t *testing.T) {
	for _, w := range wires {
		t.Run(w.cause, func(t *testing.T) { w.check(t, false) })
	}
	for _, w := range compressed {
		t.Run(w.cause, func(t *testing.T) { w.check(t, true) })
	}
}

// check sends it on the first link. The server is told why, and then either the
// link is replaced, which counts as a failure, or the Conn ends.
func (w wire) check(t *testing.T, compress bool) {
	s := holdfasttest.NewServer(listen(t))
	t.Cleanup(s.Close)
	if compress {
		s.OnRequest(func(int, *http.Request) holdfasttest.Reply {
			return holdfasttest.Accept{Header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}}
		})
	}
	said := make(chan uint16, 1)
	s.OnConnect(func(p *holdfasttest.Peer) {
		if p.N() > 1 {
			echoOnce(p)
			return
		}
		for _, f := range w.frames {
			p.WriteFrame(f)
		}
		p.WriteRaw(w.raw)
		p.OnClose(func(uint16, string) bool { return false })
		for {
			if _, _, err := p.Receive(); err != nil {
				break
			}
		}
		code, _ := p.CloseCode()
		said <- code
	})
	o := failureOptions()
	o.MaxMessageSize, o.Compression = wireLimit, compress
	o.Retry = holdfast.RetryPolicy{MaxRetries: 1, InitialDelay: time.Millisecond}
	r := record(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := holdfast.Dial(ctx, plant(t, s.URL()+"stream"), o)
	require.NoError(t, err)
	defer c.CloseNow()

	if w.before != "" {
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, w.before, string(m.Data))
	}
	var ce *holdfast.CloseError
	require.ErrorAs(t, r.await(holdfast.EventDisconnected, 1).Err, &ce)
	assert.Equal(t, w.code, ce.Code)
	assert.False(t, ce.Remote, "remote")
	assert.Contains(t, ce.Error(), w.text)
	require.Error(t, ce.Err, "the cause")
	assert.Equal(t, w.code, holdfast.StatusCode(<-said), "what the server was told")

	if w.code == holdfast.StatusMessageTooBig {
		_, err := c.Receive(ctx)
		require.ErrorIs(t, err, holdfast.ErrMessageTooBig)
		require.NotErrorIs(t, err, holdfast.ErrRetriesExhausted)
		assert.Contains(t, err.Error(), "raise the limit", "what to do")
		<-c.Done()
		assert.Equal(t, []holdfast.Decision{holdfast.DecisionStop}, r.decided())
		assert.Equal(t, 1, s.Requests(), "it would come again")
		r.hidesSecrets(err)
		return
	}
	r.await(holdfast.EventConnected, 2)
	assert.Equal(t, []holdfast.Decision{holdfast.DecisionRetry}, r.decided())
	assert.Equal(t, uint64(1), c.Stats().ConsecutiveFailures, "it counts as a failure")
	require.NoError(t, c.Send(ctx, holdfast.Text, []byte("still here")))
	m, err := c.Receive(ctx)
	require.NoError(t, err)
	assert.Equal(t, "still here", string(m.Data), "nothing of what was bad is delivered")
	assert.Equal(t, uint64(2), m.Epoch)
	r.hidesSecrets(ce)
}

func echoOnce(p *holdfasttest.Peer) {
	if typ, data, err := p.Receive(); err == nil {
		p.Send(typ, data)
		p.Receive()
	}
}

// What is unusual and right goes through.
func TestFailuresWireOddButRight(t *testing.T) {
	for _, w := range []wire{
		{cause: "a character in two fragments", frames: frames(first(text("caf\xc3")), last(text("\xa9"))), before: "café"},
		{cause: "empty fragments", frames: frames(first(text("")), first(last(text(""))), last(text("end"))), before: "end"},
		{cause: "a ping within a message", frames: frames(first(text("one ")), control(holdfasttest.OpPing, make([]byte, 125)), last(text("message"))), before: "one message"},
		{cause: "pongs that nobody asked for", frames: frames(control(holdfasttest.OpPong, nil), control(holdfasttest.OpPong, make([]byte, 125)), text("hello")), before: "hello"},
		{cause: "a message of the limit", frames: frames(text(string(bytes.Repeat([]byte("x"), wireLimit)))), before: string(bytes.Repeat([]byte("x"), wireLimit))},
	} {
		t.Run(w.cause, func(t *testing.T) {
			s := holdfasttest.NewServer(listen(t))
			t.Cleanup(s.Close)
			s.OnConnect(func(p *holdfasttest.Peer) {
				for _, f := range w.frames {
					p.WriteFrame(f)
				}
				p.Receive()
			})
			o := failureOptions()
			o.MaxMessageSize = wireLimit
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := holdfast.Dial(ctx, s.URL(), o)
			require.NoError(t, err)
			defer c.CloseNow()
			m, err := c.Receive(ctx)
			require.NoError(t, err)
			assert.Equal(t, w.before, string(m.Data))
		})
	}
}
