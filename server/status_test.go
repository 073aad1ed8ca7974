package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

// byHeader authenticates by the header Who.
func byHeader(r *http.Request) (string, error) {
	switch who := r.Header.Get("Who"); who {
	case "nobody":
		return "", io.ErrUnexpectedEOF
	case "forbidden":
		return "", fmt.Errorf("no: %w", &holdfast.CloseError{Code: holdfast.StatusForbidden})
	case "unsure":
		return "", &holdfast.CloseError{Code: holdfast.StatusTryAgainLater}
	default:
		return who, nil
	}
}

func TestAuthentication(t *testing.T) {
	parkedBubble(t, &Options{Authenticate: byHeader}, func(w *world, p *parked) {
		c := w.client()
		c.header.Set("Who", "ann")
		c.attachPoll()
		s := <-p.sessions
		assert.Equal(t, "ann", s.Principal())
		for who, status := range map[string]int{"nobody": 401, "forbidden": 403, "unsure": 503, "bob": 403, "": 403} {
			c.header.Set("Who", who)
			a := c.send(1, c.data("no"))
			assert.Equal(t, status, a.status, "send as %q", who)
			assert.Empty(t, a.frames, "no frames with %d", a.status)
			assert.Equal(t, "1", a.header.Get(headerVersion))
			assert.Equal(t, status == 503, a.header.Get("Retry-After") != "")
			assert.Equal(t, status, c.poll(2, 0, attachFrame(2, 1)).status, "poll as %q", who)
			a, err := c.post(context.Background(), "close", nil, nil)
			require.NoError(t, err)
			assert.Equal(t, status, a.status, "close as %q", who)
			a, err = c.post(context.Background(), "open", nil, c.hello())
			require.NoError(t, err)
			assert.Equal(t, status, a.status, "open as %q", who)
			_, err = c.dial(c.wsRequest())
			assert.ErrorContains(t, err, fmt.Sprint(status), "handshake as %q", who)
			c.seq--
		}
		c.header.Set("Who", "ann")
		assert.Equal(t, 200, c.send(1, c.data("yes")).status)
		assert.Equal(t, "yes", receive(t, s), "the session is as it was")
	})
}

func TestWrongSecret(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		thief := w.client()
		thief.sid = c.sid
		for _, op := range []string{"poll", "send", "close"} {
			a, err := thief.post(context.Background(), op, pollHeader(2, 1, 0), attachFrame(2, 1))
			require.NoError(t, err)
			assert.Equal(t, 403, a.status, op)
		}
		a, err := thief.post(context.Background(), "open", nil, thief.hello())
		require.NoError(t, err)
		assert.Equal(t, 403, a.status)
		_, err = thief.dial(thief.wsRequest())
		assert.ErrorContains(t, err, "403")
		assert.Equal(t, 200, c.send(1, c.data("fine")).status)
		assert.Equal(t, "fine", receive(t, s))
	})
}

func TestSessionsElsewhereAndNowhere(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		for sid, status := range map[string]int{"elsewhere.abc": 421, w.node + ".unknown": 410, "nodot": 400, ".x": 400, "x.": 400} {
			c.sid = sid
			for _, op := range []string{"poll", "send", "close", "open"} {
				a, err := c.post(context.Background(), op, pollHeader(1, 1, 0), ifElse(op == "open", c.hello(), attachFrame(1, 1)))
				require.NoError(t, err)
				assert.Equal(t, status, a.status, "%s of %s", op, sid)
				assert.Equal(t, status, rejectOf(t, a.frames).Status)
				assert.Equal(t, status == 421, a.header.Get(headerDiag) == "other-node")
			}
			l, err := w.dial(c.wsRequest())
			require.NoError(t, err, "over WebSocket the REJECT follows the 101")
			assert.Equal(t, status, rejectOf(t, readFrames(t, l)).Status)
			l.Abort()
		}
		assert.Zero(t, w.count())
	})
}

func ifElse[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}

func TestHelloIsAlone(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		hello := c.hello()
		for name, body := range map[string][]byte{
			"nothing": nil, "cut": hello[:len(hello)-1], "twice": append(append([]byte{}, hello...), hello...), "another frame": attachFrame(1, 1),
			"short secret": frame(wire.Hello, []byte("short")), "noise": []byte("\x01\x00\x80"), "more": append(append([]byte{}, hello...), 0),
		} {
			a, err := c.post(context.Background(), "open", nil, body)
			require.NoError(t, err)
			assert.Equal(t, 400, a.status, name)
			r := c.wsRequest()
			h := http.Header{headerHello: {base64.RawURLEncoding.EncodeToString(body)}}
			if len(body) > 0 {
				assert.Equal(t, 400, rejectOf(t, w.upgradeFrames(r.URL.Host, h)).Status, name)
			}
		}
		assert.Zero(t, w.count())
	})
}

// upgradeFrames makes a handshake with a header by hand, and returns the frames of the
// first message.
func (w *world) upgradeFrames(host string, header http.Header) []wire.Frame {
	conn := w.rawConn()
	defer conn.Close()
	r, resp := w.upgrade(conn, host, header)
	require.Equal(w.t, 101, resp.StatusCode)
	return parseFrames(w.t, readMessage(w.t, r))
}

func (w *world) upgrade(conn io.ReadWriter, host string, header http.Header) (*bufio.Reader, *http.Response) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET /path HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", host)
	_ = header.Write(&b)
	b.WriteString("\r\n")
	_, err := conn.Write(b.Bytes())
	require.NoError(w.t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(w.t, err)
	return r, resp
}

// readMessage reads an unmasked frame.
func readMessage(t *testing.T, r *bufio.Reader) []byte {
	t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(r, head)
	require.NoError(t, err)
	n := int(head[1])
	if n == 126 {
		long := make([]byte, 2)
		_, err := io.ReadFull(r, long)
		require.NoError(t, err)
		n = int(long[0])<<8 | int(long[1])
	}
	require.Less(t, n, 1<<16)
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	require.NoError(t, err)
	return b
}

func TestMalformedFrames(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		s := <-p.sessions
		good := c.data("good")
		for name, body := range map[string][]byte{
			"noise":            []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
			"cut":              good[:len(good)-2],
			"long varint":      {byte(wire.Data), 0, 0x81, 0x80, 0x00, 0, 0},
			"critical":         {200, 0x80, 0, 0, 0},
			"acks the future":  wire.Append(nil, wire.Frame{Type: wire.Ack, Ack: 99, Payload: wire.AckPayload{RecvNext: 100}.Append(nil)}),
			"wants the future": frame(wire.Ack, wire.AckPayload{RecvNext: 100}.Append(nil)),
			"HELLO":            c.hello(),
			"REJECT":           frame(wire.Reject, wire.RejectPayload{Status: 410}.Append(nil)),
			"not UTF-8":        wire.Append(nil, wire.Frame{Type: wire.Data, Flags: wire.Text, Seq: 1, Payload: []byte{0xff}}),
			"long PING":        frame(wire.Ping, make([]byte, 2000)),
		} {
			a := c.send(1, body)
			assert.Equal(t, 400, a.status, name)
			assert.Equal(t, 400, rejectOf(t, a.frames).Status, name)
			assert.Equal(t, 400, c.poll(1, 0, body).status, name)
		}
		unknown := wire.Append(nil, wire.Frame{Type: 100, Payload: []byte("later")})
		assert.Equal(t, 200, c.send(1, append(unknown, good...)).status, "what is unknown is skipped")
		assert.Equal(t, "good", receive(t, s), "the session is as it was")
	})
}

func TestMessageOverTheLimitEndsTheSession(t *testing.T) {
	parkedBubble(t, &Options{MaxMessageSize: 10}, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		<-p.sessions
		a := c.send(1, c.data("more than ten"))
		assert.Equal(t, 410, a.status)
		assert.EqualValues(t, 1009, rejectOf(t, a.frames).Code)
		assert.Equal(t, 410, c.open().status, "it is remembered")
	})
}

func TestBodies(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		big := make([]byte, wire.MaxBatch+1)
		a := c.send(1, big)
		assert.Equal(t, 413, a.status)
		assert.Empty(t, a.frames)
		h := http.Header{"Content-Type": {wire.MediaType}, headerOp: {"send"}, headerSession: {c.credential()}, headerAttachment: {"1"}}
		a, err := w.do(context.Background(), "POST", h, io.MultiReader(bytes.NewReader(big))) // chunked
		require.NoError(t, err)
		assert.Equal(t, 413, a.status)
		a, err = w.do(context.Background(), "POST", h, io.MultiReader(bytes.NewReader(c.data("x")))) // chunked
		require.NoError(t, err)
		assert.Equal(t, 200, a.status)

		for name, wrong := range map[string]http.Header{
			"another type": {"Content-Type": {"application/json"}}, "no type": {"Content-Type": {}}, "malformed": {"Content-Type": {"a/b/c"}},
			"another version": {"Content-Type": {"application/vnd.holdfast.v2"}}, "gzip": {"Content-Encoding": {"gzip"}},
		} {
			a, err := c.post(context.Background(), "send", wrong, nil)
			require.NoError(t, err)
			assert.Equal(t, 415, a.status, name)
			assert.Equal(t, wire.MediaType, a.header.Get("Accept-Post"))
		}
		a, err = c.post(context.Background(), "send", http.Header{headerAttachment: {"1"}, "Content-Encoding": {"identity"}, "Content-Type": {wire.MediaType + "; a=b"}}, nil)
		require.NoError(t, err)
		assert.Equal(t, 200, a.status)
	})
}

func TestSlowBody(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		conn := w.rawConn()
		defer conn.Close()
		fmt.Fprintf(conn, "POST /path HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nHoldfast-Op: send\r\nHoldfast-Session: %s\r\nHoldfast-Attachment: 1\r\nContent-Length: 100\r\n\r\n", address, wire.MediaType, c.credential())
		start := time.Now()
		go func() {
			for range 50 {
				if _, err := conn.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, 408, resp.StatusCode)
		assert.Equal(t, bodyTimeout, time.Since(start))
		assert.Equal(t, 200, c.send(1, nil).status, "others are untouched")
		conn.Close()
		time.Sleep(time.Minute)
	})
}

func TestSlowBodyOfARefusal(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		conn := w.rawConn()
		defer conn.Close()
		fmt.Fprintf(conn, "POST /path HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n", address)
		start := time.Now()
		b, _ := io.ReadAll(conn)
		assert.Contains(t, string(b), "415")
		assert.LessOrEqual(t, time.Since(start), bodyTimeout+time.Second)
	})
}

func TestCutBody(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		c.attachPoll()
		conn := w.rawConn()
		body := c.data("cut")
		fmt.Fprintf(conn, "POST /path HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nHoldfast-Op: send\r\nHoldfast-Session: %s\r\nHoldfast-Attachment: 1\r\nContent-Length: %d\r\n\r\n", address, wire.MediaType, c.credential(), len(body))
		_, _ = conn.Write(body[:3])
		conn.Close()
		synctest.Wait()
		assert.Equal(t, 200, c.send(1, body).status)
		assert.Equal(t, "cut", receive(t, <-p.sessions))
	})
}

func TestOtherRequests(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		for _, tt := range []struct {
			method string
			header http.Header
			status int
			diag   string
		}{
			{"GET", nil, 426, ""},
			{"GET", http.Header{"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}, 426, "upgrade-stripped"},
			{"GET", http.Header{"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Connection": {"close"}}, 426, "upgrade-stripped"},
			{"HEAD", nil, 405, ""}, {"PUT", nil, 405, ""}, {"DELETE", nil, 405, ""},
			{"POST", nil, 415, ""},
			{"POST", http.Header{"Content-Type": {wire.MediaType}}, 400, ""},
		} {
			a, err := w.do(context.Background(), tt.method, tt.header, nil)
			require.NoError(t, err)
			assert.Equal(t, tt.status, a.status, "%v", tt)
			assert.Equal(t, tt.diag, a.header.Get(headerDiag))
			assert.Equal(t, "1", a.header.Get(headerVersion))
			if tt.status == 405 {
				assert.Equal(t, allowedMethods, a.header.Get("Allow"))
			}
			if tt.status == 426 {
				assert.Equal(t, "websocket", a.header.Get("Upgrade"))
			}
		}
	})
}

func TestNoSecretsInAnswers(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		secret := strings.TrimPrefix(c.credential(), c.sid+".")
		for _, a := range []reply{c.open(), c.send(9, nil), c.poll(9, 0, nil)} {
			assert.NotContains(t, string(a.body), secret)
			assert.NotContains(t, string(a.body), string(c.secret[:]))
			assert.NotContains(t, fmt.Sprint(a.header), secret)
		}
	})
}
