package server

import (
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	transportWebSocket = "websocket"
	transportLongPoll  = "longpoll"
)

// maxCandidates bounds the WebSocket links of a session that are not attached;
// the oldest gives way.
const maxCandidates = 4

// place is where a session is: its link, or since when it has none. The
// session's lock guards it.
type place struct {
	att        *pump.Attachment // the last one, nil before the first
	transport  string           // of att
	linked     bool             // att is a WebSocket link that lives
	poll       *poll            // that hangs
	k          uint64           // its number, or the last one's
	since      time.Time        // neither, or since the last HELLO
	grace      time.Duration    // that a poll may be away
	lost       bool             // the loss of the link has been told
	away       *time.Timer      // tells it of a poll; nil if nobody wants to know
	candidates []transport.Link
}

// poll is one request that waits for frames.
type poll struct {
	gone chan struct{} // closed when another one has taken its place
	left chan struct{} // closed when it takes no more frames
}

// number is the present attachment's, 0 before the first.
func (p *place) number() uint64 {
	if p.att == nil {
		return 0
	}
	return p.att.Number()
}

// attached says that there is a link, or a poll that is only between two
// requests.
func (p *place) attached(now time.Time) bool {
	return p.linked || p.poll != nil || p.att != nil && now.Before(p.since.Add(p.grace))
}

// idleSince is when the session has last had a link; only where it has none.
func (p *place) idleSince() time.Time { return p.since.Add(p.grace) }

// supersede puts another poll, or none, in the place of the one that hangs.
func (p *place) supersede(next *poll) {
	if p.poll != nil {
		close(p.poll.gone)
	}
	p.poll = next
}

func (p *place) addCandidate(l transport.Link) (tooMany transport.Link) {
	if len(p.candidates) >= maxCandidates {
		tooMany = p.candidates[0]
		p.candidates = slices.Delete(p.candidates, 0, 1)
	}
	p.candidates = append(p.candidates, l)
	return tooMany
}

func (p *place) removeCandidate(l transport.Link) {
	p.candidates = slices.DeleteFunc(p.candidates, func(other transport.Link) bool { return other == l })
}
