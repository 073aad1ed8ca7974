//go:build !js

package wslink_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is never reached when all is well.
const patience = 20 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// request is one for raw with the defaults of these tests.
func request(t *testing.T, raw string) *transport.Request {
	return &transport.Request{URL: parse(t, raw), MaxMessageSize: 1 << 20, WriteTimeout: patience}
}

func dial(t *testing.T, r *transport.Request) transport.Link {
	t.Helper()
	l, err := wslink.New().Dial(testContext(t), r)
	require.NoError(t, err)
	t.Cleanup(l.Abort)
	return l
}

// readOn reads until the link ends, as Close needs it.
func readOn(l transport.Link) {
	go func() {
		for {
			if _, _, err := l.Read(nil); err != nil {
				return
			}
		}
	}()
}

// dialError dials, expects a failure, and checks that no secret shows.
func dialError(t *testing.T, ctx context.Context, r *transport.Request) *transport.Error {
	t.Helper()
	l, err := wslink.New().Dial(ctx, r)
	if err == nil {
		l.Abort()
	}
	require.Error(t, err)
	var te *transport.Error
	require.ErrorAs(t, err, &te)
	for _, text := range chain(err) {
		assert.NotContains(t, text, "SECRET")
	}
	return te
}

// chain lists the text of err and of all that it wraps.
func chain(err error) []string {
	texts := []string{err.Error()}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if e := x.Unwrap(); e != nil {
			texts = append(texts, chain(e)...)
		}
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			texts = append(texts, chain(e)...)
		}
	}
	return texts
}

// httpServer serves h until the test ends.
func httpServer(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func tlsServer(t *testing.T, h http.HandlerFunc) (string, *tls.Config) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return "wss" + strings.TrimPrefix(s.URL, "https"), &tls.Config{RootCAs: pool}
}

var anyOrigin = &websocket.AcceptOptions{InsecureSkipVerify: true}

// echo accepts and sends every message back until the peer closes.
func echo(opts *websocket.AcceptOptions) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, opts)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			typ, p, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), typ, p) != nil {
				return
			}
		}
	}
}

// listen runs serve for each connection; all have returned when the test ends.
func listen(t *testing.T, serve func(net.Conn)) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	var conns []net.Conn
	go func() {
		defer close(done)
		running := make(chan struct{}, 1000)
		n := 0
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			n++
			go func() {
				defer func() { running <- struct{}{} }()
				defer c.Close()
				serve(c)
			}()
		}
		for _, c := range conns {
			c.Close()
		}
		for range n {
			<-running
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln
}

// wire is the server's end of a link, byte by byte.
type wire struct {
	net.Conn
	br *bufio.Reader
}

// rawServer shakes hands and hands the connection to serve.
func rawServer(t *testing.T, serve func(*wire)) string {
	return rawServerWith(t, nil, serve)
}

// rawServerWith also sends first, in one segment with the handshake's answer.
func rawServerWith(t *testing.T, first []byte, serve func(*wire)) string {
	ln := listen(t, func(c net.Conn) {
		if w := upgrade(c, "", first); w != nil {
			serve(w)
		}
	})
	return "ws://" + ln.Addr().String()
}

func readRequest(w *wire) *http.Request {
	w.br = bufio.NewReader(w.Conn)
	req, err := http.ReadRequest(w.br)
	if err != nil {
		return nil
	}
	return req
}

// answerUpgrade shakes hands with more header lines.
func answerUpgrade(c net.Conn, header string) *wire { return upgrade(c, header, nil) }

func upgrade(c net.Conn, header string, first []byte) *wire {
	w := &wire{Conn: c}
	req := readRequest(w)
	if req == nil {
		return nil
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept(req) + "\r\n" + header + "\r\n"
	w.Write(append([]byte(answer), first...))
	return w
}

func accept(req *http.Request) string {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// frame builds a frame of the server's: head is FIN, RSV and opcode.
func frame(head byte, payload ...byte) []byte {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func closeFrame(code uint16, reason string) []byte {
	return frame(0x88, append(binary.BigEndian.AppendUint16(nil, code), reason...)...)
}

// frameIn is a frame of the client's, unmasked.
type frameIn struct {
	head    byte
	payload []byte
}

// next reads a frame of the client's.
func (w *wire) next() (frameIn, error) {
	var h [2]byte
	if _, err := io.ReadFull(w.br, h[:]); err != nil {
		return frameIn{}, err
	}
	if h[1]&0x80 == 0 {
		return frameIn{}, errors.New("unmasked")
	}
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		io.ReadFull(w.br, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		io.ReadFull(w.br, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	var key [4]byte
	io.ReadFull(w.br, key[:])
	p := make([]byte, n)
	if _, err := io.ReadFull(w.br, p); err != nil {
		return frameIn{}, err
	}
	for i := range p {
		p[i] ^= key[i%4]
	}
	return frameIn{h[0], p}, nil
}

// nextClose reads up to a close frame and returns its code, 0 if none came.
func (w *wire) nextClose() uint16 {
	for {
		f, err := w.next()
		if err != nil {
			return 0
		}
		if f.head == 0x88 {
			if len(f.payload) < 2 {
				return 1005
			}
			return binary.BigEndian.Uint16(f.payload)
		}
	}
}

// drain reads until the client is gone.
func (w *wire) drain() { io.Copy(io.Discard, w.br) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// receive waits for a value.
func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}
