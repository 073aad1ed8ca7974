package holdfast

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
)

// insideOnConnect marks the context of OnConnect with its Conn.
type insideOnConnect struct{}

// Handshake is the fresh link that OnConnect talks on. Its methods may be called
// from several goroutines, until OnConnect returns.
type Handshake struct {
	conn    *Conn
	live    *live
	ctx     context.Context // of OnConnect
	attempt int

	mu   sync.Mutex // one writer at a time
	over bool
}

var errHandshakeOver = errors.New("holdfast: OnConnect has returned; use the Conn")

// Send writes a message to the link, ahead of all queued ones. In a session it
// waits for room in the peer's window, and nil means that the message has its place
// in the session, which sends it over later links too. Otherwise, once it writes, the
// context of OnConnect bounds it, and WriteTimeout, but ctx no more. The error is a *SendError around ErrMessageTooBig, an
// *OptionError, ctx's error or that of OnConnect's own ctx, a *CloseError when
// the link is lost, or what says that OnConnect has returned.
func (h *Handshake) Send(ctx context.Context, typ MessageType, data []byte) error {
	if err := cmp.Or(checkContext(ctx), h.conn.opts.validateMessage(typ, data)); err != nil {
		return &SendError{Outcome: NotSent, Count: 1, Err: err}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return &SendError{Outcome: NotSent, Count: 1, Err: errHandshakeOver}
	}
	for _, err := range []error{ctx.Err(), h.ctx.Err()} {
		if err != nil {
			return &SendError{Outcome: NotSent, Count: 1, Err: err}
		}
	}
	if h.live.at != nil {
		return h.sendInSession(ctx, Message{Type: typ, Data: bytes.Clone(data)})
	}
	if n, err := h.live.Write([]Message{{Type: typ, Data: data}}); err != nil {
		e := &SendError{Count: 1, Err: closeError(h.live.cause(err))}
		if n == 0 {
			e.Outcome = NotSent
		}
		return e
	}
	return nil
}

// sendInSession gives a message its place ahead of all queued ones.
func (h *Handshake) sendInSession(ctx context.Context, m Message) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(h.ctx.Err()) })()
	lost := make(chan struct{})
	defer close(lost)
	go func() {
		select {
		case <-h.live.heard:
			cancel(closeError(h.live.readErr))
		case <-lost:
		}
	}()
	err := h.live.session.end.SendNow(ctx, m)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return &SendError{Outcome: NotSent, Count: 1, Err: err}
}

// Receive returns the next message on the link. The error is ctx's, that of
// OnConnect's own ctx, or a *CloseError when the link is lost.
func (h *Handshake) Receive(ctx context.Context) (Message, error) {
	if err := checkContext(ctx); err != nil {
		return Message{}, err
	}
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	if over {
		return Message{}, errHandshakeOver
	}
	m, err := h.conn.in.TakeHeld(ctx)
	if err != nil && h.ctx.Err() != nil {
		err = h.ctx.Err()
	}
	return m, err
}

// Response is the server's answer to the handshake, its Body empty; nil where
// the transport shows none.
func (h *Handshake) Response() *http.Response { return h.live.Info().Response }

// Subprotocol is the one that the server chose, "" for none.
func (h *Handshake) Subprotocol() string { return h.live.Info().Subprotocol }

// Attempt counts the attempts since the last connection, from 1.
func (h *Handshake) Attempt() int { return h.attempt }

func (h *Handshake) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	h.conn.in.EndHeld(errHandshakeOver)
}
