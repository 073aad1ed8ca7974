package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// relay carries a WebSocket connection's bytes, and what befalls them.
type relay struct {
	client, server *net.TCPConn

	mu       sync.Mutex
	changed  *sync.Cond
	frozen   bool
	closed   bool
	delay    time.Duration
	cutAfter int // bytes to the client; negative: none
}

func newRelay(client, server *net.TCPConn) *relay {
	r := &relay{client: client, server: server, cutAfter: -1}
	r.changed = sync.NewCond(&r.mu)
	return r
}

// run relays until both directions have ended.
func (r *relay) run(fromClient, fromServer io.Reader) {
	var both sync.WaitGroup
	both.Go(func() { r.carry(r.server, fromClient, false) })
	both.Go(func() { r.carry(r.client, fromServer, true) })
	both.Wait()
	r.cut()
}

func (r *relay) carry(dst *net.TCPConn, src io.Reader, toClient bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			pass, last := r.admit(n, toClient)
			if _, err := dst.Write(buf[:pass]); err != nil || last {
				break
			}
		}
		if err != nil {
			_ = dst.CloseWrite() // the other direction may go on
			return
		}
	}
	r.cut()
}

// admit waits until n bytes may go on, and says how many do, and whether they are
// the last.
func (r *relay) admit(n int, toClient bool) (pass int, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.delay > 0 {
		d := r.delay
		r.mu.Unlock()
		time.Sleep(d)
		r.mu.Lock()
	}
	for r.frozen && !r.closed {
		r.changed.Wait()
	}
	switch {
	case r.closed:
		return 0, true
	case r.cutAfter < 0 || !toClient:
		return n, false
	}
	pass = min(n, r.cutAfter)
	r.cutAfter -= pass
	return pass, r.cutAfter == 0
}

// freeze lets nothing pass any more, or again.
func (r *relay) freeze(frozen bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen = frozen
	r.changed.Broadcast()
}

// slow holds back what passes.
func (r *relay) slow(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = d
}

// cutWithin cuts when n more bytes have reached the client: inside a frame, most
// likely.
func (r *relay) cutWithin(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cutAfter = n
}

func (r *relay) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.closed
	r.closed = true
	r.changed.Broadcast()
	return was
}

// cut resets both connections.
func (r *relay) cut() {
	if !r.end() {
		abort(r.client)
		abort(r.server)
	}
}

// finish closes both connections in an orderly way, in the middle of whatever it is.
func (r *relay) finish() {
	if !r.end() {
		_ = r.client.Close()
		_ = r.server.Close()
	}
}

// halfClose ends one direction. Its sender sees no difference.
func (r *relay) halfClose(toClient bool) {
	if toClient {
		_ = r.client.CloseWrite()
	} else {
		_ = r.server.CloseWrite()
	}
}

func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
