//go:build !js

package wslink

import (
	"errors"
	"os"
	"time"
)

// errInterrupted is what Read returns after Interrupt.
var errInterrupted = errors.New("the read was interrupted")

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)

// Interruptible says whether the link has Interrupt: not where the frames are coder's,
// nor over a connection that refuses deadlines.
func (l *link) Interruptible() bool {
	return l.ws == nil && l.stream.conn.SetReadDeadline(time.Time{}) == nil
}

// Interrupt ends the Read or Await under way and each that comes, until Resume. The
// link lives: Read returns dst with what it has of a message, and Interrupted is
// true of the error. The next Read is to be given that in place of dst.
func (l *link) Interrupt() {
	l.stream.interrupted.Store(true)
	_ = l.stream.conn.SetReadDeadline(longAgo)
}

// Resume ends the effect of Interrupt. No Read may be under way.
func (l *link) Resume() {
	_ = l.stream.conn.SetReadDeadline(time.Time{})
	l.stream.interrupted.Store(false)
}

// Interrupted says that err is of a Read that was interrupted.
func (l *link) Interrupted(err error) bool { return err == errInterrupted } //nolint:errorlint // it is never wrapped

// interruptedBy says whether err, of a read of the connection, is Interrupt's.
func (s *stream) interruptedBy(err error) bool {
	return s.interrupted.Load() && errors.Is(err, os.ErrDeadlineExceeded)
}
