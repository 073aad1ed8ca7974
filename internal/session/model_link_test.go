package session

import (
	"errors"
	"slices"

	"pgregory.net/rapid"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// A link carries batches of frames between the two ends: in order, as over
// WebSocket, or by requests and their answers.
type link struct {
	polling        bool
	client, server *end
	n              uint64 // the client's number for it, 0 for a candidate
	serverN        uint64 // what the server has heard of that
	welcome        *wire.WelcomePayload
	cut            bool // nothing more gets in

	up, down [][]wire.Frame // over WebSocket

	// Polling. Copies of a request may arrive more than once.
	polled     uint64 // the number of the client's last poll
	waiting    bool   // the client waits for its answer
	polls      []request
	answers    []request
	heard      uint64 // the number of the poll that the server last took
	hanging    bool   // and has not answered
	sending    []wire.Frame
	sends      [][]wire.Frame
	sendAnswer []wire.Frame
}

type request struct {
	k      uint64
	frames []wire.Frame
}

// parse takes a batch apart, and checks that it is whole.
func parse(b []byte) []wire.Frame {
	var list []wire.Frame
	for len(b) > 0 {
		f, n, err := wire.Parse(b)
		must(err == nil, "a frame that cannot be read: %v", err)
		list, b = append(list, f), b[n:]
	}
	return list
}

// batch is what an end has to send now.
func (e *end) batch(room int) []wire.Frame {
	due := e.s.Due() || e.s.Sendable()
	b := e.s.Next(nil, room)
	must(len(b) <= room, "%s sends %d bytes, with room for %d", e.name, len(b), room)
	must(due == (len(b) > 0) || room < 80<<10 && len(b) == 0, "%s: %d bytes come, though something due is %v", e.name, len(b), due)
	e.watch()
	return parse(b)
}

// current says that the client, or the server, uses the link.
func (l *link) currentAt(e *end) bool {
	n := l.n
	if e == l.server {
		n = l.serverN
	}
	return n > 0 && e.s.linked && e.s.attachment == n
}

// attach makes the client go over to the link.
func (l *link) attach() {
	s := l.client.s
	n, err := s.Attach(*l.welcome)
	must(err == nil, "the client cannot attach: %v", err)
	l.n, l.welcome = n, nil
	checkRewound(l.client)
}

func checkRewound(e *end) {
	must(e.s.mutation != 0 || e.s.cursor == max(e.s.peerNext, e.s.acked+1), "%s goes on at %d on a new link", e.name, e.s.cursor)
}

// atServer hands frames to the server.
func (l *link) atServer(list []wire.Frame) {
	if len(list) > 0 && list[0].Type == wire.Attach && l.serverN == 0 {
		p, err := wire.ParseAttach(list[0].Payload)
		must(err == nil && p.Attachment == l.n, "ATTACH that cannot be read: %v", err)
		switch err := l.server.s.Attached(p); {
		case err == nil:
			checkRewound(l.server)
		case !errors.Is(err, ErrStale):
			fail("the server does not attach: %v", err)
		}
		l.serverN = p.Attachment
	}
	l.server.receive(l.serverN, list)
}

// flush sends what an end has for a WebSocket link.
func (l *link) flush(e *end, room int) {
	if l.polling || !l.currentAt(e) {
		return
	}
	list := e.batch(room)
	switch {
	case l.cut || len(list) == 0:
	case e == l.client:
		l.up = append(l.up, list)
	default:
		l.down = append(l.down, list)
	}
}

// deliver takes one batch off a WebSocket link.
func (l *link) deliver(up bool) {
	if up && len(l.up) > 0 {
		list := l.up[0]
		l.up = l.up[1:]
		l.atServer(list)
	} else if !up && len(l.down) > 0 {
		list := l.down[0]
		l.down = l.down[1:]
		l.client.receive(l.n, list)
	}
}

// truncate loses the end of what is on its way.
func truncate(t *rapid.T, queue [][]wire.Frame) [][]wire.Frame {
	if len(queue) == 0 {
		return nil
	}
	n := rapid.IntRange(1, len(queue)).Draw(t, "batches left")
	queue = queue[:n:n]
	queue[n-1] = prefix(t, queue[n-1])
	return queue
}

func prefix(t *rapid.T, list []wire.Frame) []wire.Frame {
	return list[:rapid.IntRange(0, len(list)).Draw(t, "frames left")]
}

// notice tells an end that the link is gone.
func (l *link) notice(e *end) {
	l.cut = true
	if l.currentAt(e) {
		e.s.Detach()
	}
}

// The steps of polling.

func (l *link) poll() {
	if l.cut || l.waiting || !l.currentAt(l.client) {
		return
	}
	b := l.client.s.Poll()
	must(len(b) > 0, "a poll is empty")
	l.client.watch()
	l.polled, l.waiting = l.polled+1, true
	l.polls = append(l.polls, request{l.polled, parse(b)})
}

func (l *link) pollArrives(i int, again bool) {
	r := l.polls[i]
	if !again {
		l.polls = slices.Delete(l.polls, i, i+1)
	}
	if r.k < l.heard {
		return
	}
	l.heard = r.k
	l.atServer(r.frames)
	if l.hanging = l.currentAt(l.server); l.hanging {
		l.server.s.Rewind()
	}
}

func (l *link) pollAnswered() {
	if !l.hanging || !l.currentAt(l.server) {
		l.hanging = false
		return
	}
	if list := l.server.batch(wire.MaxBatch); len(list) > 0 {
		l.hanging = false
		l.answers = append(l.answers, request{l.heard, list})
	}
}

func (l *link) answerArrives(cut func([]wire.Frame) []wire.Frame) {
	if len(l.answers) == 0 {
		return
	}
	r := l.answers[0]
	l.answers = l.answers[1:]
	if r.k == l.polled && l.waiting {
		l.waiting = false
		l.client.receive(l.n, cut(r.frames))
	}
}

func (l *link) send(room int) {
	if l.cut || l.sending != nil || !l.currentAt(l.client) {
		return
	}
	if list := l.client.batch(room); len(list) > 0 {
		l.sending = list
		l.sends = append(l.sends, list)
	}
}

func (l *link) sendArrives(i int, again bool, cut func([]wire.Frame) []wire.Frame) {
	list := l.sends[i]
	if !again {
		l.sends = slices.Delete(l.sends, i, i+1)
	}
	l.atServer(cut(list))
	if l.currentAt(l.server) {
		l.sendAnswer = parse(l.server.s.Poll())
		l.server.watch()
	}
}

func (l *link) sendAnswered() {
	if l.sending == nil || l.sendAnswer == nil {
		return
	}
	list := l.sendAnswer
	l.sending, l.sendAnswer = nil, nil
	l.client.receive(l.n, list)
	if l.currentAt(l.client) {
		l.client.s.Rewind()
	}
}
