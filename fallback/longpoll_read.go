package fallback

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// longHeld is how long a poll has to have hung for its end to be taken for that
// of somebody's patience, which is seldom under 5 s.
const longHeld = 4 * time.Second

// polling is the state of Read.
type polling struct {
	first    []byte // the answer to HELLO, nil once it has been read
	number   uint64 // of the last poll
	hang     time.Duration
	attempts attempts
	err      error // the first, sticky
}

// Read blocks for the next batch of frames.
func (l *longLink) Read(dst []byte) (transport.MessageType, []byte, error) {
	s := &l.polling
	switch {
	case s.err != nil:
		return 0, dst, s.err
	case l.life.Err() != nil:
		s.err = l.ended(nil)
		return 0, dst, s.err
	case s.first != nil:
		dst = append(dst, s.first...)
		s.first = nil
		return transport.Binary, dst, nil
	}
	batch, err := l.poll(dst)
	if err != nil {
		s.err = l.ended(err)
		return 0, dst, s.err
	}
	return transport.Binary, batch, nil
}

// poll asks for frames until some have arrived, and appends them to dst.
func (l *longLink) poll(dst []byte) ([]byte, error) {
	s := &l.polling
	if l.credential == "" {
		return nil, errNoSession
	}
	for {
		res := l.post(l.life, l.nextPoll(), dst)
		switch {
		case l.life.Err() != nil:
			return nil, net.ErrClosed
		case res.kind == answered, res.kind == cut && res.numbered:
			s.attempts = attempts{}
			return res.batch, nil
		case res.impatient() && s.hang > longMinHang:
			s.hang = max(s.hang/2, longMinHang)
		case !s.attempts.again(res):
			return nil, res.err
		case len(res.batch) > len(dst):
			return res.batch, nil // nothing new in it, so a second one is an end
		}
	}
}

// nextPoll is the next request for frames. It is never the same again: one that
// is still on its way is the older one.
func (l *longLink) nextPoll() *query {
	s := &l.polling
	attachment, frames := l.session.Poll()
	if attachment > 0 {
		l.attachment.Store(attachment)
	}
	s.number++
	q := &query{op: "poll", body: frames, silence: s.hang + longGrace}
	q.set(headerPoll, strconv.FormatUint(s.number, 10))
	q.set(headerHang, strconv.FormatInt(s.hang.Milliseconds(), 10))
	return q
}

// impatient says that somebody on the way would not wait until the server had
// something to say.
func (res *result) impatient() bool {
	switch {
	case res.took < longHeld:
		return false
	case res.kind == foreign:
		return res.resp.StatusCode == http.StatusBadGateway || res.resp.StatusCode == http.StatusGatewayTimeout
	case res.kind == broken, res.kind == cut:
		return errors.Is(res.err, io.EOF) || errors.Is(res.err, io.ErrUnexpectedEOF) || errors.Is(res.err, syscall.ECONNRESET)
	}
	return false
}
