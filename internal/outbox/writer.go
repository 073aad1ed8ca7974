package outbox

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Writer writes a queue to a link in a goroutine that lives while there is
// something to write. A Wake is never lost, and one goroutine runs at a time.
type Writer struct {
	write func(soon bool) (more bool, err error)
	soon  bool // write can be asked not to wait
	fail  func(error)
	state atomic.Int32
	born  time.Time
	ended atomic.Int64  // when the goroutine last ended, in ns since born
	done  chan struct{} // closed once it is stopped and has no goroutine
}

const (
	asleep int32 = iota
	running
	woken // while running
	stopping
)

// quietFor is how long nothing has been written when the next message is no part
// of a burst.
const quietFor = 20 * time.Microsecond

// NewWriter returns one that calls write when there is something to do: it is to
// write all there is, or until Stopping. Its error ends the writer and goes to
// fail, which Wait waits for. soon says that write can be asked to wait for nothing:
// more is then true where it has not done it all.
func NewWriter(write func(soon bool) (more bool, err error), soon bool, fail func(error)) *Writer {
	w := &Writer{write: write, soon: soon, fail: fail, born: time.Now(), done: make(chan struct{})}
	w.ended.Store(-int64(time.Hour))
	return w
}

// Wake says that there is something to do. started: a goroutine has begun for it.
func (w *Writer) Wake() (started bool) {
	for {
		switch w.state.Load() {
		case asleep:
			if w.state.CompareAndSwap(asleep, running) {
				go w.run()
				return true
			}
		case running:
			if w.state.CompareAndSwap(running, woken) {
				return false
			}
		default:
			return false
		}
	}
}

// wakeQuickly is Wake for a message that is perhaps the only one: then it is written
// at once, in the caller's goroutine if that need not wait.
func (w *Writer) wakeQuickly() {
	switch {
	case w.state.Load() != asleep || !w.quiet():
		w.Wake()
	case !w.soon:
		if w.Wake() {
			runtime.Gosched() // it writes, and no other thread has to be woken for that
		}
	case w.state.CompareAndSwap(asleep, running):
		more, err := w.write(true)
		w.ended.Store(int64(time.Since(w.born)))
		switch {
		case err != nil:
			go w.failed(err)
		case more || !w.state.CompareAndSwap(running, asleep):
			go w.run()
		}
	default:
		w.Wake()
	}
}

func (w *Writer) run() {
	for {
		_, err := w.write(false)
		if err != nil {
			w.failed(err)
			return
		}
		w.ended.Store(int64(time.Since(w.born)))
		if w.state.CompareAndSwap(running, asleep) {
			return
		}
		if !w.state.CompareAndSwap(woken, running) {
			close(w.done)
			return
		}
	}
}

// failed ends the writer.
func (w *Writer) failed(err error) {
	w.fail(err)
	w.state.Store(stopping)
	close(w.done)
}

// quiet says that what is to be written is no part of a burst.
func (w *Writer) quiet() bool {
	return time.Since(w.born)-time.Duration(w.ended.Load()) >= quietFor
}

// Stopping says that write is to return.
func (w *Writer) Stopping() bool { return w.state.Load() == stopping }

// Stop ends the writer after what it is writing.
func (w *Writer) Stop() {
	if w.state.Swap(stopping) == asleep {
		close(w.done)
	}
}

// Wait waits for the end of a writer that is stopped.
func (w *Writer) Wait() { <-w.done }

// Use has w woken from now on, in place of Ready, and wakes it. nil ends that.
func (q *Queue) Use(w *Writer) {
	q.writer.Store(w)
	q.wake()
}

// Leave ends Use of w, unless another one is in use.
func (q *Queue) Leave(w *Writer) {
	if w != nil && q.writer.CompareAndSwap(w, nil) {
		q.wake()
	}
}
