package server

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

// answerRoom is what an answer has at most.
const answerRoom = wire.MaxBatch - 2*wire.MaxHeader - 64

// answers are buffers for the answers of polls: a poll that hangs has none.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// reach returns the attachment with a number, if that is the present one of a
// client that polls. A higher one attaches, and its ATTACH begins the body.
func (s *Session) reach(number uint64, body []byte) (*pump.Attachment, *refusal) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil, s.gone()
	}
	defer s.mu.Unlock()
	return s.reachLocked(number, body)
}

// reachLocked is reach for a session that has not ended, with its lock.
func (s *Session) reachLocked(number uint64, body []byte) (*pump.Attachment, *refusal) {
	switch present := s.place.number(); {
	case number < present, number == present && s.place.transport != transportLongPoll:
		return nil, s.stale()
	case number == present:
		return s.place.att, nil
	}
	p, f := parseAttach(body)
	if f == nil && p.Attachment != number {
		f = refuse(http.StatusBadRequest, "ATTACH has another number than "+headerAttachment)
	}
	if f != nil {
		return nil, f
	}
	return s.attach(p, transportLongPoll)
}

// parseAttach reads the frame that begins a link's first batch.
func parseAttach(b []byte) (p wire.AttachPayload, f *refusal) {
	frame, _, err := wire.Parse(b)
	if err == nil && frame.Type != wire.Attach {
		return p, refuse(http.StatusBadRequest, "a new attachment begins with ATTACH")
	}
	if err == nil {
		p, err = wire.ParseAttach(frame.Payload)
	}
	if err != nil || p.Attachment == 0 {
		return p, refuse(http.StatusBadRequest, "ATTACH is malformed")
	}
	return p, nil
}

// held says that the session took what came before, and that the rest has to
// come again.
func held(err error) bool {
	return errors.Is(err, session.ErrAhead) || errors.Is(err, session.ErrFull)
}

// gone is the answer for a session that has ended, or is about to.
func (s *Session) gone() *refusal {
	<-s.done
	return s.final.gone()
}

// faulty is the answer to frames that the session did not take.
func (s *Session) faulty(err error) *refusal {
	if isClosed(s.done) {
		return s.gone()
	}
	return violated(err)
}

// replaced is the answer to those whose link is not the session's any more.
func (s *Session) replaced() *refusal {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return s.gone()
	}
	defer s.mu.Unlock()
	return s.stale()
}

// servePoll waits for frames, for as long as the client says.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request, attachment uint64) *refusal {
	k, ok := parseNumber(r.Header.Get(headerPoll))
	if !ok {
		return refuse(http.StatusBadRequest, headerPoll+" is malformed")
	}
	hang, ok := parseHang(r.Header.Get(headerHang))
	if !ok {
		return refuse(http.StatusBadRequest, headerHang+" is malformed")
	}
	body, f := readBody(w, r)
	if f != nil {
		return f
	}
	p := &poll{gone: make(chan struct{}), left: make(chan struct{})}
	att, old, f := s.arrive(p, attachment, k, body)
	if f != nil {
		return f
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(hang + writeTimeout)) // where it can be set
	frames, f := s.answerPoll(r, p, old, att, body, hang)
	s.leave(p, hang)
	if f != nil || frames == nil {
		return f
	}
	answerFrames(w, *frames)
	if *frames = (*frames)[:0]; cap(*frames) <= 2*wire.MaxBatch {
		answers.Put(frames)
	}
	return nil
}

// arrive takes the place of the poll that hangs, if there is one: only one takes
// frames at a time.
func (s *Session) arrive(p *poll, attachment, k uint64, body []byte) (att *pump.Attachment, old *poll, f *refusal) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil, nil, s.gone()
	}
	defer s.mu.Unlock()
	if s.place.transport == transportLongPoll && attachment == s.place.number() && k < s.place.k {
		return nil, nil, s.stale()
	}
	now, before := time.Now(), s.place.poll
	s.noteAway(now)
	if att, f = s.reachLocked(attachment, body); f != nil {
		return nil, nil, f
	}
	s.place.k = k
	s.place.supersede(p)
	if s.place.lost { // on the attachment that it had
		s.place.lost = false
		s.obs.linked(holdfast.EventConnected, true, transportLongPoll, now)
	}
	return att, before, nil
}

// leave ends a poll: it takes no more frames.
func (s *Session) leave(p *poll, hang time.Duration) {
	s.mu.Lock()
	if s.place.poll == p {
		s.place.poll = nil
		s.place.since, s.place.grace = time.Now(), hang+s.srv.opts.Keepalive.Timeout
		s.watchAway()
	}
	s.mu.Unlock()
	close(p.left)
}

// answerPoll is what a poll is answered with: frames, a refusal, or nothing
// where the client has gone.
func (s *Session) answerPoll(r *http.Request, p, old *poll, att *pump.Attachment, body []byte, hang time.Duration) (*[]byte, *refusal) {
	if old != nil {
		<-old.left
	}
	err := att.Receive(body)
	s.received(err)
	if err != nil && !held(err) {
		return nil, s.faulty(err)
	}
	// Nothing is on its way: what the client has not acknowledged it has not got.
	att.Rewind()
	timeout := time.NewTimer(hang)
	defer timeout.Stop()
	defer s.out.Wake() // a token taken here may be the next poll's
	for {
		if s.completed() || isClosed(p.gone) || isClosed(att.Gone()) {
			return nil, s.replaced()
		}
		if frames := s.take(att); frames != nil {
			return frames, nil
		}
		select {
		case <-att.Ready():
		case <-p.gone:
		case <-att.Gone(): // as it is when the session ends
		case <-r.Context().Done():
			return nil, nil
		case <-timeout.C:
			return hangOver(), nil
		}
	}
}

// hangOver is what answers a poll for which nothing came: the next poll
// acknowledges it with PONG.
func hangOver() *[]byte {
	ping := wire.Append(nil, wire.Frame{Type: wire.Ping, Payload: make([]byte, 8)})
	return &ping
}

// take returns the frames that are due, nil if there are none.
func (s *Session) take(att *pump.Attachment) *[]byte {
	buf := answers.Get().(*[]byte)
	if *buf = att.Next((*buf)[:0], answerRoom); len(*buf) == 0 {
		answers.Put(buf)
		return nil
	}
	return buf
}
