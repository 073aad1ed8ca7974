package holdfasttest

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Reply is how a request is answered: [Accept], [Refuse], [Raw], [Drop],
// [Reset] or [Hang].
type Reply interface {
	// answer deals with the request. It returns the bytes that complete the
	// WebSocket handshake, or nil if there is none and the connection ends.
	answer(c *serverConn, r *http.Request) []byte
}

// Accept completes the WebSocket handshake. It does so for any request with a
// Sec-WebSocket-Key; one without is answered with 426.
type Accept struct {
	// Subprotocol is the one to choose, offered or not; "" chooses none.
	Subprotocol string
	// Header is added to the answer, and replaces what the server would say
	// under the same name: a wrong Sec-WebSocket-Accept, or an extension that
	// nobody offered.
	Header http.Header
}

// Refuse answers with a plain HTTP response and closes the connection.
type Refuse struct {
	// Status is the HTTP status; 0 means 503.
	Status int
	// Header is added to the response: Retry-After, Location, Content-Type.
	Header http.Header
	// Body is the response's body.
	Body string
}

// Raw answers with bytes as they are.
type Raw struct {
	Bytes []byte
	// Hold keeps the connection open until the client ends it or the server
	// is closed. Without it the connection ends after the bytes.
	Hold bool
}

// Drop closes the connection without an answer.
type Drop struct{}

// Reset ends the connection with a TCP reset, without an answer.
type Reset struct{}

// Hang never answers. The connection stays until the client ends it or the
// server is closed.
type Hang struct{}

func (a Accept) answer(c *serverConn, r *http.Request) []byte {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		return Refuse{
			Status: http.StatusUpgradeRequired,
			Header: http.Header{"Upgrade": {"websocket"}},
			Body:   "this is a WebSocket server\n",
		}.answer(c, r)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	h := http.Header{
		"Upgrade":              {"websocket"},
		"Connection":           {"Upgrade"},
		"Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
	}
	if a.Subprotocol != "" {
		h.Set("Sec-WebSocket-Protocol", a.Subprotocol)
	}
	replace(h, a.Header)
	return response(http.StatusSwitchingProtocols, h, "")
}

func (f Refuse) answer(c *serverConn, r *http.Request) []byte {
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	h := http.Header{
		"Connection":     {"close"},
		"Content-Type":   {"text/plain; charset=utf-8"},
		"Content-Length": {strconv.Itoa(len(f.Body))},
	}
	replace(h, f.Header)
	return Raw{Bytes: response(f.Status, h, f.Body)}.answer(c, r)
}

func (w Raw) answer(c *serverConn, r *http.Request) []byte {
	if _, err := c.Write(w.Bytes); err == nil && w.Hold {
		return Hang{}.answer(c, r)
	}
	return nil
}

func (Drop) answer(*serverConn, *http.Request) []byte { return nil }

func (Reset) answer(c *serverConn, _ *http.Request) []byte {
	c.reset()
	return nil
}

func (Hang) answer(c *serverConn, _ *http.Request) []byte {
	_, _ = io.Copy(io.Discard, c)
	return nil
}

func replace(h, by http.Header) {
	for k, v := range by {
		h[http.CanonicalHeaderKey(k)] = v
	}
}

func response(status int, h http.Header, body string) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = h.Write(&b)
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// isHandshake says whether r asks for WebSocket (RFC 6455, section 4.2.1).
func isHandshake(r *http.Request) bool {
	return hasToken(r.Header["Upgrade"], "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// maxHead bounds a request's head, in bytes.
const maxHead = 64 << 10

// readRequest reads a request's head. What follows it stays in br.
func readRequest(c *serverConn, br *bufio.Reader) (*http.Request, error) {
	c.limit.Store(maxHead)
	defer c.limit.Store(-1)
	r, err := http.ReadRequest(br)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = c.RemoteAddr().String()
	return r, nil
}
