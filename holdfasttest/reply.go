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
	"time"
)

// Reply is how a request is answered, and what becomes of the connection then.
//
//   - [Accept], [Serve] and [Slow] accept a WebSocket handshake.
//   - What [AfterSent], [AfterReceived] and [After] lead to accepts it too, and
//     ends or disturbs the connection later.
//   - [Refuse], [Raw], [Drop], [Reset] and [Hang] do not accept it.
//   - A [Blockade] is one of the ways in which something between client and
//     server lets no WebSocket through.
//   - [All] puts several of the accepting ones together, [Times] and [Always]
//     repeat one in a [Server.Script].
type Reply interface {
	// decide says what becomes of a request.
	decide() decision
}

// A decision is what a Reply comes to.
type decision struct {
	// refuse deals with a request that is not accepted; nil accepts it.
	refuse func(c *serverConn, r *http.Request)
	accept Accept
	serve  func(*Peer) // in place of OnConnect's and of the handler
	faults []fault     // of an accepted connection
	strip  bool        // the request is served without its Upgrade
}

// Accept completes the WebSocket handshake. It does so for any request with a
// Sec-WebSocket-Key; one without is answered with 426. Where a handler serves
// WebSocket (see [Server.Handle]), it is the handler that answers, and the fields
// say nothing.
type Accept struct {
	// Subprotocol is the one to choose, offered or not; "" chooses none.
	Subprotocol string
	// Header is added to the answer, and replaces what the server would say
	// under the same name: a wrong Sec-WebSocket-Accept, or an extension that
	// nobody offered.
	Header http.Header
}

// Serve accepts the WebSocket handshake and runs f on the connection, in place of
// what [Server.OnConnect] has set; the rules for f are the same. A nil f echoes.
func Serve(f func(p *Peer)) Reply {
	if f == nil {
		f = echo
	}
	return serve(f)
}

type serve func(*Peer)

// Refuse answers with a plain HTTP response and closes the connection.
type Refuse struct {
	// Status is the HTTP status; 0 means 503.
	Status int
	// RetryAfter is sent as Retry-After, in whole seconds, rounded up; 0 sends
	// none.
	RetryAfter time.Duration
	// Header is added to the response: Location, Content-Type, Set-Cookie.
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

func (a Accept) decide() decision { return decision{accept: a} }
func (f serve) decide() decision  { return decision{serve: f} }
func (f Refuse) decide() decision { return decision{refuse: f.answer} }
func (w Raw) decide() decision    { return decision{refuse: w.answer} }
func (d Drop) decide() decision   { return decision{refuse: d.answer} }
func (d Reset) decide() decision  { return decision{refuse: d.answer} }
func (d Hang) decide() decision   { return decision{refuse: d.answer} }

// upgradeRequired answers a request that asks for no WebSocket.
var upgradeRequired = Refuse{
	Status: http.StatusUpgradeRequired,
	Header: http.Header{"Upgrade": {"websocket"}},
	Body:   "this is a WebSocket server\n",
}

// response returns the bytes that complete the WebSocket handshake, or nil if r
// has no key for it.
func (a Accept) response(r *http.Request) []byte {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		return nil
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

func (f Refuse) answer(c *serverConn, r *http.Request) {
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	h := http.Header{
		"Connection":     {"close"},
		"Content-Type":   {"text/plain; charset=utf-8"},
		"Content-Length": {strconv.Itoa(len(f.Body))},
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
	}
	replace(h, f.Header)
	Raw{Bytes: response(f.Status, h, f.Body)}.answer(c, r)
}

func (w Raw) answer(c *serverConn, r *http.Request) {
	if _, err := c.Write(w.Bytes); err == nil && w.Hold {
		Hang{}.answer(c, r)
	}
}

func (Drop) answer(*serverConn, *http.Request) {}

func (Reset) answer(c *serverConn, _ *http.Request) { c.reset() }

func (Hang) answer(c *serverConn, _ *http.Request) { _, _ = io.Copy(io.Discard, c) }

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
