package fallback_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

const longSID = "node.sid"

var (
	longSecret     = [wire.SecretLen]byte{'S', 'E', 'C', 'R', 'E', 'T', 1, 2, 3, 4}
	longCredential = longSID + "." + base64.RawURLEncoding.EncodeToString(longSecret[:])
)

// longSession is the session's side of a link.
type longSession struct {
	mu         sync.Mutex
	attachment uint64
	polls      int
	received   [][]byte
	err        error // Receive's
}

func (s *longSession) Hello() []byte { return longHello() }

func (s *longSession) Poll() (uint64, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls++
	return s.attachment, longAck(uint64(s.polls))
}

func (s *longSession) Receive(frames []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, append([]byte(nil), frames...))
	return s.err
}

func longHello() []byte {
	p := wire.HelloPayload{Secret: longSecret, RecvNext: 1, MaxMessage: 1 << 20}
	return wire.Append(nil, wire.Frame{Type: wire.Hello, Payload: p.Append(nil)})
}

func longWelcome() []byte {
	p := wire.WelcomePayload{SID: longSID, RecvNext: 1, Window: 1 << 20, MaxMessage: 1 << 20, ResumeTTL: time.Minute}
	return wire.Append(nil, wire.Frame{Type: wire.Welcome, Payload: p.Append(nil)})
}

func longReject(status int) []byte {
	return wire.Append(nil, wire.Frame{Type: wire.Reject, Payload: wire.RejectPayload{Status: status}.Append(nil)})
}

func longAck(next uint64) []byte {
	return wire.Append(nil, wire.Frame{Type: wire.Ack, Payload: wire.AckPayload{RecvNext: next, Window: 1}.Append(nil)})
}

func longAttach(n uint64) []byte {
	return wire.Append(nil, wire.Frame{Type: wire.Attach, Payload: wire.AttachPayload{Attachment: n, RecvNext: 1}.Append(nil)})
}

// longData is a DATA frame of size bytes in all.
func longData(seq uint64, size int) []byte {
	head := len(wire.Append(nil, wire.Frame{Type: wire.Data, Seq: seq, Payload: make([]byte, size)})) - size
	b := wire.Append(nil, wire.Frame{Type: wire.Data, Seq: seq, Payload: make([]byte, size-head)})
	if len(b) != size {
		panic("a frame of another size")
	}
	return b
}

func longPing() []byte { return wire.Append(nil, wire.Frame{Type: wire.Ping}) }

func glue(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func batch(data []byte) []transport.Message {
	return []transport.Message{{Type: transport.Binary, Data: data}}
}

// ours answers as a server that speaks the protocol.
func ours(status int, frames []byte) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Holdfast-Version", "1")
		rw.Header().Set("Content-Type", wire.MediaType)
		rw.WriteHeader(status)
		rw.Write(frames)
	}
}

// wordless answers as that server without frames.
func wordless(status int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Holdfast-Version", "1")
		rw.Header().Set("Retry-After", "7")
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.WriteHeader(status)
		io.WriteString(rw, "no\n")
	}
}

// theirs answers as something on the way.
func theirs(status int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Retry-After", "8")
		rw.Header().Set("Holdfast-Session", r.Header.Get("Holdfast-Session")) // an echo
		rw.Header().Set("Content-Type", "text/html")
		rw.WriteHeader(status)
		io.WriteString(rw, "<html>")
	}
}

// broken ends the connection without an answer.
func broken(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cutShort announces more than it says.
func cutShort(frames []byte) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Holdfast-Version", "1")
		rw.Header().Set("Content-Type", wire.MediaType)
		rw.Header().Set("Content-Length", "100000")
		rw.Write(frames)
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// held waits, then goes on, unless the client goes away first.
func held(d time.Duration, next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			next(rw, r)
		case <-r.Context().Done():
		}
	}
}

// silent never answers.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// steps goes through its steps, and stays at the last.
type steps struct {
	mu   sync.Mutex
	list []http.HandlerFunc
}

func then(list ...http.HandlerFunc) *steps { return &steps{list: list} }

func (s *steps) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	step := s.list[0]
	if len(s.list) > 1 {
		s.list = s.list[1:]
	}
	s.mu.Unlock()
	step(rw, r)
}

// posted is a request as the server saw it.
type posted struct {
	at      time.Duration
	op      string
	uri     string
	host    string
	header  http.Header
	length  int64
	chunked bool
	proto   int
	body    []byte
}

// longServer is a scripted server.
type longServer struct {
	open, poll, send, close http.Handler
	start                   time.Time

	mu   sync.Mutex
	seen []posted
}

func newLongServer() *longServer {
	return &longServer{
		open: ours(200, longWelcome()), poll: http.HandlerFunc(silent), send: ours(200, longAck(1)), close: ours(200, nil),
		start: time.Now(),
	}
}

func (s *longServer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	op := r.Header.Get("Holdfast-Op")
	s.mu.Lock()
	s.seen = append(s.seen, posted{
		at: time.Since(s.start), op: op, uri: r.RequestURI, host: r.Host, header: r.Header.Clone(), length: r.ContentLength,
		chunked: len(r.TransferEncoding) > 0, proto: r.ProtoMajor, body: body,
	})
	s.mu.Unlock()
	map[string]http.Handler{"open": s.open, "poll": s.poll, "send": s.send, "close": s.close}[op].ServeHTTP(rw, r)
}

// of lists the requests of one op.
func (s *longServer) of(op string) (list []posted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.seen {
		if p.op == op {
			list = append(list, p)
		}
	}
	return list
}

// times are when the requests of one op came.
func (s *longServer) times(op string) (list []time.Duration) {
	for _, p := range s.of(op) {
		list = append(list, p.at)
	}
	return list
}

// longWorld is a bubble with a scripted server at server.test.
type longWorld struct {
	*longServer
	net     *memnet.Network
	session *longSession
	request *transport.Request
}

// longBubble runs f in a bubble. It ends when nothing is left in it, so f's links
// have to be freed; no connection of theirs may be left either.
func longBubble(t *testing.T, f func(t *testing.T, w *longWorld)) {
	t.Helper()
	inLongBubble(t, nil, f)
}

// longBubble2 is the same over TLS and HTTP/2.
func longBubble2(t *testing.T, f func(t *testing.T, w *longWorld)) {
	t.Helper()
	outside := httptest.NewTLSServer(nil) // for its certificate
	pool := x509.NewCertPool()
	pool.AddCert(outside.Certificate())
	outside.Close()
	cfg := &tls.Config{Certificates: outside.TLS.Certificates, RootCAs: pool, ServerName: "example.com"}
	inLongBubble(t, cfg, f)
}

func inLongBubble(t *testing.T, secure *tls.Config, f func(t *testing.T, w *longWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &longWorld{longServer: newLongServer(), net: memnet.New(), session: &longSession{attachment: 3}}
		w.request = &transport.Request{
			URL: &url.URL{Scheme: "ws", Host: "server.test", Path: "/chat", RawQuery: "token=SECRET"}, Session: w.session,
			DialContext: w.net.DialContext, WriteTimeout: 10 * time.Second, MaxMessageSize: 1 << 20,
		}
		l, err := w.net.Listen("server.test:80")
		require.NoError(t, err)
		srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: w, TLSConfig: secure.Clone()}
		done := make(chan error)
		go func() {
			if secure == nil {
				done <- srv.Serve(l)
				return
			}
			w.request.URL.Scheme, w.request.URL.Host, w.request.TLSConfig = "wss", "server.test:80", secure
			done <- srv.ServeTLS(l, "", "")
		}()
		synctest.Wait()
		defer func() {
			synctest.Wait()
			assert.Zero(t, w.net.Conns(), "connections that are left")
			srv.Close()
			<-done
		}()
		f(t, w)
	})
}

// dial makes a link, and reads the WELCOME.
func (w *longWorld) dial(t *testing.T) transport.Link {
	t.Helper()
	l := w.link(t)
	_, data, err := l.Read(nil)
	require.NoError(t, err)
	require.Equal(t, longWelcome(), data)
	return l
}

// link makes a link.
func (w *longWorld) link(t *testing.T) transport.Link {
	t.Helper()
	l, err := fallback.LongPoll(nil).Dial(t.Context(), w.request)
	require.NoError(t, err)
	return l
}

// fails dials, expects a failure, and checks that no secret shows.
func (w *longWorld) fails(t *testing.T, ctx context.Context) *transport.Error {
	t.Helper()
	return longDialError(t, ctx, nil, w.request)
}

func longDialError(t *testing.T, ctx context.Context, opts *fallback.LongPollOptions, r *transport.Request) *transport.Error {
	t.Helper()
	l, err := fallback.LongPoll(opts).Dial(ctx, r)
	if err == nil {
		l.Abort()
	}
	var te *transport.Error
	require.ErrorAs(t, err, &te)
	noSecrets(t, err)
	return te
}

func noSecrets(t *testing.T, err error) {
	t.Helper()
	var te *transport.Error
	if errors.As(err, &te) {
		assert.Empty(t, te.Header.Get("Holdfast-Session"))
	}
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, err.Error(), "SECRET")
		assert.NotContains(t, err.Error(), longCredential)
	}
}

func readBatch(t *testing.T, l transport.Link) []byte {
	t.Helper()
	typ, data, err := l.Read([]byte("mine"))
	require.NoError(t, err)
	require.Equal(t, transport.Binary, typ)
	require.Equal(t, "mine", string(data[:4]))
	return data[4:]
}

func readFails(t *testing.T, l transport.Link) error {
	t.Helper()
	dst := []byte("mine")
	_, data, err := l.Read(dst)
	require.Error(t, err)
	assert.Equal(t, "mine", string(data))
	_, _, again := l.Read(nil)
	assert.Equal(t, err, again, "it stays")
	noSecrets(t, err)
	return err
}

func writeFails(t *testing.T, l transport.Link, data []byte) error {
	t.Helper()
	_, err := l.Write(batch(data))
	require.Error(t, err)
	n, again := l.Write(batch(data))
	assert.Zero(t, n)
	assert.Equal(t, err, again, "it stays")
	noSecrets(t, err)
	return err
}

func statusOf(t *testing.T, err error) int {
	t.Helper()
	var te *transport.Error
	require.ErrorAs(t, err, &te)
	return te.StatusCode
}

// authorize is a Request.Authorize without its context.
func authorize(f func(*http.Request) error) func(context.Context, *http.Request) error {
	return func(_ context.Context, r *http.Request) error { return f(r) }
}
