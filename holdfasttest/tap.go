package holdfasttest

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// A tap sees the frames of an accepted connection pass, both ways, and makes
// the faults happen that are due at one of them. It sits below whatever serves
// the connection, a Peer or a handler, so that a fault comes after exactly the
// message that it is due at.
type tap struct {
	c      *serverConn
	faults []fault
	answer func() // waits for the client's answer to a close frame; nil: whoever reads sees it

	wr  lock    // held by whoever writes
	out scanner // guarded by wr

	rd   lock    // held by whoever reads
	in   scanner // guarded by rd
	rest []byte  // guarded by rd; read, and not handed on yet

	farewell atomic.Pointer[closeFault] // a close frame to send in the server's place
	shut     atomic.Bool                // it was sent
}

// arm puts a tap on c before the handshake's answer passes.
func (c *serverConn) arm(faults []fault, answer func()) {
	t := &tap{c: c, faults: faults, answer: answer, wr: newLock(), rd: newLock()}
	t.out.inHead = true
	c.tap.Store(t)
}

// part drops the connection once the client has answered the close frame. The
// caller bounds the wait.
func (t *tap) part() {
	if t.answer != nil {
		t.answer()
		t.c.drop()
		return
	}
	_, _ = io.Copy(io.Discard, t.c) // should the handler not read
	<-t.c.closed
}

// settle waits, once the connection has been served, for the end of a close that
// is under way; 5 seconds at most.
func (c *serverConn) settle() {
	if t := c.tap.Load(); t != nil && t.farewell.Load() != nil {
		<-c.closed
	}
}

// due returns the faults that are due after n messages of a kind.
func (t *tap) due(n int, on ...trigger) (due []fault) {
	for _, f := range t.faults {
		if slices.Contains(on, f.on) && f.n == n {
			due = append(due, f)
		}
	}
	return due
}

// startClocks waits for the faults that are due in time.
func (t *tap) startClocks() {
	for _, f := range t.faults {
		if f.on != triggerTime {
			continue
		}
		t.c.server.spawn(t.c, func() {
			timer := time.NewTimer(f.after)
			defer timer.Stop()
			select {
			case <-timer.C:
				f.happen(t)
			case <-t.c.closed:
			}
		})
	}
}

func (t *tap) write(b []byte) (n int, err error) {
	if err := t.wr.lock(t.c.closed); err != nil {
		return 0, err
	}
	defer t.unlockWrite()
	for {
		t.sayFarewell()
		switch {
		case n == len(b):
			return n, nil
		case t.shut.Load(): // nothing follows a close frame
			return n, net.ErrClosed
		}
		if err := t.c.gate(writing); err != nil {
			return n, err
		}
		k, what := t.out.scan(b[n:])
		var due []fault
		switch what {
		case sawHead:
			due = t.due(0, triggerSent, triggerReceived)
		case sawMessage:
			due = t.due(t.out.messages, triggerSent)
		}
		m, err := t.pass(b[n:n+k], due)
		n += m
		if err != nil {
			return n, err
		}
		if what == sawHead {
			t.startClocks()
		}
	}
}

// pass writes b, after which faults are due. The client answers no sooner than
// they have happened.
func (t *tap) pass(b []byte, due []fault) (int, error) {
	if len(due) == 0 {
		return t.c.Conn.Write(b)
	}
	t.c.brake(true)
	defer t.c.brake(false)
	for _, f := range due {
		if f.prepare != nil {
			f.prepare(t)
		}
	}
	n, err := t.c.Conn.Write(b)
	if err != nil {
		return n, err
	}
	for _, f := range due {
		f.act(t)
	}
	return n, nil
}

// unlockWrite lets others write. A close frame that was wanted between the last
// look and now is sent by whoever comes next, or here.
func (t *tap) unlockWrite() {
	t.wr.unlock()
	t.offerFarewell()
}

// offerFarewell sends the close frame that is wanted, unless somebody is
// writing: then it is theirs to send.
func (t *tap) offerFarewell() {
	if t.farewell.Load() == nil || t.shut.Load() {
		return
	}
	select {
	case t.wr <- struct{}{}:
		t.sayFarewell()
		t.wr.unlock()
	default:
	}
}

// sayFarewell sends the close frame that is wanted, if the stream is between two
// frames. t.wr is held.
func (t *tap) sayFarewell() {
	f := t.farewell.Load()
	if f == nil || t.shut.Load() || t.out.inside() || t.c.frozen() {
		return
	}
	t.shut.Store(true)
	_, _ = t.c.Conn.Write(closeFrame(f.code, f.reason).Append(nil))
}

func (t *tap) read(b []byte) (int, error) {
	if err := t.rd.lock(t.c.closed); err != nil {
		return 0, err
	}
	defer t.rd.unlock()
	if err := t.c.gate(reading); err != nil {
		return 0, err
	}
	if len(t.rest) == 0 {
		n, err := t.c.hold(t.c.Conn.Read(b))
		if err != nil {
			return n, err
		}
		t.rest = bytes.Clone(b[:n])
	}
	// What is handed on ends with a message at which something happened, so
	// that its receiver has that message and nothing after it.
	n := 0
	for n < len(t.rest) && n < len(b) {
		k, what := t.in.scan(t.rest[n:min(len(t.rest), len(b))])
		n += k
		if what == sawMessage {
			due := t.due(t.in.messages, triggerReceived)
			for _, f := range due {
				f.happen(t)
			}
			if len(due) > 0 {
				break
			}
		}
		if what == sawClose && t.shut.Load() && t.answer == nil {
			t.c.drop()
			break
		}
	}
	copy(b, t.rest[:n])
	t.rest = t.rest[n:]
	return n, nil
}
