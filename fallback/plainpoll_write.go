package fallback

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// maxPlainDrain is how much of the answer to a POST is read, to keep the connection.
	maxPlainDrain = 64 << 10
	// What this host's buffers hold of a message, at most plainBuffers KiB, may
	// still be on its way when all is written: a KiB has plainPerKiB.
	plainBuffers = 4 << 10
	plainPerKiB  = time.Second / 64
)

// Write sends each message in a POST of its own, in order, and returns when the
// last is answered. A message whose answer says that the request was not applied
// (401, 407, 408, 421, 429, 503: RFC 9110, section 15) counts as not sent.
func (l *plainLink) Write(msgs []transport.Message) (n int, err error) {
	for i, m := range msgs {
		if l.writeErr != nil {
			return i, l.writeErr
		}
		left, err := l.post(m)
		if err == nil {
			continue
		}
		if l.ctx.Err() != nil {
			err = net.ErrClosed
		}
		l.writeErr = err
		if left {
			i++
		}
		return i, err
	}
	return len(msgs), nil
}

// post sends one message. left says, with an error, whether any of it may have
// reached the server.
func (l *plainLink) post(m transport.Message) (left bool, err error) {
	if m.Type != transport.Text && m.Type != transport.Binary {
		return false, fmt.Errorf("a message of type %v", m.Type)
	}
	limit := l.r.WriteTimeout
	dog := newWatchdog(l.ctx, limit)
	defer dog.stop()
	data := slices.Clone(m.Data) // net/http may read on for a while after its answer
	body := func() (io.ReadCloser, error) {
		if len(data) == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(&moving{bytes.NewReader(data), dog, limit}), nil
	}
	req := &http.Request{Method: http.MethodPost, URL: l.sendURL, ContentLength: int64(len(data)), GetBody: body, Header: http.Header{}}
	req.Body, _ = body()
	if !has(l.r.Header, "Content-Type") {
		req.Header.Set("Content-Type", l.contentType(m.Type))
	}
	stayHere(req.Header)
	resp, x, err := l.send.do(dog, req, func() {
		if limit > 0 {
			dog.alive(limit + plainPerKiB*time.Duration(min(len(data)>>10, plainBuffers)))
		}
	})
	if err != nil {
		return x.left.Load(), err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return !notApplied(resp.StatusCode), x.fail(dog, statusError(resp.StatusCode))
	}
	// What follows an answer is of no account.
	_, _ = io.CopyN(io.Discard, resp.Body, maxPlainDrain)
	return true, nil
}

func (l *plainLink) contentType(t transport.MessageType) string {
	switch {
	case t == transport.Binary:
		return "application/octet-stream"
	case l.opts.Split:
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// notApplied says whether an answer of this status says that its request had no effect.
func notApplied(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusMisdirectedRequest,
		http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// moving tells the watchdog that the network takes what is read from it.
type moving struct {
	io.Reader
	dog   *watchdog
	limit time.Duration
}

func (m *moving) Read(p []byte) (int, error) {
	m.dog.alive(m.limit)
	return m.Reader.Read(p)
}
