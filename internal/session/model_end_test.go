package session

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// broken is what the model panics with when something is not as it must be.
type broken struct{ text string }

func fail(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

func must(ok bool, format string, args ...any) {
	if !ok {
		fail(format, args...)
	}
}

// pool is where the content of messages is cut from: ASCII, so that it may be
// text, and random, so that no two messages are alike.
var pool = func() []byte {
	b := make([]byte, 1<<20)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(b); i++ {
		b[i] = byte(' ' + r.IntN(90))
	}
	return b
}()

// message is one that the application gave to an end.
type message struct {
	id  uint64
	typ transport.MessageType
	at  int // in the pool
	n   int
}

func (m message) data() []byte { return pool[m.at : m.at+m.n] }

// unit is the truth about a run of numbers: a message, a skipped place, or CLOSE.
type unit struct {
	message
	first, last uint64
	offset      int64 // what all before it cost of the window
	kind        wire.Type
	gone        bool // dropped: it may or may not arrive
	code        uint16
}

// end is a Session with the application on top of it, and all that is known of
// what it did. It is the session's sink.
type end struct {
	name string
	s    *Session
	peer *end

	// Sending.
	nextID uint64
	queue  []message // not yet numbered
	units  []unit
	acked  uint64 // as the sink heard
	pinged uint64
	ponged uint64

	// Receiving.
	want   uint64 // the first number that is neither delivered nor reported
	pos    int    // the peer's unit that begins with it
	inbox  []int64
	held   int64
	closed bool
	// largest is the most that a message in assembly has cost.
	largest int64

	// What never goes back, as last seen.
	edge                int64
	seenNext, seenAcked uint64
}

func newEnd(name string, c Config, m mutation) *end {
	e := &end{name: name, s: New(c), want: 1}
	e.s.mutation = m
	return e
}

// number puts the front of the queue into the session.
func (e *end) number() {
	m := e.queue[0]
	e.queue = e.queue[1:]
	e.s.Send(m.id, m.typ, m.data())
	e.add(unit{message: m, kind: wire.Data}, uint64(frames(int64(m.n))))
}

// skip gives up the first n of the queue.
func (e *end) skip(n int) {
	var id uint64
	for _, m := range e.queue[:n] {
		id = max(id, m.id)
	}
	e.queue = e.queue[n:]
	e.s.Skip(id)
	if !e.s.closing {
		e.add(unit{message: message{id: id}, kind: wire.Gap, gone: true}, 1)
	}
}

func (e *end) close(code uint16) {
	for len(e.queue) > 0 {
		e.number()
	}
	before := e.s.sent
	e.s.Close(code, "bye")
	if e.s.sent > before {
		e.add(unit{kind: wire.Close, code: code}, 1)
	}
}

func (e *end) add(u unit, frames uint64) {
	u.first = 1
	if n := len(e.units); n > 0 {
		last := e.units[n-1]
		u.first, u.offset = last.last+1, last.offset
		if last.kind == wire.Data {
			u.offset += cost(int64(last.n))
		}
	}
	u.last = u.first + frames - 1
	e.units = append(e.units, u)
	must(e.s.sent == u.last, "%s numbered up to %d, not %d", e.name, e.s.sent, u.last)
}

func (e *end) drop(id uint64) {
	for i := range e.units {
		if u := &e.units[i]; u.kind == wire.Data && u.id > 0 && u.id <= id && u.last > e.s.acked {
			u.gone = true
		}
	}
	e.s.Drop(id)
}

// take empties the inbox of its first n messages.
func (e *end) take(n int) {
	for _, size := range e.inbox[:n] {
		e.held -= size
	}
	e.inbox = e.inbox[n:]
	e.watch()
}

// watch does what NotifyAt asks of the caller.
func (e *end) watch() {
	if at := e.s.NotifyAt(); e.held <= at {
		e.s.SetHeld(e.held)
		must(e.s.ackDue, "%s has no ACK due though %d are held and NotifyAt was %d", e.name, e.held, at)
	}
}

// next is the peer's unit at the receiver's place.
func (e *end) next() *unit {
	must(e.pos < len(e.peer.units), "%s got more than was sent", e.name)
	u := &e.peer.units[e.pos]
	must(u.first == e.want, "%s is at %d, inside %d-%d", e.name, e.want, u.first, u.last)
	return u
}

func (e *end) pass(u *unit) { e.pos, e.want = e.pos+1, u.last+1 }

func (e *end) Message(typ transport.MessageType, data []byte) {
	u := e.next()
	must(u.kind == wire.Data && u.typ == typ && bytes.Equal(u.data(), data), "%s got another message than %d", e.name, u.first)
	e.pass(u)
	size := int64(len(data)) + wire.Overhead
	e.inbox, e.held = append(e.inbox, size), e.held+size
}

func (e *end) Gap(from, to uint64) {
	must(from == e.want && to >= from, "%s was told of the gap %d-%d at %d", e.name, from, to, e.want)
	for e.want <= to {
		u := e.next()
		must(u.gone && u.last <= to, "%s was told of the gap %d-%d, where %d-%d was sent", e.name, from, to, u.first, u.last)
		e.pass(u)
	}
}

func (e *end) Closed(code uint16, reason string) {
	u := e.next()
	must(u.kind == wire.Close && u.code == code && reason == "bye", "%s was told of CLOSE at %d", e.name, u.first)
	e.pass(u)
	e.closed = true
}

func (e *end) Acked(id uint64) {
	must(id > e.acked, "%s was told of %d after %d", e.name, id, e.acked)
	e.acked = id
	for _, u := range e.units {
		if u.id > 0 && u.id <= id {
			must(u.last < e.peer.want, "%s was told that %d is there", e.name, u.id)
		}
	}
}

func (e *end) Pong(id uint64) {
	must(id > 0 && id <= e.pinged, "%s got a PONG of %d", e.name, id)
	e.ponged = max(e.ponged, id)
}

func (e *end) GoAway(reason uint64) {
	must(reason == wire.GoAwayRestart, "%s was sent away for %d", e.name, reason)
}

// receiveState is what a stale frame must leave alone.
type receiveState struct {
	recvNext, partFirst uint64
	part                int
	closed, pong        bool
	granted, held       int64
}

func (e *end) state() receiveState {
	s := e.s
	return receiveState{s.recvNext, s.partFirst, len(s.part), s.peerClosed, s.pongDue, s.granted, s.held}
}

// receive hands over the frames of a batch that came on a link.
func (e *end) receive(attachment uint64, frames []wire.Frame) {
	for _, f := range frames {
		before, want := e.state(), e.want
		err := e.s.Receive(attachment, f, e)
		must(err == nil, "%s does not take %v %d on %d: %v", e.name, f.Type, f.Seq, attachment, err)
		if attachment < e.s.attachment || attachment == 0 {
			must(e.state() == before && e.want == want, "%s took a stale %v %d", e.name, f.Type, f.Seq)
		}
		e.check()
	}
	e.watch()
}

// check checks what must hold at every moment.
func (e *end) check() {
	s, peer := e.s, e.peer
	must(s.ack()+1 == e.want, "%s acknowledges %d, and %d is next", e.name, s.ack(), e.want)
	must(e.want <= s.recvNext && s.recvNext <= peer.s.sent+1, "%s wants %d of %d", e.name, s.recvNext, peer.s.sent)
	must(s.acked < peer.want && peer.want <= s.sent+1, "%s: acked %d, delivered %d, sent %d", e.name, s.acked, peer.want-1, s.sent)
	must(s.peerNext <= peer.s.recvNext, "%s thinks that %d is wanted, not %d", e.name, s.peerNext, peer.s.recvNext)
	must(s.peerClosed == e.closed, "%s: CLOSE got lost", e.name)
	e.checkBuffer()
	// The window.
	e.largest = max(e.largest, s.partCost)
	most := max(s.c.Window, min(s.c.MaxMessage, wire.MaxPayload)+wire.Overhead)
	if e.largest > 0 { // a message of several frames goes on beyond the window
		most = max(most, min(cost(s.c.MaxMessage), e.largest+max(s.c.Window/2, 4*frameCost)))
	}
	must(s.granted >= 0 && e.held+s.partCost+s.granted <= most, "%s holds %d, has %d, and granted %d", e.name, e.held, s.partCost, s.granted)
	must(int64(cap(s.part)) <= s.c.MaxMessage, "%s has %d bytes of a message", e.name, cap(s.part))
	must(e.held <= s.held, "%s knows of %d held, not %d", e.name, s.held, e.held)
	must(s.edge <= e.offset(peer.s.recvNext)+peer.s.granted, "%s thinks that there is room up to %d", e.name, s.edge)
	must(s.edge >= e.edge && s.peerNext >= e.seenNext && s.acked >= e.seenAcked, "%s went back", e.name)
	e.edge, e.seenNext, e.seenAcked = s.edge, s.peerNext, s.acked
	must(s.cursor > s.acked && s.cursor <= s.sent+1, "%s goes on at %d", e.name, s.cursor)
}

// offset is what all frames before seq cost of the window.
func (e *end) offset(seq uint64) int64 {
	for i := len(e.units) - 1; i >= 0; i-- {
		u := &e.units[i]
		switch {
		case u.first > seq:
		case u.kind != wire.Data:
			return u.offset
		case seq > u.last:
			return u.offset + cost(int64(u.n))
		default:
			return u.offset + int64(seq-u.first)*frameCost
		}
	}
	return 0
}

// checkBuffer checks that what is buffered is exactly what was numbered and is
// not acknowledged.
func (e *end) checkBuffer() {
	s := e.s
	count, bytes := s.Unacked()
	must(uint64(count) == s.sent-s.acked, "%s has %d frames buffered", e.name, count)
	must((s.items.Len() == 0) == (s.acked == s.sent), "%s has %d items buffered", e.name, s.items.Len())
	if s.items.Len() == 0 {
		must(bytes == 0, "%s has %d bytes buffered, and no message", e.name, bytes)
		return
	}
	must(s.items.At(0).first <= s.acked+1 && s.last(0) > s.acked, "%s: the buffer begins with %d", e.name, s.items.At(0).first)
	u := 0
	for ; e.units[u].last <= s.acked; u++ {
	}
	wasGap := false
	for i := range s.items.Len() {
		it, last := s.items.At(i), s.last(i)
		must(last >= it.first, "%s: items out of order at %d", e.name, it.first)
		must(it.typ != wire.Gap || !wasGap, "%s: two gaps at %d", e.name, it.first)
		wasGap = it.typ == wire.Gap
		must(!wasGap || it.first > s.acked, "%s: a gap at %d, which is acknowledged", e.name, it.first)
		if !wasGap {
			t := &e.units[u]
			must(t.first == it.first && t.last == last && !t.gone && t.kind == it.typ && t.id == it.id, "%s: another item than %d is buffered", e.name, t.first)
			if it.typ == wire.Data {
				must(len(it.data) == t.n, "%s: another message than %d is buffered", e.name, t.first)
				bytes -= int64(t.n)
			}
			u++
			continue
		}
		for ; u < len(e.units) && e.units[u].last <= last; u++ {
			must(e.units[u].gone, "%s: %d is in a gap", e.name, e.units[u].first)
		}
		must(e.units[u-1].last == last, "%s: a gap ends inside a message", e.name)
	}
	must(bytes == 0, "%s is wrong by %d about the bytes buffered", e.name, bytes)
	must(u == len(e.units), "%s: the end is not buffered", e.name)
}
