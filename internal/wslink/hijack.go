//go:build !js

package wslink

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// accept lets coder do the handshake over a stream of this package's.
func accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions) (transport.Link, error) {
	l := newLink(serverSide, o.MaxMessageSize, o.OnPong)
	opts := &websocket.AcceptOptions{
		Subprotocols:       o.Subprotocols,
		OriginPatterns:     o.OriginPatterns,
		InsecureSkipVerify: o.SkipOrigin,
		OnPingReceived:     l.onPing,
		OnPongReceived:     l.onPong,
	}
	if o.Compression {
		opts.CompressionMode = websocket.CompressionNoContextTakeover
	}
	if o.Session {
		w.Header().Set(versionHeader, wire.Version)
	}
	u := &upgrade{ResponseWriter: w, hijacker: hijackerOf(w), timeout: o.WriteTimeout}
	var seen http.ResponseWriter = u
	if u.hijacker == nil {
		seen = w // coder refuses
	}
	conn, err := websocket.Accept(seen, r, opts)
	if err != nil {
		return nil, plain(err.Error())
	}
	info := &transport.Info{
		Subprotocol: conn.Subprotocol(),
		LocalAddr:   u.stream.conn.LocalAddr(),
		RemoteAddr:  u.stream.conn.RemoteAddr(),
		Session:     o.Session,
	}
	if info.Subprotocol == SessionSubprotocol {
		info.Subprotocol = ""
	}
	l.start(conn, u.stream, w.Header().Get(extensionsHeader) != "", info)
	return l, nil
}

// hijackerOf looks for one in w and what it wraps, as http.ResponseController
// does; nil if there is none.
func hijackerOf(w http.ResponseWriter) http.Hijacker {
	for {
		switch x := w.(type) {
		case http.Hijacker:
			return x
		case interface{ Unwrap() http.ResponseWriter }:
			w = x.Unwrap()
		default:
			return nil
		}
	}
}

// upgrade is the ResponseWriter that coder sees. What it hijacks is a stream.
type upgrade struct {
	http.ResponseWriter
	hijacker http.Hijacker
	timeout  time.Duration
	stream   *stream // after Hijack
}

// WriteHeaderNow is called by coder for frameworks that put WriteHeader off.
func (u *upgrade) WriteHeaderNow() {
	if w, ok := u.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}

// Hijack implements http.Hijacker. coder reads and writes through the buffers,
// so they have to lead through the stream too.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := u.hijacker.Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	raw := conn
	if c, ok := conn.(*tls.Conn); ok {
		raw = c.NetConn()
	}
	rest, _ := brw.Reader.Peek(brw.Reader.Buffered())
	u.stream = newStream(conn, raw, rest, u.timeout)
	over := streamConn{Conn: conn, stream: u.stream}
	brw.Reader.Reset(over)
	brw.Writer.Reset(over)
	return over, brw, nil
}

// streamConn is a stream as a net.Conn.
type streamConn struct {
	net.Conn
	stream *stream
}

func (c streamConn) Read(p []byte) (int, error)  { return c.stream.Read(p) }
func (c streamConn) Write(p []byte) (int, error) { return c.stream.Write(p) }
func (c streamConn) Close() error                { return c.stream.Close() }
