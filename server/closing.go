package server

import (
	"errors"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/transport"
)

var (
	errExpired  = &holdfast.CloseError{Code: holdfast.StatusAbnormalClosure, Err: errors.New("the client has not come back in time")}
	errEvicted  = &holdfast.CloseError{Code: holdfast.StatusAbnormalClosure, Err: errors.New("the session had no link, and gave way to others")}
	errAborted  = &holdfast.CloseError{Code: holdfast.StatusNoStatusReceived, Remote: true}
	errShutdown = &holdfast.CloseError{Code: holdfast.StatusServiceRestart, Err: holdfast.ErrClosed}
)

const maxReason = 123 // bytes (RFC 6455, section 5.5)

// sendable says whether a close may carry the code (RFC 6455, section 7.4).
func sendable(c holdfast.StatusCode) bool {
	switch c {
	case 1004, holdfast.StatusNoStatusReceived, holdfast.StatusAbnormalClosure, holdfast.StatusTLSHandshake:
		return false
	}
	return 1000 <= c && c <= 1014 || 3000 <= c && c <= 4999
}

func validateClose(code holdfast.StatusCode, reason string) error {
	switch {
	case !sendable(code):
		return optionError("code", "%d cannot be sent; use 1000 to 1003, 1007 to 1014, or 3000 to 4999", int(code))
	case len(reason) > maxReason:
		return optionError("reason", "%d bytes are more than the %d that a close holds", len(reason), maxReason)
	case !utf8.ValidString(reason):
		return optionError("reason", "is not UTF-8")
	}
	return nil
}

// code is the close code that an error has, 0 for none.
func code(err error) holdfast.StatusCode {
	var closed *holdfast.CloseError
	if errors.As(err, &closed) {
		return closed.Code
	}
	return 0
}

// closeError makes a CloseError of what ended a link.
func closeError(err error) *holdfast.CloseError {
	var remote *transport.CloseError
	var protocol *transport.ProtocolError
	var already *holdfast.CloseError
	var violation *session.Violation
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &remote):
		return &holdfast.CloseError{Code: holdfast.StatusCode(remote.Code), Reason: remote.Reason, Remote: true}
	case errors.As(err, &protocol):
		return &holdfast.CloseError{Code: holdfast.StatusCode(protocol.Code), Err: protocol}
	case errors.As(err, &violation):
		return &holdfast.CloseError{Code: holdfast.StatusCode(violation.Code), Err: violation}
	case errors.Is(err, holdfast.ErrMessageTooBig):
		return &holdfast.CloseError{Code: holdfast.StatusMessageTooBig, Err: err}
	}
	return &holdfast.CloseError{Code: holdfast.StatusAbnormalClosure, Err: err}
}

// run is the handler's goroutine.
func (s *Session) run() {
	defer s.srv.leave()
	code, reason := s.outcome(s.callHandle())
	s.beginClose(code, reason, holdfast.ErrClosed)
	// What comes now is for nobody, but the client's CLOSE comes after it.
	for {
		if _, err := s.in.Receive(s.ctx); err != nil {
			return
		}
	}
}

type panicError struct{ value any }

func (panicError) Error() string { return "the handler panicked" }

func (s *Session) callHandle() (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.srv.opts.Logger.Error("holdfast: the handler panicked", "session", s.id, "panic", v, "stack", string(debug.Stack()))
			err = panicError{v}
		}
	}()
	return s.srv.handle(s.ctx, s)
}

// outcome is what the session is closed with for what the handler returned.
func (s *Session) outcome(err error) (code uint16, reason string) {
	var closed *holdfast.CloseError
	var panicked panicError
	switch {
	case err == nil:
		return uint16(holdfast.StatusNormalClosure), ""
	case errors.As(err, &panicked):
		return uint16(holdfast.StatusInternalError), ""
	case errors.As(err, &closed) && validateClose(closed.Code, closed.Reason) == nil:
		return uint16(closed.Code), closed.Reason
	}
	s.mu.Lock()
	over := s.ended || !s.closing.IsZero()
	s.mu.Unlock()
	if !over { // otherwise the error is most likely what told the handler so
		s.srv.opts.Logger.Error("holdfast: the handler failed", "session", s.id, "error", err)
	}
	return uint16(holdfast.StatusInternalError), ""
}

// beginClose closes this direction after what has been accepted; Send returns
// err from now on. The first call counts.
func (s *Session) beginClose(code uint16, reason string, err error) {
	s.mu.Lock()
	if s.ended || !s.closing.IsZero() || s.out == nil {
		s.mu.Unlock()
		return
	}
	s.closing, s.closeErr = time.Now(), err
	s.grave = tombstone{code: code, reason: reason}
	s.obs.closing()
	s.mu.Unlock()
	s.out.BeginClose(err)
	if s.end != nil {
		s.end.Close(code, reason)
	} else {
		close(s.plain.closing)
	}
}

// peerClosed answers the peer's CLOSE: what was accepted still goes out.
func (s *Session) peerClosed() {
	code, reason := s.end.PeerClose()
	err := &holdfast.CloseError{Code: holdfast.StatusCode(code), Reason: reason, Remote: true}
	if !sendable(err.Code) {
		code = uint16(holdfast.StatusNormalClosure)
	}
	s.beginClose(code, reason, err)
	s.mu.Lock()
	ours := s.closeErr
	s.mu.Unlock()
	s.in.Close(ours)
	s.cancel(ours)
}

// completed ends the session if both sides have closed it, and says so.
func (s *Session) completed() bool {
	if !isClosed(s.end.Done()) {
		return false
	}
	s.mu.Lock()
	s.finishLocked(s.grave, s.closeErr)
	return true
}
