package fallback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// The protocol's headers.
const (
	headerVersion     = "Holdfast-Version"
	headerOp          = "Holdfast-Op"
	headerSession     = "Holdfast-Session"
	headerAttachment  = "Holdfast-Attachment"
	headerPoll        = "Holdfast-Poll"
	headerHang        = "Holdfast-Hang"
	headerSubprotocol = "Holdfast-Subprotocol"
	headerIdempotency = "Idempotency-Key"
)

// longGrace is how late the answer to a poll may be, and that to any request
// where Request.WriteTimeout says nothing else.
const longGrace = 10 * time.Second

var (
	errBigAnswer = fmt.Errorf("an answer larger than %d bytes", wire.MaxBatch)
	errBrokeOff  = fmt.Errorf("the answer broke off: %w", io.ErrUnexpectedEOF)
	errCut       = fmt.Errorf("the answer ends inside a frame: %w", io.ErrUnexpectedEOF)
	errNoFrames  = errors.New("the answer has no frames")
)

// query is one request.
type query struct {
	op     string
	body   []byte
	header http.Header // beside those that every request has
	// silence is how long nothing of the answer may arrive, 0 for ever.
	silence time.Duration
}

func (q *query) set(key, value string) {
	if q.header == nil {
		q.header = http.Header{}
	}
	q.header.Set(key, value)
}

// kind is what became of a request.
type kind int

const (
	broken   kind = iota // no answer
	local                // nothing was asked: the program's own code has failed
	foreign              // an answer, but not of a server that speaks the protocol
	refused              // the server's, but no frames
	cut                  // the server's, of which the end is missing
	answered             // the server's, whole
)

// result is what became of a request. err is a *transport.Error, or a
// *transport.ProtocolError; nil with answered.
type result struct {
	kind     kind
	x        *exchange
	resp     *http.Response // nil without an answer; its body has been read or is closed
	batch    []byte         // dst, and the whole frames of the server's
	numbered bool           // one of them has a number of its own
	left     bool           // some of the request may have left
	took     time.Duration  // from the time when the request was out
	err      error
}

// post makes a request, and appends the frames of its answer to dst.
func (l *longLink) post(ctx context.Context, q *query, dst []byte) *result {
	dog := newWatchdog(ctx, q.silence)
	defer dog.stop()
	start := time.Now()
	var out atomic.Int64 // after start
	resp, x, err := l.client.do(dog, l.request(q), func() {
		out.Store(int64(time.Since(start)))
		dog.alive(q.silence)
	})
	res := &result{x: x, resp: resp, batch: dst, err: err}
	if err == nil {
		l.take(dog, q, res)
		resp.Body.Close()
	} else if transport.Phase(x.phase.Load()) == transport.PhaseAuthorize {
		res.kind = local
	}
	res.left = x.left.Load()
	res.took = time.Since(start) - time.Duration(out.Load())
	return res
}

// take judges an answer, and reads it if it is the server's.
func (l *longLink) take(dog *watchdog, q *query, res *result) {
	l.pulse.beat()
	h := res.resp.Header
	for _, secret := range []string{headerSession, "Holdfast-Hello"} {
		h.Del(secret) // an echo of the request's
	}
	frames, readable := framed(h)
	if h.Get(headerVersion) != wire.Version || !readable {
		res.kind, res.err = foreign, res.x.fail(dog, statusError(res.resp.StatusCode))
		return
	}
	start := len(res.batch)
	batch, err := l.readBody(dog, q, res)
	switch {
	case !frames:
		res.kind, res.err = refused, res.x.fail(dog, statusError(res.resp.StatusCode))
		return
	case errors.Is(err, errBigAnswer):
		res.kind, res.err = refused, &transport.ProtocolError{Code: 1002, Err: err}
		return
	}
	n, numbered, short := whole(batch[start:])
	res.batch, res.numbered = batch[:start+n], numbered
	switch {
	case err != nil:
		if err = redact.Error(ofNetwork(err)); err == nil { // a parser's
			err = errBrokeOff
		}
	case short:
		err = errCut
	case n == 0:
		err = errNoFrames
	}
	res.kind = answered
	if err != nil {
		res.kind, res.err = cut, res.x.fail(dog, err)
	}
}

// readBody appends the body to res.batch, to its end: so the connection can be
// used again.
func (l *longLink) readBody(dog *watchdog, q *query, res *result) ([]byte, error) {
	batch := res.batch
	start := len(batch)
	for {
		if len(batch) == cap(batch) {
			batch = append(batch, 0)[:len(batch)]
		}
		n, err := res.resp.Body.Read(batch[len(batch):cap(batch)])
		batch = batch[:len(batch)+n]
		if n > 0 {
			l.pulse.beat()
			dog.alive(q.silence)
		}
		switch {
		case len(batch)-start > wire.MaxBatch:
			return batch, errBigAnswer
		case err == io.EOF:
			return batch, nil
		case err != nil:
			return batch, err
		}
	}
}

// framed says whether an answer has frames, and whether nobody on the way has
// put it into another form.
func framed(h http.Header) (frames, readable bool) {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	encoding := h.Get("Content-Encoding")
	return media == wire.MediaType, encoding == "" || strings.EqualFold(encoding, "identity")
}

// request makes the HTTP request.
func (l *longLink) request(q *query) *http.Request {
	target := *l.url
	h := q.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(headerOp, q.op)
	h.Set("Content-Type", wire.MediaType)
	h.Set("Accept-Encoding", "identity")
	if l.credential != "" {
		h.Set(headerSession, l.credential)
	}
	if n := l.attachment.Load(); n > 0 {
		h.Set(headerAttachment, strconv.FormatUint(n, 10))
	}
	stayHere(h)
	req := &http.Request{Method: http.MethodPost, URL: &target, Header: h, ContentLength: int64(len(q.body)), Body: http.NoBody}
	if len(q.body) > 0 {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.body)), nil }
		req.Body, _ = req.GetBody()
	}
	return req
}

// attempts are those in a row at one thing, polls or sends.
type attempts struct{ failed, unauthorized bool }

// again says whether to ask once more at once. What is not our server's answer is
// nobody's last word, and neither is a 401: Authorize runs before the next
// request.
func (a *attempts) again(res *result) bool {
	once := &a.failed
	switch {
	case res.kind == local:
		return false
	case res.resp != nil && res.resp.StatusCode == http.StatusUnauthorized:
		once = &a.unauthorized
	case res.kind == refused:
		return false
	}
	if *once {
		return false
	}
	*once = true
	return true
}

// forPosts is r without headers that are not the program's to set here. The
// program's code sees none of the protocol's own: one of them is a secret.
func forPosts(r *transport.Request) *transport.Request {
	own := *r
	own.Header = r.Header.Clone()
	for key := range own.Header {
		switch http.CanonicalHeaderKey(key) {
		case "Expect", "Content-Encoding", headerIdempotency:
			delete(own.Header, key)
		}
	}
	takeOwn(own.Header)
	if r.Authorize != nil {
		own.Authorize = func(ctx context.Context, req *http.Request) error {
			kept := takeOwn(req.Header)
			err := r.Authorize(ctx, req)
			takeOwn(req.Header)
			if req.Header == nil {
				req.Header = http.Header{}
			}
			for key, values := range kept {
				req.Header[key] = values
			}
			return err
		}
	}
	if r.Proxy != nil {
		own.Proxy = func(req *http.Request) (*url.URL, error) {
			takeOwn(req.Header)
			return r.Proxy(req)
		}
	}
	return &own
}

// takeOwn takes the protocol's headers out of h.
func takeOwn(h http.Header) http.Header {
	own := http.Header{}
	for key, values := range h {
		if strings.HasPrefix(strings.ToLower(key), "holdfast-") {
			own[key] = values
			delete(h, key)
		}
	}
	return own
}
