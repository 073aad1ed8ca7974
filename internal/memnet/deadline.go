package memnet

import (
	"net"
	"sync"
	"time"
)

// A deadline wakes the waiters of one end when its time has come. The pipe's
// mutex guards it.
type deadline struct {
	p       *pipe
	cond    *sync.Cond
	timer   *time.Timer
	gen     int // tells a timer that it has been replaced
	expired bool
}

func (d *deadline) set(t time.Time) {
	d.stop()
	d.expired = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.expired = true
		d.cond.Broadcast()
		return
	}
	gen := d.gen
	d.timer = time.AfterFunc(left, func() {
		d.p.mu.Lock()
		defer d.p.mu.Unlock()
		if d.gen == gen {
			d.expired = true
			d.cond.Broadcast()
		}
	})
}

func (d *deadline) stop() {
	d.gen++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (p *pipe) setReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rclosed {
		return net.ErrClosed
	}
	p.rdl.set(t)
	return nil
}

func (p *pipe) setWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wclosed {
		return net.ErrClosed
	}
	p.wdl.set(t)
	return nil
}
