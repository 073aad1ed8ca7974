// Package session is the state machine of the session protocol, holdfast.v1:
// what one end has sent and not yet seen acknowledged, and what it has
// received. Both ends use the same code. It does no I/O and reads no clock;
// docs/protocol.md is the page that it follows.
package session

import (
	"errors"
	"fmt"
	"math"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// The bounds and close codes that the state machine knows by itself.
const (
	// MaxPing is the longest payload of a PING, in bytes.
	MaxPing = 1024

	ackMessages = 64             // messages after which an ACK is due
	ackBytes    = 64 << 10       // bytes after which an ACK is due
	maxConfig   = int64(1) << 60 // a bound over this is this
	frameCost   = wire.MaxPayload + wire.Overhead
	codeProto   = 1002 // RFC 6455 section 7.4.1, like the two below
	codeText    = 1007
	codeTooBig  = 1009
)

// ErrAhead says that a numbered frame came before one that it follows. The
// state is as before. Frames of a link come in order, so the link is broken:
// detach and resume. In the body of a send, answer with an ACK.
var ErrAhead = errors.New("session: a frame is missing before this one")

// ErrStale says that an attachment's number is not higher than the present one.
var ErrStale = errors.New("session: stale attachment")

// ErrFull is wrapped by the *Violation that Receive returns for a frame beyond
// the window. The receive state is as before, so in the body of a send the
// caller stops there and answers with an ACK; on an ordered link it is an error.
var ErrFull = errors.New("session: a frame beyond the window")

// A Violation says that the peer broke the protocol. The session cannot go on.
type Violation struct {
	// Code is what to close with: 1002, 1007 or 1009 (RFC 6455 section 7.4.1).
	Code uint16
	// Err says what was wrong. It has nothing of a message's content.
	Err error
}

// Error returns what was wrong.
func (v *Violation) Error() string { return v.Err.Error() }

// Unwrap returns Err.
func (v *Violation) Unwrap() error { return v.Err }

func violation(code uint16, format string, args ...any) error {
	return &Violation{Code: code, Err: fmt.Errorf("session: "+format, args...)}
}

// Sink hears what Receive finds, in order. Its methods must not call the
// Session.
type Sink interface {
	// Message gives a message. data is for the time of the call only.
	Message(typ transport.MessageType, data []byte)
	// Gap says that the frames from from to to will never come: at least one
	// message is missing at this place.
	Gap(from, to uint64)
	// Acked says that the messages up to id are in the peer's inbox, but for
	// those given to Drop and Skip. It is called when id has grown.
	Acked(id uint64)
	// Pong says that the PING of Ping(id) was answered, and with it every one
	// before it: of several at once the peer answers the last.
	Pong(id uint64)
	// GoAway asks for another link, for one of the wire.GoAway reasons or a
	// later version's.
	GoAway(reason uint64)
	// Closed is the peer's CLOSE, which comes after everything else it sent.
	Closed(code uint16, reason string)
}

// Config is the bounds of what is received.
type Config struct {
	// MaxMessage is the largest message received, in bytes; at least 1.
	MaxMessage int64
	// Window is how many bytes of received frames, wire.Overhead each
	// included, may be held before the peer is held back. When nothing is held,
	// one message of MaxMessage is taken whatever Window says, and of what
	// follows it half of Window or four frames at most.
	Window int64
}

// Session is one end of a session: what it has sent and the peer has not
// acknowledged, and what it has received. No I/O, no clock, no lock: it is not
// safe for concurrent use.
type Session struct {
	c Config

	// Attaching.
	attachment uint64 // the present one's number, or the last one's; 0 for none yet
	linked     bool   // a link is attached
	attachDue  bool   // client: ATTACH goes out next
	answered   bool   // client: a frame came on the present attachment

	// Sending. The items cover the numbers from acked + 1 to sent without a
	// hole; the first may begin before that.
	items    deque.Ring[item]
	sent     uint64 // the last number given
	acked    uint64
	peerNext uint64 // the highest number known to be the next that the peer wants
	cursor   uint64 // the next to go out on the attached link
	offset   int64  // what everything numbered so far cost of the window
	edge     int64  // the offset up to which the peer has room
	buffered int64  // bytes of messages in items
	lastID   uint64 // the last one told to Sink.Acked
	closing  bool   // CLOSE is numbered

	pingDue, goAwayDue bool
	ping, goAway       uint64
	pong               []byte // the payload of the pending PONG
	pongDue            bool
	scratch            [64]byte // payloads of control frames

	// Receiving.
	recvNext   uint64
	peerClosed bool
	part       []byte // the message in assembly, if partFirst is not 0
	partFirst  uint64
	partCost   int64
	partFlags  wire.Flags
	held       int64 // delivered and not yet taken, as far as is known
	granted    int64 // what the peer may send from recvNext on, as announced

	// What was received since the peer was last told.
	unacked, ackDue bool
	newMessages     int
	newBytes        int

	mutation mutation // tests only
}

// mutation leaves out one rule of the protocol, to prove that the tests notice.
type mutation int

const (
	noFencing  mutation = iota + 1 // frames of a stale attachment are received
	noTrimming                     // a GAP is reported as it came
	noRewind                       // a new link goes on where the last one was
	noDiscard                      // a GAP leaves the message in assembly
)

// New returns a session that has sent and received nothing.
func New(c Config) *Session {
	c.MaxMessage = min(max(c.MaxMessage, 1), maxConfig)
	c.Window = min(max(c.Window, 0), maxConfig)
	return &Session{c: c, items: deque.Ring[item]{Pool: &items}, peerNext: 1, cursor: 1, recvNext: 1}
}

// Done says that CLOSE was sent and acknowledged, and the peer's was received.
// Its acknowledgement may still be due.
func (s *Session) Done() bool {
	return s.closing && s.acked == s.sent && s.peerClosed
}

// Unacked says what is buffered: the numbered frames that the peer has not
// acknowledged, and the bytes of the messages among them.
func (s *Session) Unacked() (frames int, bytes int64) {
	return int(min(s.sent-s.acked, math.MaxInt)), s.buffered
}
