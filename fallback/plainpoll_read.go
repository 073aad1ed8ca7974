package fallback

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/transport"
)

const (
	maxPlainRedirects = 10
	// plainHeld and plainHeldPart (of the interval) are what a GET has to take for
	// having been held, whichever is longer.
	plainHeld     = time.Second
	plainHeldPart = 5
)

var (
	errHTML    = errors.New("the answer is an HTML page")
	errNotUTF8 = errors.New("text that is not UTF-8")
	errNotJSON = errors.New("an array that is not JSON")
)

// receiving is the state of Read.
type receiving struct {
	begun    bool          // the first GET's answer has been taken
	next     time.Time     // of the next GET
	etag     string        // of the last answer that was read whole
	modified string        // its Last-Modified
	elements *json.Decoder // of an array that has been read, nil for none
	err      error         // the first, sticky
}

// Read blocks for the next message.
func (l *plainLink) Read(dst []byte) (transport.MessageType, []byte, error) {
	s := &l.receiving
	for s.err == nil {
		if s.elements != nil && s.elements.More() {
			var element json.RawMessage
			if s.err = s.elements.Decode(&element); s.err != nil {
				break
			}
			return l.opts.Type, join(dst, element), nil
		}
		s.elements = nil
		body, err := l.poll()
		if err == nil {
			err = l.split(body)
		}
		switch {
		case err != nil && l.ctx.Err() != nil:
			s.err = net.ErrClosed
		case err != nil:
			s.err = err
		case len(body) > 0 && s.elements == nil:
			return l.opts.Type, join(dst, body), nil
		}
	}
	return 0, dst, s.err
}

// join appends data to dst, without a copy where there is no dst.
func join(dst, data []byte) []byte {
	if dst == nil {
		return data
	}
	return append(dst, data...)
}

// split checks a body, and takes it apart if that is wanted and possible.
func (l *plainLink) split(body []byte) error {
	if l.opts.Type == transport.Text && !utf8.Valid(body) {
		return &transport.ProtocolError{Code: 1007, Err: errNotUTF8}
	}
	if !l.opts.Split || !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		return nil
	}
	if !json.Valid(body) {
		return &transport.ProtocolError{Code: 1007, Err: errNotJSON}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil { // the bracket
		return &transport.ProtocolError{Code: 1007, Err: errNotJSON}
	}
	l.receiving.elements = d
	return nil
}

// poll gets the next answer's body, nil where it has none.
func (l *plainLink) poll() ([]byte, error) {
	s := &l.receiving
	var a *answer
	if !s.begun {
		s.begun = true
		a = <-l.first
	} else {
		if err := l.pause(); err != nil {
			return nil, err
		}
		a = l.get(l.r.WriteTimeout, nil)
	}
	defer a.discard()
	if a.err != nil {
		return nil, a.err
	}
	body, err := a.body(l.r.MaxMessageSize)
	if err != nil {
		return nil, err
	}
	if a.resp.StatusCode != http.StatusNotModified {
		s.etag, s.modified = a.resp.Header.Get("ETag"), a.resp.Header.Get("Last-Modified")
	}
	s.next = time.Now()
	if a.held < max(plainHeld, l.opts.Interval/plainHeldPart) {
		s.next = s.next.Add(l.opts.Interval)
	}
	return body, nil
}

// pause waits until the next GET is due.
func (l *plainLink) pause() error {
	wait := time.Until(l.receiving.next)
	if wait <= 0 {
		return l.ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// answer is that of a GET, or why there is none.
type answer struct {
	dog  *watchdog
	x    *exchange
	resp *http.Response // a 2xx or 304; its body is not read yet
	held time.Duration  // how long the server took for it
	err  error          // a *transport.Error
}

// get asks for messages. limit bounds how long it may take until the request is
// out, 0 for not; plainSilence bounds what follows.
func (l *plainLink) get(limit time.Duration, written func()) *answer {
	a := &answer{dog: newWatchdog(l.ctx, limit)}
	start := time.Now()
	var out atomic.Int64
	target := l.receiveURL
	for hops := 0; ; hops++ {
		req := &http.Request{Method: http.MethodGet, URL: target, Header: l.conditions()}
		a.resp, a.x, a.err = l.receive.do(a.dog, req, func() {
			out.Store(int64(time.Since(start)))
			a.dog.alive(plainSilence)
			if written != nil {
				written()
			}
		})
		if a.err != nil {
			return a
		}
		a.held = time.Since(start) - time.Duration(out.Load())
		next := redirect(a.resp, target)
		if next == nil || hops == maxPlainRedirects {
			break
		}
		a.resp.Body.Close()
		target = next
	}
	switch status := a.resp.StatusCode; {
	case status != http.StatusNotModified && (status < 200 || status > 299):
		a.err = a.x.fail(a.dog, statusError(status))
	case isHTML(a.resp):
		a.err = a.x.fail(a.dog, errHTML)
	}
	return a
}

// conditions are the headers that spare the server what it has told already.
func (l *plainLink) conditions() http.Header {
	h := http.Header{}
	for key, value := range map[string]string{"If-None-Match": l.receiving.etag, "If-Modified-Since": l.receiving.modified} {
		if value != "" {
			h.Set(key, value)
		}
	}
	if !inBrowser { // where another origin would have to allow it
		h.Set("Cache-Control", "no-cache")
	}
	stayHere(h)
	return h
}

// redirect is where resp leads to, nil where it leads nowhere or away from the origin.
func redirect(resp *http.Response, from *url.URL) *url.URL {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	location := resp.Header.Get("Location")
	to, err := from.Parse(location)
	if location == "" || err != nil || origin(to) != origin(from) {
		return nil
	}
	return bare(to)
}

// isHTML says whether resp is a page, as captive portals give in anyone's place.
func isHTML(resp *http.Response) bool {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return resp.ContentLength != 0 && (media == "text/html" || media == "application/xhtml+xml")
}

// body reads all of the answer's body, at most limit bytes where that is positive.
func (a *answer) body(limit int64) ([]byte, error) {
	tooBig := fmt.Errorf("%w of %d bytes", transport.ErrMessageTooBig, limit)
	if limit > 0 && a.resp.ContentLength > limit {
		return nil, tooBig
	}
	var src io.Reader = &watched{a.resp.Body, a}
	if limit > 0 {
		src = io.LimitReader(src, limit+1)
	}
	body, err := io.ReadAll(src)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer broke off: %w", a.x.fail(a.dog, a.x.clean(err)).Err)
	case limit > 0 && int64(len(body)) > limit:
		return nil, tooBig
	}
	return body, nil
}

// watched tells the watchdog, and the link, of what arrives.
type watched struct {
	r io.Reader
	a *answer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.a.dog.alive(plainSilence)
		w.a.x.client.heard()
	}
	return n, err
}

// discard gives up what is left of the answer.
func (a *answer) discard() {
	if a.resp != nil {
		a.resp.Body.Close()
	}
	a.dog.stop()
}
