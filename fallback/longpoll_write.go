package fallback

import (
	"crypto/rand"
	"encoding/base64"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// longMinBody is the largest body, in bytes, that has to get through.
	longMinBody = 4 << 10
	// longRate is what a network has to carry, in bytes a second: what is
	// written may lie in buffers of this host for as long as that takes.
	longRate = 8 << 10
)

// sending is the state of Write.
type sending struct {
	limit    int // of a body, in bytes
	attempts attempts
	err      error // the first, sticky

	nonce string // begins the link's idempotency keys
	keys  atomic.Uint64
}

func (s *sending) begin() {
	s.limit = wire.MaxBatch
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	s.nonce = base64.RawURLEncoding.EncodeToString(nonce[:])
}

// nextKey is an idempotency key for one body: with one net/http repeats the request
// where the server has closed an idle connection at that moment.
func (s *sending) nextKey(op string) string {
	return s.nonce + "-" + op + "-" + strconv.FormatUint(s.keys.Add(1), 10)
}

// Write sends each batch of frames, and returns when the server has answered
// all of them.
func (l *longLink) Write(msgs []transport.Message) (n int, err error) {
	s := &l.sending
	for i, m := range msgs {
		left := false
		if s.err == nil {
			left, s.err = l.send(m.Data)
			if s.err != nil {
				s.err = l.ended(s.err)
			}
		}
		if s.err != nil {
			if left {
				i++
			}
			return i, s.err
		}
	}
	return len(msgs), nil
}

// send sends one batch, in as many bodies as it takes. left: some of it may have
// left.
func (l *longLink) send(batch []byte) (left bool, err error) {
	if l.credential == "" {
		return false, errNoSession
	}
	if n := attachmentOf(batch); n > 0 {
		l.attachment.Store(n)
	}
	s := &l.sending
	key := ""
	for len(batch) > 0 {
		part, frames := fitting(batch, s.limit)
		if key == "" {
			key = s.nextKey("send")
		}
		q := &query{op: "send", body: part, silence: l.grace + time.Duration(len(part))*time.Second/longRate}
		q.set(headerIdempotency, key)
		res := l.post(l.life, q, nil)
		left = left || res.left
		switch {
		case l.life.Err() != nil:
			return left, net.ErrClosed
		case res.kind == answered, res.kind == cut && len(res.batch) > 0:
			s.attempts = attempts{}
			if err := l.session.Receive(res.batch); err != nil {
				return left, err
			}
			batch, key = batch[len(part):], ""
		case res.kind == foreign && res.resp.StatusCode == http.StatusRequestEntityTooLarge:
			if frames < 2 || len(part) <= longMinBody {
				return left, res.err
			}
			s.limit = max(len(part)/2, longMinBody)
			key = ""
		case !s.attempts.again(res):
			return left, res.err
		}
	}
	return left, nil
}
