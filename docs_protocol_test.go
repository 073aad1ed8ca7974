package holdfast_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	machine "github.com/holdfast-ws/holdfast/internal/session"
	framing "github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/server"
	"github.com/holdfast-ws/holdfast/transport"
)

const protocolPage = "docs/protocol.md"

// TestProtocolPageWebSocket holds the page's WebSocket session to one that runs.
func TestProtocolPageWebSocket(t *testing.T) {
	tap := &tap{}
	pageScene(t, tap, func(p *scene) {
		c := p.dial(func(o *holdfast.Options) { o.DialContext, o.Fallback = tap.dialer(p), nil })
		synctest.Wait()
		p.roundTrip(c, "hello")
		time.Sleep(time.Second) // for what is acknowledged later
		require.NoError(p, c.CloseWith(p.Context(), 1000, "done"))
	})
	// Whether the server's last ACK comes before the end of the connection is chance.
	last := regexp.MustCompile(`(?s)^(.*\n< 0b [^\n]*\n.*?\n> 06 [^\n]*\n#[^\n]*\n)`)
	require.Regexp(t, last, tap.transcript(t))
	requireBlock(t, last.FindString(tap.transcript(t)))
}

// TestProtocolPagePolling holds the page's polling session to one that runs.
func TestProtocolPagePolling(t *testing.T) {
	tap := &tap{}
	pageScene(t, tap, func(p *scene) {
		s := &pageSession{s: machine.New(machine.Config{MaxMessage: 16 << 20, Window: 4 << 20})}
		copy(s.secret[:], pageSecret)
		u, err := url.Parse(p.url)
		require.NoError(p, err)
		l, err := fallback.LongPoll(nil).Dial(p.Context(), &transport.Request{
			URL: u, Session: s, DialContext: tap.dialer(p), MaxMessageSize: 16 << 20, WriteTimeout: 10 * time.Second,
		})
		require.NoError(p, err)
		defer l.Abort()
		read := func() {
			_, b, err := l.Read(nil)
			require.NoError(p, err)
			require.NoError(p, s.Receive(b))
		}
		send := func() {
			_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: s.next()}})
			require.NoError(p, err)
		}
		_, b, err := l.Read(nil)
		require.NoError(p, err)
		f, _, err := framing.Parse(b)
		require.NoError(p, err)
		w, err := framing.ParseWelcome(f.Payload)
		require.NoError(p, err)
		_, err = s.s.Attach(w)
		require.NoError(p, err)
		read()
		done := make(chan struct{})
		go func() {
			defer close(done)
			read() // the echo
			read() // the server's CLOSE
		}()
		synctest.Wait()
		s.do(func() {
			s.s.Rewind() // ATTACH has been answered
			s.s.Send(1, transport.Text, []byte("hello"))
		})
		send()
		<-done
		s.do(func() { s.s.Close(1000, "") })
		send()
		s.do(func() { require.True(p, s.s.Done()) })
	})
	requireBlock(t, tap.transcript(t))
}

// pageScene runs f with a server that echoes one message after a second, and
// closes two seconds later.
func pageScene(t *testing.T, tap *tap, f func(p *scene)) {
	session(t, func(p *scene) {
		p.url = "ws://example.test/stream"
		p.echo = func(ctx context.Context, s *server.Session) error {
			m, err := s.Receive(ctx)
			if err != nil {
				return err
			}
			time.Sleep(time.Second)
			if err := s.Send(ctx, m.Type, m.Data); err != nil {
				return err
			}
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
			}
			return nil
		}
		p.start()
		f(p)
		tap.stop()
	})
}

// pageSession is a client's session without a pump, one step at a time.
type pageSession struct {
	secret [framing.SecretLen]byte
	mu     sync.Mutex
	s      *machine.Session
}

func (s *pageSession) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *pageSession) Hello() []byte {
	p := framing.HelloPayload{Secret: s.secret, RecvNext: 1, MaxMessage: 16 << 20}
	return framing.Append(nil, framing.Frame{Type: framing.Hello, Payload: p.Append(nil)})
}

func (s *pageSession) Poll() (n uint64, b []byte) {
	s.do(func() { s.s.SetHeld(0); n, b = s.s.Attachment(), s.s.Poll() })
	return n, b
}

func (s *pageSession) next() (b []byte) {
	s.do(func() { s.s.SetHeld(0); b = s.s.Next(nil, 128<<10) })
	return b
}

func (s *pageSession) Receive(b []byte) (err error) {
	s.do(func() {
		for len(b) > 0 && err == nil {
			f, n, parseErr := framing.Parse(b)
			if err = parseErr; err == nil {
				err = s.s.Receive(s.s.Attachment(), f, ignore{})
				b = b[n:]
			}
		}
	})
	return err
}

// ignore is a session.Sink.
type ignore struct{}

func (ignore) Message(transport.MessageType, []byte) {}
func (ignore) Gap(uint64, uint64)                    {}
func (ignore) Acked(uint64)                          {}
func (ignore) Pong(uint64)                           {}
func (ignore) GoAway(uint64)                         {}
func (ignore) Closed(uint16, string)                 {}

// tap keeps what goes over the connections that are dialled through it.
type tap struct {
	mu     sync.Mutex
	off    bool
	lines  []string
	merge  string // the direction of the last frames, to which others are added
	errors []error
}

// dialer dials to p's server through the tap.
func (t *tap) dialer(p *scene) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := p.net.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &tapped{Conn: c, out: side{tap: t, mark: "> "}, in: side{tap: t, mark: "< "}}, nil
	}
}

func (t *tap) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = true
}

func (t *tap) transcript(tt *testing.T) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	require.Empty(tt, t.errors)
	return strings.Join(t.lines, "\n") + "\n"
}

// side is one direction of a connection.
type side struct {
	tap      *tap
	mark     string
	upgraded bool
	buf      []byte
}

type tapped struct {
	net.Conn
	out, in side
}

func (c *tapped) Write(b []byte) (int, error) {
	c.out.take(b)
	return c.Conn.Write(b)
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.take(b[:n])
	return n, err
}

// take notes every unit that is whole now: an HTTP message, or a WebSocket one.
func (s *side) take(b []byte) {
	s.tap.mu.Lock()
	defer s.tap.mu.Unlock()
	s.buf = append(s.buf, b...)
	for !s.tap.off && len(s.buf) > 0 {
		step := s.takeHTTP
		if s.upgraded {
			step = s.takeMessage
		}
		if !step() {
			return
		}
	}
}

var contentLength = regexp.MustCompile(`(?i)\r\nContent-Length: (\d+)\r\n`)

func (s *side) takeHTTP() bool {
	end := bytes.Index(s.buf, []byte("\r\n\r\n"))
	if end < 0 {
		return false
	}
	head, size := string(s.buf[:end+2]), 0
	if m := contentLength.FindStringSubmatch(head); m != nil {
		size, _ = strconv.Atoi(m[1])
	}
	if len(s.buf) < end+4+size {
		return false
	}
	body := s.buf[end+4 : end+4+size]
	s.buf = s.buf[end+4+size:]
	s.upgraded = strings.Contains(head, "pgrade: websocket\r\n")
	if len(s.tap.lines) > 0 {
		s.tap.lines = append(s.tap.lines, "")
	}
	var hello []byte
	for line := range strings.SplitSeq(strings.TrimSuffix(head, "\r\n"), "\r\n") {
		if encoded, ok := strings.CutPrefix(line, "Holdfast-Hello: "); ok {
			var err error
			hello, err = base64.RawURLEncoding.DecodeString(encoded)
			s.fault(err)
			f, _, err := framing.Parse(hello)
			s.fault(err)
			disguiseFrame(&f)
			line = "Holdfast-Hello: " + base64.RawURLEncoding.EncodeToString(framing.Append(nil, f))
		}
		if line = pageLine(line); line != "" {
			s.tap.lines = append(s.tap.lines, s.mark+line)
		}
	}
	if hello != nil {
		s.tap.lines = append(s.tap.lines, "# Holdfast-Hello is")
		s.frames(hello)
	}
	if size > 0 {
		s.tap.lines = append(s.tap.lines, strings.TrimSpace(s.mark))
		s.frames(body)
	}
	s.tap.merge = ""
	return true
}

// takeMessage takes a WebSocket frame of up to 64 KiB (RFC 6455, section 5.2).
// Only messages are noted.
func (s *side) takeMessage() bool {
	if len(s.buf) < 2 {
		return false
	}
	opcode, size, at := s.buf[0]&15, int(s.buf[1]&127), 2
	if size == 126 {
		if len(s.buf) < 4 {
			return false
		}
		size, at = int(s.buf[2])<<8|int(s.buf[3]), 4
	}
	var key [4]byte
	if s.buf[1]&128 != 0 {
		if len(s.buf) < at+4 {
			return false
		}
		at += copy(key[:], s.buf[at:])
	}
	if len(s.buf) < at+size {
		return false
	}
	payload := s.buf[at : at+size]
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	s.buf = s.buf[at+size:]
	if opcode == 2 {
		if s.tap.merge != s.mark {
			s.tap.lines = append(s.tap.lines, "")
		}
		s.tap.merge = s.mark
		s.frames(payload)
	}
	return true
}

func (s *side) fault(err error) {
	if err != nil {
		s.tap.errors = append(s.tap.errors, err)
	}
}

// frames notes frames in hex, each with what it says.
func (s *side) frames(b []byte) {
	for len(b) > 0 {
		f, n, err := framing.Parse(b)
		if err != nil {
			s.fault(err)
			return
		}
		disguiseFrame(&f)
		line := fmt.Sprintf("%02x %02x", uint8(f.Type), uint8(f.Flags))
		for _, v := range []uint64{f.Seq, f.Ack, uint64(len(f.Payload))} {
			line += fmt.Sprintf(" %x", binary.AppendUvarint(nil, v))
		}
		if len(f.Payload) > 0 {
			line += fmt.Sprintf(" %x", f.Payload)
		}
		s.tap.lines = append(s.tap.lines, s.mark+line, "#   "+says(f))
		b = b[n:]
	}
}

// says is a frame in words.
func says(f framing.Frame) string {
	words := f.Type.String()
	if f.Type.Numbered() {
		words += fmt.Sprintf(" %d", f.Seq)
	}
	switch f.Type {
	case framing.Hello:
		p, err := framing.ParseHello(f.Payload)
		return fmt.Sprintf("%s: secret %x, sid %q, recvNext %d, maxMessage %d, capabilities %d%s", words, p.Secret, p.SID, p.RecvNext, p.MaxMessage, p.Capabilities, fault(err))
	case framing.Welcome:
		p, err := framing.ParseWelcome(f.Payload)
		return fmt.Sprintf("%s: sid %q, recvNext %d, window %d, maxMessage %d, resumeTTL %d ms, capabilities %d%s", words, p.SID, p.RecvNext, p.Window, p.MaxMessage, p.ResumeTTL.Milliseconds(), p.Capabilities, fault(err))
	case framing.Reject:
		p, err := framing.ParseReject(f.Payload)
		return fmt.Sprintf("%s: status %d, code %d, reason %q, recvNext %d, attachment %d%s", words, p.Status, p.Code, p.Reason, p.RecvNext, p.Attachment, fault(err))
	case framing.Attach:
		p, err := framing.ParseAttach(f.Payload)
		return fmt.Sprintf("%s: attachment %d, recvNext %d, window %d%s", words, p.Attachment, p.RecvNext, p.Window, fault(err))
	}
	words += fmt.Sprintf(", ack %d", f.Ack)
	switch f.Type {
	case framing.Ack:
		p, err := framing.ParseAck(f.Payload)
		return fmt.Sprintf("%s: recvNext %d, window %d%s", words, p.RecvNext, p.Window, fault(err))
	case framing.Close:
		p, err := framing.ParseClose(f.Payload)
		return fmt.Sprintf("%s: code %d, reason %q%s", words, p.Code, p.Reason, fault(err))
	case framing.Data:
		if f.Flags&framing.Text != 0 {
			words += ", text"
		}
		return fmt.Sprintf("%s: %q", words, f.Payload)
	}
	return words
}

func fault(err error) string {
	if err != nil {
		return ", " + err.Error()
	}
	return ""
}

// What is drawn by chance is replaced by these.
const (
	pageSecret = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	pageSID    = "ZXhhbXBsZXM.dGhlIHNlc3Npb24ncyBpZA"
	pageNonce  = "YW4gZXhhbXBsZSdzIGtleQ"
	pageKey    = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455, section 1.3, like the next
	pageAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

var (
	sidPattern   = regexp.MustCompile(`^[\w-]{11}\.[\w-]{22}`)
	noncePattern = regexp.MustCompile(`^[\w-]{22}`)
)

func disguiseFrame(f *framing.Frame) {
	switch f.Type {
	case framing.Hello:
		if p, err := framing.ParseHello(f.Payload); err == nil {
			copy(p.Secret[:], pageSecret)
			f.Payload = p.Append(nil)
		}
	case framing.Welcome:
		if p, err := framing.ParseWelcome(f.Payload); err == nil {
			p.SID = sidPattern.ReplaceAllString(p.SID, pageSID)
			f.Payload = p.Append(nil)
		}
	}
}

// unshown are headers that say nothing of the protocol, or the same each time.
var unshown = []string{"Host", "User-Agent", "Date", "Vary", "Cache-Control", "X-Accel-Buffering", "X-Content-Type-Options", "Accept-Encoding"}

// pageLine is a line of a header as the page has it; "" is left out.
func pageLine(line string) string {
	name, value, ok := strings.Cut(line, ": ")
	if !ok {
		return line
	}
	switch name {
	case "Sec-Websocket-Key":
		value = pageKey
	case "Sec-Websocket-Accept":
		value = pageAccept
	case "Idempotency-Key":
		value = noncePattern.ReplaceAllString(value, pageNonce)
	case "Holdfast-Session":
		value = sidPattern.ReplaceAllString(value, pageSID)
	}
	if slices.Contains(unshown, name) {
		return ""
	}
	return name + ": " + value
}

// requireBlock requires that the page has the transcript.
func requireBlock(t *testing.T, text string) {
	t.Helper()
	if !strings.Contains(readFile(t, protocolPage), "```text\n"+text+"```\n") {
		t.Errorf("%s has to contain, as a block of text:\n\n%s", protocolPage, text)
	}
}
