package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// BufferSize is how many bytes a direction of a connection holds, those under
// way and those that wait for a Read together. A Write blocks when it is full.
const BufferSize = 64 << 10

// The reasons for which a pipe delivers nothing.
const (
	holdFrozen = 1 << iota // Conn.Freeze, Network.Freeze
	holdDown               // Network.SetDown
)

// segment is how many bytes arrive together where there is a bandwidth.
const segment = 1460

// A mark is something under way: n bytes, or the end of the stream.
type mark struct {
	at  time.Time // arrival
	n   int
	fin bool
	rst bool
}

// A pipe is one direction of a connection. Its mutex is never held across a
// wait, but for the condition variables', which synctest knows.
type pipe struct {
	net *Network
	rev *pipe // the other direction

	mu      sync.Mutex
	rcond   sync.Cond // for readers
	wcond   sync.Cond // for writers
	buf     []byte    // buf[head:] has been written and not read
	head    int
	arrived int    // of buf[head:], what a reader may have
	marks   []mark // the rest, in order
	flight  *time.Timer
	hold    uint8
	slow    pace      // of this connection, beyond the network's
	sent    time.Time // when the last byte has left, where there is a bandwidth

	writing bool // a Write is under way; others wait for it
	ended   bool // a FIN or RST is in marks, or has arrived
	wclosed bool // the writing end is closed
	wshut   bool // CloseWrite
	rclosed bool // the reading end is closed
	eof     bool // the FIN has arrived
	rerr    error
	werr    error
	rdl     deadline
	wdl     deadline
}

func newPipes(n *Network, hold uint8) (a, b *pipe) {
	a, b = &pipe{net: n, hold: hold}, &pipe{net: n, hold: hold}
	a.rev, b.rev = b, a
	for _, p := range []*pipe{a, b} {
		p.rcond.L, p.wcond.L = &p.mu, &p.mu
		p.rdl.p, p.rdl.cond = p, &p.rcond
		p.wdl.p, p.wdl.cond = p, &p.wcond
	}
	return a, b
}

// An effect is what an arrival does to the other direction. It is carried out
// once the mutex is free, so that no two pipes are ever locked together.
type effect struct {
	refuse bool // data reached a closed end, which answers with RST
	abort  bool // RST reached the reading end, whose writes fail now
}

func (p *pipe) apply(e effect) {
	if e.refuse {
		p.rev.end(mark{rst: true})
	}
	if e.abort {
		p.rev.failWrites(syscall.ECONNRESET)
	}
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.rclosed:
			return 0, net.ErrClosed
		case p.rdl.expired:
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case p.arrived > 0:
			n := copy(b, p.buf[p.head:p.head+p.arrived])
			p.discard(n)
			return n, nil
		case p.eof:
			return 0, io.EOF
		case p.rerr != nil:
			return 0, p.rerr
		}
		p.rcond.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	for p.writing {
		if err := p.writeErr(); err != nil {
			p.mu.Unlock()
			return 0, err
		}
		p.wcond.Wait()
	}
	p.writing = true
	var e effect
	for {
		if err = p.writeErr(); err != nil || len(b) == 0 {
			break
		}
		m := min(len(b), BufferSize-(len(p.buf)-p.head))
		if m == 0 {
			p.wcond.Wait()
			continue
		}
		p.store(b[:m])
		b, n = b[m:], n+m
		p.launch(mark{n: m})
		e = p.deliver(e)
	}
	p.writing = false
	p.wcond.Broadcast()
	p.mu.Unlock()
	p.apply(e)
	return n, err
}

func (p *pipe) writeErr() error {
	switch {
	case p.wclosed:
		return net.ErrClosed
	case p.wdl.expired:
		return os.ErrDeadlineExceeded
	case p.werr != nil:
		return p.werr
	case p.wshut:
		return syscall.EPIPE
	}
	return nil
}

// store appends b to the buffer, whose array stays under four times BufferSize.
func (p *pipe) store(b []byte) {
	if p.head > 0 && p.head >= len(p.buf)/2 && len(p.buf)+len(b) > cap(p.buf) {
		p.buf = p.buf[:copy(p.buf, p.buf[p.head:])]
		p.head = 0
	}
	p.buf = append(p.buf, b...)
}

// discard takes n bytes that have arrived out of the buffer.
func (p *pipe) discard(n int) {
	if n == 0 {
		return
	}
	p.arrived -= n
	if p.head += n; p.head == len(p.buf) {
		p.buf, p.head = p.buf[:0], 0
	}
	p.wcond.Broadcast()
}

// launch sends m on its way, piece by piece where there is a bandwidth.
func (p *pipe) launch(m mark) {
	now, rate := time.Now(), p.rate()
	if rate == 0 {
		p.queue(m, now)
		return
	}
	if p.sent.Before(now) {
		p.sent = now
	}
	for left := m.n; left > 0; left -= segment {
		n := min(left, segment)
		p.sent = p.sent.Add(time.Duration(int64(n) * int64(time.Second) / rate))
		p.queue(mark{n: n}, p.sent)
	}
	if m.n == 0 {
		p.queue(m, p.sent)
	}
}

// queue lets m arrive after the latency from when it was sent.
func (p *pipe) queue(m mark, sent time.Time) {
	m.at = sent.Add(p.net.latency() + p.slow.latency)
	if last := len(p.marks) - 1; last >= 0 {
		if m.at.Before(p.marks[last].at) { // nothing overtakes
			m.at = p.marks[last].at
		}
		if l := &p.marks[last]; m.n > 0 && l.n > 0 && m.at.Equal(l.at) {
			l.n += m.n
			return
		}
	}
	p.marks = append(p.marks, m)
}

// deliver lets arrive what is due, and sets the timer for what is not.
func (p *pipe) deliver(e effect) effect {
	if p.hold != 0 {
		return e
	}
	now, got := time.Now(), false
	for len(p.marks) > 0 && !p.marks[0].at.After(now) {
		m := p.marks[0]
		p.marks = p.marks[1:]
		got = true
		p.arrived += m.n
		p.eof = p.eof || m.fin
		if m.rst {
			p.rerr = syscall.ECONNRESET
			e.abort = true
		}
		if p.rclosed && p.arrived > 0 {
			p.discard(p.arrived)
			e.refuse = true
		}
	}
	if got {
		p.rcond.Broadcast()
	}
	if len(p.marks) == 0 {
		p.marks = nil
		return e
	}
	if p.flight == nil {
		p.flight = time.AfterFunc(p.marks[0].at.Sub(now), p.tick)
	} else {
		p.flight.Reset(p.marks[0].at.Sub(now))
	}
	return e
}

func (p *pipe) tick() {
	p.mu.Lock()
	e := p.deliver(effect{})
	p.mu.Unlock()
	p.apply(e)
}

// end sends a FIN or RST, the last that the direction carries.
func (p *pipe) end(m mark) {
	p.mu.Lock()
	var e effect
	if !p.ended || m.rst && p.rerr == nil {
		p.ended = true
		p.launch(m)
		e = p.deliver(e)
	}
	p.mu.Unlock()
	p.apply(e)
}

// shut is CloseWrite: it ends the stream, and the other direction lives on.
func (p *pipe) shut() error {
	p.mu.Lock()
	if p.wclosed {
		p.mu.Unlock()
		return net.ErrClosed
	}
	p.wshut = true
	p.wcond.Broadcast()
	p.mu.Unlock()
	p.end(mark{fin: true})
	return nil
}

// closeRead closes the reading end and says whether data was left unread, to
// which TCP answers with RST.
func (p *pipe) closeRead() (unread bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rclosed {
		return false, net.ErrClosed
	}
	p.rclosed = true
	unread = p.arrived > 0
	p.discard(p.arrived)
	p.rdl.stop()
	p.rcond.Broadcast()
	p.release()
	return unread, nil
}

// closeWrite closes the writing end.
func (p *pipe) closeWrite(rst bool) {
	p.mu.Lock()
	p.wclosed = true
	p.wdl.stop()
	p.wcond.Broadcast()
	p.mu.Unlock()
	p.end(mark{fin: !rst, rst: rst})
	p.mu.Lock()
	p.release()
	p.mu.Unlock()
}

// release lets go of everything once both ends are closed.
func (p *pipe) release() {
	if !p.rclosed || !p.wclosed {
		return
	}
	if p.flight != nil {
		p.flight.Stop()
	}
	p.marks, p.buf, p.head, p.arrived, p.hold = nil, nil, 0, 0, holdFrozen
}

func (p *pipe) failWrites(err error) {
	p.mu.Lock()
	p.werr = err
	p.wcond.Broadcast()
	p.mu.Unlock()
}

// breakNow ends both ends of the direction at once; what is under way is lost.
func (p *pipe) breakNow(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flight != nil {
		p.flight.Stop()
	}
	p.marks, p.ended = nil, true
	p.buf = p.buf[:p.head+p.arrived]
	p.rerr, p.werr = err, err
	p.rcond.Broadcast()
	p.wcond.Broadcast()
}

func (p *pipe) setHold(bit uint8, on bool) {
	p.mu.Lock()
	var e effect
	switch {
	case p.rclosed && p.wclosed:
	case on:
		e = p.deliver(e) // what is due has arrived already
		p.hold |= bit
		if p.flight != nil {
			p.flight.Stop()
		}
	default:
		p.hold &^= bit
		e = p.deliver(e)
	}
	p.mu.Unlock()
	p.apply(e)
}
