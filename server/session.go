package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/pump"
)

// Session is one client's session, or a plain WebSocket connection. All methods
// are safe for concurrent use.
type Session struct {
	srv         *Server
	id          string
	principal   string
	subprotocol string
	addr        string        // what the limits by address count by
	req         *http.Request // that opened it
	record      *record       // nil of a plain session
	maxMessage  int           // the largest message that the client takes

	ctx    context.Context // the handler's
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the session has ended and these are set
	final  tombstone     // how it has ended
	left   outbox.Left   // what was not sent
	why    error

	// These are there from the first attachment on, and do not change.
	out   *outbox.Queue
	in    *inbox.Queue
	end   *pump.End
	plain *plainLink // of a plain session, instead of end

	obs observer

	dueAt    time.Time // the server's lock guards these
	dueIndex int

	mu       sync.Mutex // taken before the server's
	place    place
	ended    bool
	closing  time.Time // when the close began, zero: it has not
	closeErr error     // what Send returns since then
	grave    tombstone // how the session will have ended
}

// ID is the session's id: no secret, and unique. A plain session has one too.
func (s *Session) ID() string { return s.id }

// Principal is what Options.Authenticate returned for the session's requests.
func (s *Session) Principal() string { return s.principal }

// Subprotocol is the one that was chosen when the session was opened, "" for
// none.
func (s *Session) Subprotocol() string { return s.subprotocol }

// Request is the request that opened the session: its Body is empty, and the
// session's secret is not in its Header. It must not be changed.
func (s *Session) Request() *http.Request { return s.req }

// Transport is what carries the session now: "websocket", "longpoll", or ""
// between links. A client that polls is there until its next poll is
// Keepalive.Timeout late.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || !s.place.attached(time.Now()) {
		return ""
	}
	return s.place.transport
}

// Send accepts a message for the client, whether it has a link now or not; data
// is copied. nil means that it has its place in the send buffer. When that is
// full, SendBuffer.WhenFull decides: by default Send waits until ctx ends. The
// error is a *holdfast.SendError with Outcome NotSent around ctx's error,
// holdfast.ErrBufferFull, holdfast.ErrMessageTooBig (the client takes no message of
// that size), a *holdfast.OptionError, or what ended the session.
func (s *Session) Send(ctx context.Context, typ holdfast.MessageType, data []byte) error {
	err := cmp.Or(checkContext(ctx), validateMessage(typ, data))
	if err == nil && len(data) > s.maxMessage {
		err = fmt.Errorf("%w: %d bytes, the client takes %d", holdfast.ErrMessageTooBig, len(data), s.maxMessage)
	}
	if err == nil {
		err = s.out.Push(ctx, typ, data, nil)
	}
	if err == nil {
		s.srv.grew(len(data))
		return nil
	}
	if errors.Is(err, outbox.ErrFull) {
		err = holdfast.ErrBufferFull
	}
	return &holdfast.SendError{Outcome: holdfast.NotSent, Count: 1, Err: s.reason(ctx, err)}
}

// Flush waits until the client has received every message accepted so far, on
// this link or a later one. Of a plain session that means that the next WebSocket
// endpoint has read it, proven by a pong. It never means that the application has
// processed it. nil at once if there is nothing to prove. The error is a
// *holdfast.SendError with the number of messages, also of those that were
// dropped since the last Flush; what is still queued remains so.
func (s *Session) Flush(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	waiter := s.out.Flush()
	if paused, _ := s.in.Paused(); paused && s.plain != nil {
		s.out.FailWaiters(holdfast.ErrReceiveBufferFull)
	}
	err := s.out.Wait(ctx, waiter, s.srv.opts.Keepalive.Timeout, holdfast.ErrNoPong)
	var loss *outbox.Loss
	if !errors.As(err, &loss) {
		return err
	}
	e := &holdfast.SendError{Outcome: holdfast.NotSent, Count: loss.Count, Err: s.reason(ctx, loss.Err)}
	if loss.Maybe {
		e.Outcome = holdfast.MaybeSent
	}
	return e
}

// Receive returns the next message; its data is the caller's. Each message goes
// to one receiver. Message.Epoch is 1, and grows by one when the client had to
// drop messages before this one. When ctx ends, its error is returned and nothing is
// lost. When the session has ended, what was received before is still returned,
// with the handler's ctx too; then the error is holdfast.ErrClosed after a close by
// this side, or a *holdfast.CloseError: Remote if the client closed, with code
// 1006 if it has not come back within ResumeTTL.
func (s *Session) Receive(ctx context.Context) (holdfast.Message, error) {
	if err := checkContext(ctx); err != nil {
		return holdfast.Message{}, err
	}
	m, err := s.in.Receive(ctx)
	if err != nil && s.endedWith(ctx) {
		return s.in.Receive(context.Background()) // has ended, so it does not wait
	}
	return m, err
}

// Messages yields what Receive returns. It ends with the first error, ctx's
// too, which it yields; but it ends silently after a close by this side. Leaving
// the loop loses nothing.
func (s *Session) Messages(ctx context.Context) iter.Seq2[holdfast.Message, error] {
	return func(yield func(holdfast.Message, error) bool) {
		for {
			m, err := s.Receive(ctx)
			if errors.Is(err, holdfast.ErrClosed) || !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// closeTimeout bounds Close.
const closeTimeout = 5 * time.Second

// Close sends what was accepted, then closes with 1000 and waits for the
// client's answer, for 5 s at most; then the session ends whatever is left. The
// error is a *holdfast.UnsentError if messages were. Where the client may be
// between two links let the handler return instead: that gives it ResumeTTL.
func (s *Session) Close() error {
	return s.CloseWith(context.Background(), holdfast.StatusNormalClosure, "")
}

// CloseWith is Close with another code and reason, bounded by ctx too. The error
// is a *holdfast.OptionError for a code or reason that cannot be sent (RFC 6455,
// section 7.4; 123 bytes), and then nothing was closed. Of several calls the
// first counts.
func (s *Session) CloseWith(ctx context.Context, code holdfast.StatusCode, reason string) error {
	if err := cmp.Or(checkContext(ctx), validateClose(code, reason)); err != nil {
		return err
	}
	s.beginClose(uint16(code), reason, holdfast.ErrClosed)
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var why error
	select {
	case <-s.done:
		why = s.why
	case <-ctx.Done():
		why = ctx.Err()
		s.abort(holdfast.ErrClosed)
		<-s.done
	}
	if s.left == (outbox.Left{}) {
		return nil
	}
	return &holdfast.UnsentError{Messages: s.left.Messages, Bytes: s.left.Bytes, MaybeSent: s.left.MaybeSent, Err: why}
}

// reason is why a call failed: where the handler's context ended with the
// session, that.
func (s *Session) reason(ctx context.Context, err error) error {
	if ctx != nil && errors.Is(err, context.Canceled) && s.endedWith(ctx) {
		return context.Cause(ctx)
	}
	return err
}

// endedWith says that ctx has ended because the session has: it is the handler's,
// or made from that.
func (s *Session) endedWith(ctx context.Context) bool {
	own := context.Cause(s.ctx)
	return own != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), own)
}

func checkContext(ctx context.Context) error {
	if ctx == nil {
		return optionError("ctx", "is nil")
	}
	return nil
}

func validateMessage(typ holdfast.MessageType, data []byte) error {
	switch {
	case typ != holdfast.Text && typ != holdfast.Binary:
		return optionError("typ", "%d is neither Text nor Binary", int(typ))
	case typ == holdfast.Text && !utf8.Valid(data):
		return optionError("data", "is not UTF-8, so it cannot be sent as Text; Binary takes any bytes (RFC 6455, section 5.6)")
	}
	return nil
}
