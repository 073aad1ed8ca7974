package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const address = "stream.example:80"

// world is a Server behind net/http in a network in memory.
type world struct {
	*Server
	t    *testing.T
	net  *memnet.Network
	http *http.Server
	tr   *http.Transport
	url  string
}

// bubble runs f with a server in a bubble, in which time is virtual. Everything has
// ended when it returns.
func bubble(t *testing.T, handle func(context.Context, *Session) error, o *Options, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, New(handle, o))
		defer w.stop()
		f(w)
	})
}

// parkedBubble is bubble with a handler that p is told of.
func parkedBubble(t *testing.T, o *Options, f func(*world, *parked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := park()
		w := newWorld(t, New(p.handle, o))
		defer w.stop()
		f(w, p)
	})
}

func newWorld(t *testing.T, s *Server, configure ...func(*http.Server)) *world {
	w := &world{Server: s, t: t, net: memnet.New(), url: "http://" + address + "/path"}
	l, err := w.net.Listen(address)
	require.NoError(t, err)
	w.http = &http.Server{Handler: s}
	for _, f := range configure {
		f(w.http)
	}
	go func() { _ = w.http.Serve(l) }()
	w.tr = &http.Transport{DialContext: w.net.DialContext, MaxIdleConnsPerHost: 1000}
	return w
}

// stop ends everything at once.
func (w *world) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.Shutdown(ctx)
	w.tr.CloseIdleConnections()
	_ = w.http.Close()
	w.net.Reset()
	time.Sleep(time.Minute) // net/http lingers
}

// reply is what a request was answered with.
type reply struct {
	status int
	header http.Header
	body   []byte
	frames []wire.Frame
}

// do makes a request; err is the network's.
func (w *world) do(ctx context.Context, method string, header http.Header, body io.Reader) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.url, body)
	require.NoError(w.t, err)
	for k, v := range header {
		r.Header[k] = v
	}
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	resp, err := w.tr.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	a := reply{status: resp.StatusCode, header: resp.Header, body: b}
	if resp.Header.Get("Content-Type") == wire.MediaType {
		a.frames = parseFrames(w.t, b)
	}
	return a, nil
}

func parseFrames(t *testing.T, b []byte) (list []wire.Frame) {
	t.Helper()
	for len(b) > 0 {
		f, n, err := wire.Parse(b)
		require.NoError(t, err)
		list = append(list, f)
		b = b[n:]
	}
	return list
}

// client is a client of the session protocol, by hand.
type client struct {
	*world
	secret [wire.SecretLen]byte
	sid    string
	header http.Header // with every request
	seq    uint64      // the last one sent
	k      uint64      // the last poll
}

func (w *world) client() *client {
	c := &client{world: w, header: http.Header{}}
	rand.Read(c.secret[:])
	return c
}

func frame(typ wire.Type, payload []byte) []byte {
	return wire.Append(nil, wire.Frame{Type: typ, Payload: payload})
}

func (c *client) hello() []byte {
	return frame(wire.Hello, wire.HelloPayload{Secret: c.secret, SID: c.sid, RecvNext: 1, MaxMessage: 1 << 20}.Append(nil))
}

func (c *client) credential() string {
	return c.sid + "." + base64.RawURLEncoding.EncodeToString(c.secret[:])
}

// post makes a request of the polling transport.
func (c *client) post(ctx context.Context, op string, header http.Header, body []byte) (reply, error) {
	h := http.Header{"Content-Type": {wire.MediaType}, headerOp: {op}}
	if op != "open" {
		h.Set(headerSession, c.credential())
	}
	for _, more := range []http.Header{c.header, header} {
		for k, v := range more {
			h[k] = v
		}
	}
	return c.do(ctx, http.MethodPost, h, bytes.NewReader(body))
}

func (c *client) open() reply {
	a, err := c.post(context.Background(), "open", nil, c.hello())
	require.NoError(c.t, err)
	if a.status == 200 {
		require.Len(c.t, a.frames, 1)
		c.sid = welcomeOf(c.t, a.frames[0]).SID
	}
	return a
}

func welcomeOf(t *testing.T, f wire.Frame) wire.WelcomePayload {
	t.Helper()
	require.Equal(t, wire.Welcome, f.Type)
	p, err := wire.ParseWelcome(f.Payload)
	require.NoError(t, err)
	return p
}

func rejectOf(t *testing.T, frames []wire.Frame) wire.RejectPayload {
	t.Helper()
	require.Len(t, frames, 1)
	require.Equal(t, wire.Reject, frames[0].Type)
	p, err := wire.ParseReject(frames[0].Payload)
	require.NoError(t, err)
	return p
}

func attachFrame(n, recvNext uint64) []byte {
	return frame(wire.Attach, wire.AttachPayload{Attachment: n, RecvNext: recvNext, Window: 1 << 20}.Append(nil))
}

func ackFrame(ack uint64) []byte {
	return wire.Append(nil, wire.Frame{Type: wire.Ack, Ack: ack, Payload: wire.AckPayload{RecvNext: ack + 1, Window: 1 << 20}.Append(nil)})
}

// data is the next message of the client as a frame.
func (c *client) data(text string) []byte {
	c.seq++
	return wire.Append(nil, wire.Frame{Type: wire.Data, Flags: wire.Text, Seq: c.seq, Payload: []byte(text)})
}

func (c *client) closeFrame(ack uint64, code uint16, reason string) []byte {
	c.seq++
	return wire.Append(nil, wire.Frame{Type: wire.Close, Seq: c.seq, Ack: ack, Payload: wire.ClosePayload{Code: code, Reason: reason}.Append(nil)})
}

// poll asks for frames on an attachment.
func (c *client) poll(attachment uint64, hang time.Duration, body []byte) reply {
	a, err := c.tryPoll(context.Background(), attachment, hang, body)
	require.NoError(c.t, err)
	return a
}

func (c *client) tryPoll(ctx context.Context, attachment uint64, hang time.Duration, body []byte) (reply, error) {
	c.k++
	return c.post(ctx, "poll", pollHeader(attachment, c.k, hang), body)
}

func pollHeader(attachment, k uint64, hang time.Duration) http.Header {
	return http.Header{
		headerAttachment: {strconv.FormatUint(attachment, 10)},
		headerPoll:       {strconv.FormatUint(k, 10)},
		headerHang:       {strconv.FormatInt(hang.Milliseconds(), 10)},
	}
}

func (c *client) send(attachment uint64, body []byte) reply {
	a, err := c.post(context.Background(), "send", http.Header{headerAttachment: {strconv.FormatUint(attachment, 10)}}, body)
	require.NoError(c.t, err)
	return a
}

// attachPoll opens the session and attaches it by a poll, which is answered soon.
func (c *client) attachPoll() {
	c.t.Helper()
	require.Equal(c.t, 200, c.open().status)
	a := c.poll(1, time.Minute, append(attachFrame(1, 1), ackFrame(0)...))
	require.Equal(c.t, 200, a.status)
	require.NotEmpty(c.t, a.frames)
	require.NotEqual(c.t, wire.Ping, a.frames[0].Type, "the ATTACH is acknowledged before the poll's time is over")
}

func types(frames []wire.Frame) (list []wire.Type) {
	for _, f := range frames {
		list = append(list, f.Type)
	}
	return list
}

// texts are the payloads of the DATA among frames.
func texts(frames []wire.Frame) (list []string) {
	for _, f := range frames {
		if f.Type == wire.Data {
			list = append(list, string(f.Payload))
		}
	}
	return list
}

func frameOf(t *testing.T, frames []wire.Frame, typ wire.Type) wire.Frame {
	t.Helper()
	for _, f := range frames {
		if f.Type == typ {
			return f
		}
	}
	require.Failf(t, "no such frame", "%v in %v", typ, types(frames))
	return wire.Frame{}
}

// Hello, Poll and Receive make a client a transport.Session, for wslink.
type wsSession struct{ *client }

func (c wsSession) Hello() []byte        { return c.hello() }
func (wsSession) Poll() (uint64, []byte) { return 0, nil }
func (wsSession) Receive(_ []byte) error { return nil }
func (c *client) wsRequest() *transport.Request {
	return &transport.Request{
		URL: &url.URL{Scheme: "ws", Host: address, Path: "/path"}, Header: c.header, Session: wsSession{c},
		DialContext: c.net.DialContext, MaxMessageSize: wire.MaxBatch, WriteTimeout: 10 * time.Second,
	}
}

// dial makes a WebSocket link, and aborts it when the test ends.
func (w *world) dial(r *transport.Request) (transport.Link, error) {
	return wslink.New().Dial(context.Background(), r)
}

// candidate makes a welcomed link.
func (c *client) candidate() transport.Link {
	c.t.Helper()
	l, err := c.dial(c.wsRequest())
	require.NoError(c.t, err)
	require.True(c.t, l.Info().Session)
	c.sid = welcomeOf(c.t, readFrames(c.t, l)[0]).SID
	return l
}

// attachWS makes a link that is attached.
func (c *client) attachWS(n uint64) transport.Link {
	c.t.Helper()
	l := c.candidate()
	write(c.t, l, attachFrame(n, 1))
	require.Equal(c.t, wire.Ack, readFrames(c.t, l)[0].Type)
	return l
}

func readFrames(t *testing.T, l transport.Link) []wire.Frame {
	t.Helper()
	_, b, err := l.Read(nil)
	require.NoError(t, err)
	return parseFrames(t, b)
}

func write(t *testing.T, l transport.Link, frames []byte) {
	t.Helper()
	_, err := l.Write(batch(frames))
	require.NoError(t, err)
}

// rawConn connects without any client in between.
func (w *world) rawConn() net.Conn {
	c, err := w.net.DialContext(context.Background(), "tcp", address)
	require.NoError(w.t, err)
	return c
}

// echo sends back what it receives.
func echo(ctx context.Context, s *Session) error {
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, m.Type, m.Data); err != nil {
			return err
		}
	}
	return nil
}

// idle does nothing until the session ends.
func idle(ctx context.Context, _ *Session) error {
	<-ctx.Done()
	return nil
}

// parked is a handler that hands its session to the test, and returns what the
// test says.
type parked struct {
	sessions chan *Session
	result   chan error
}

func park() *parked { return &parked{make(chan *Session, 100), make(chan error, 100)} }

func (p *parked) handle(ctx context.Context, s *Session) error {
	p.sessions <- s
	select {
	case err := <-p.result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// later runs f and returns what it returned, when asked.
func later[T any](f func() T) func() T {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	return func() T { return <-ch }
}

func send(t *testing.T, s *Session, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.NoError(t, s.Send(context.Background(), holdfast.Text, []byte(text)))
	}
}

func receive(t *testing.T, s *Session) string {
	t.Helper()
	m, err := s.Receive(context.Background())
	require.NoError(t, err)
	return string(m.Data)
}

func (s *Server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions.all)
}

func withValue(h http.Handler, key, value any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key, value)))
	})
}
