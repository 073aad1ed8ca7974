//go:build !js

package wslink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

// maxResponseHeader bounds the bytes of an answer's header, 1xx answers included.
const maxResponseHeader = 1 << 20

var (
	errNotHTTP   = errors.New("the answer is not HTTP")
	errBigHeader = errors.New("the answer's header is larger than " + strconv.Itoa(maxResponseHeader) + " bytes")
)

type statusError int

func (s statusError) Error() string {
	if name := http.StatusText(int(s)); name != "" {
		return fmt.Sprintf("the answer is %d %s, not 101", int(s), name)
	}
	return fmt.Sprintf("the answer is %d, not 101", int(s))
}

// RoundTrip sends one request over a connection of its own. An answer other
// than 101 has no body and leaves no connection.
func (a *attempt) RoundTrip(req *http.Request) (*http.Response, error) {
	a.phase, a.proxied, a.status, a.header = transport.PhaseNone, false, 0, nil
	if err := a.ctx.Err(); err != nil {
		return nil, a.fail(err)
	}
	out := req.Clone(a.ctx)
	out.URL.User = nil
	proxy, err := a.proxyFor(out)
	if err != nil {
		return nil, a.fail(err)
	}
	a.proxied = proxy != nil
	if err := a.authorize(out); err != nil {
		return nil, a.fail(err)
	}
	way, err := a.connect(out.URL, proxy)
	if err != nil {
		return nil, a.fail(redact.Error(err))
	}
	if a.r.Connected != nil {
		a.r.Connected()
	}
	a.phase = transport.PhaseHandshake
	a.offerSession(out)
	resp, rest, err := exchange(way, out)
	if !way.release() && err == nil {
		err = a.ctx.Err()
	}
	if err != nil {
		way.raw.Close()
		return nil, a.fail(redact.Error(err))
	}
	resp.Request = req // without what only the server may see
	a.status, a.header = resp.StatusCode, resp.Header
	if resp.StatusCode != http.StatusSwitchingProtocols {
		way.raw.Close()
		resp.Body = http.NoBody
		if err := checkLocation(resp); err != nil {
			return nil, a.fail(err)
		}
		return resp, nil
	}
	a.stream = newStream(way.Conn, way.raw, rest, a.r.WriteTimeout)
	resp.Body = a.stream
	return resp, nil
}

// exchange writes req and reads the header of its answer. rest is what
// arrived behind it.
func exchange(conn net.Conn, req *http.Request) (resp *http.Response, rest []byte, err error) {
	if err := req.Write(conn); err != nil {
		return nil, nil, err
	}
	src := &headerReader{conn: conn, left: maxResponseHeader}
	br := bufio.NewReader(src)
	for {
		resp, err = http.ReadResponse(br, req)
		if err != nil {
			// The parser's errors quote the answer, which may quote the request.
			switch {
			case src.left <= 0:
				err = errBigHeader
			case src.err != nil:
				err = src.err
			default:
				err = errNotHTTP
			}
			return nil, nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	rest, _ = br.Peek(br.Buffered())
	return resp, rest, nil
}

// headerReader remembers why reading ended, and ends it at its limit.
type headerReader struct {
	conn net.Conn
	left int
	err  error
}

func (h *headerReader) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, io.EOF
	}
	n, err := h.conn.Read(p[:min(len(p), h.left)])
	h.left -= n
	if err != nil {
		h.err = err
	}
	return n, err
}

// guard runs f when ctx ends. release ends the watch and says whether it
// ended in time; the watcher is gone when it returns.
func guard(ctx context.Context, f func()) (release func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		f()
		close(done)
	})
	return func() bool {
		if stop() {
			return true
		}
		<-done
		return false
	}
}
