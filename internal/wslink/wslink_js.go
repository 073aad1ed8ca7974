package wslink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall/js"
	"time"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// In a browser the platform's WebSocket does everything, and shows little: no
// status, no phase, no pings, no headers. It is used directly, because
// coder's wrapper around it loses the peer's close code and panics on a code
// that browsers do not let programs send.

const (
	// receiveQueue is how many bytes may wait for Read beyond one message:
	// browsers read on whether or not the program does.
	receiveQueue = 16 << 20
	// sendQueue is how many bytes the browser may hold before Write waits, and
	// sendPoll how often it looks.
	sendQueue = 1 << 20
	sendPoll  = 10 * time.Millisecond
)

// Dial makes one link. Of Request only URL, Subprotocols, Session,
// MaxMessageSize, WriteTimeout and Authorize count, which may change path and
// query alone. With Session the subprotocol SessionSubprotocol is offered before the
// others, and HELLO is sent if the server chose it.
func (wsTransport) Dial(ctx context.Context, r *transport.Request) (transport.Link, error) {
	fail := func(phase transport.Phase, err error) (transport.Link, error) {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, &transport.Error{Phase: phase, URL: r.URL, Err: err}
	}
	if r.URL == nil {
		return fail(transport.PhaseNone, errors.New("no URL to dial"))
	}
	u, err := browserURL(ctx, r)
	if err != nil {
		return fail(transport.PhaseAuthorize, err)
	}
	l := &jsLink{limit: r.MaxMessageSize, writeTimeout: r.WriteTimeout, lastRead: time.Now(),
		opened: make(chan struct{}), more: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := l.open(u, offered(r)); err != nil {
		return fail(transport.PhaseHandshake, redact.Error(err))
	}
	select {
	case <-l.opened:
		l.info = &transport.Info{Subprotocol: l.ws.Get("protocol").String()}
		if r.Session == nil || l.info.Subprotocol != SessionSubprotocol {
			return l, nil
		}
		l.info.Session, l.info.Subprotocol = true, ""
		l.setLimit(wire.MaxBatch)
		if err := l.send(transport.Message{Type: transport.Binary, Data: r.Session.Hello()}); err != nil {
			l.Abort()
			return fail(transport.PhaseHandshake, errors.New("the browser does not send"))
		}
		return l, nil
	case <-l.ended:
		return fail(transport.PhaseHandshake, l.err)
	case <-ctx.Done():
		l.Abort()
		return fail(transport.PhaseHandshake, ctx.Err())
	}
}

// offered is the subprotocols to ask for. A browser refuses one that comes twice.
func offered(r *transport.Request) []string {
	if r.Session == nil {
		return r.Subprotocols
	}
	list := []string{SessionSubprotocol}
	for _, p := range r.Subprotocols {
		if p != SessionSubprotocol {
			list = append(list, p)
		}
	}
	return list
}

// browserURL is the ws or wss URL to open, after Authorize.
func browserURL(ctx context.Context, r *transport.Request) (string, error) {
	u := *r.URL
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	if r.Authorize != nil {
		asked := u
		req := (&http.Request{Method: http.MethodGet, URL: &asked, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
		if err := r.Authorize(ctx, req); err != nil {
			return "", err
		}
		if req.URL == nil || req.URL.Scheme != u.Scheme || req.URL.Host != u.Host || req.Host != u.Host || req.URL.User != nil {
			return "", errors.New("Authorize changed the scheme or the host")
		}
		if len(req.Header) > 0 {
			return "", fmt.Errorf("headers for a browser's WebSocket: %w", errors.ErrUnsupported)
		}
		u = url.URL{Scheme: u.Scheme, Host: u.Host, Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	return u.String(), nil
}

type jsLink struct {
	ws           js.Value
	info         *transport.Info
	writeTimeout time.Duration
	handlers     map[string]js.Func

	opened chan struct{}
	more   chan struct{} // a message waits
	ended  chan struct{} // closed once err is set

	mu       sync.Mutex
	limit    int64
	queue    []jsMessage
	queued   int64
	lastRead time.Time
	closing  bool
	err      error
}

type jsMessage struct {
	typ  transport.MessageType
	data []byte
}

// catch turns an exception into an error.
func catch(err *error) {
	if r := recover(); r != nil {
		e, ok := r.(js.Error)
		if !ok {
			panic(r)
		}
		*err = e
	}
}

func (l *jsLink) open(u string, subprotocols []string) (err error) {
	defer catch(&err)
	protocols := make([]any, len(subprotocols))
	for i, p := range subprotocols {
		protocols[i] = p
	}
	l.ws = js.Global().Get("WebSocket").New(u, protocols)
	l.ws.Set("binaryType", "arraybuffer")
	l.handlers = map[string]js.Func{}
	for event, f := range map[string]func(js.Value){
		"open":    func(js.Value) { close(l.opened) },
		"message": l.onMessage,
		"close":   l.onClose,
	} {
		handler := js.FuncOf(func(_ js.Value, args []js.Value) any {
			f(args[0])
			return nil
		})
		l.handlers[event] = handler
		l.ws.Call("addEventListener", event, handler)
	}
	return nil
}

func (l *jsLink) onMessage(e js.Value) {
	m := jsMessage{typ: transport.Text}
	data := e.Get("data")
	if data.Type() == js.TypeString {
		m.data = []byte(data.String())
	} else {
		view := js.Global().Get("Uint8Array").New(data)
		m.typ, m.data = transport.Binary, make([]byte, view.Length())
		js.CopyBytesToGo(m.data, view)
	}
	size := int64(len(m.data))
	l.mu.Lock()
	if limit := l.limit; limit > 0 && size > limit {
		l.mu.Unlock()
		l.end(fmt.Errorf("%w of %d bytes", transport.ErrMessageTooBig, limit))
		return
	}
	l.lastRead = time.Now()
	full := l.queued > receiveQueue
	if l.err == nil && !full {
		l.queue = append(l.queue, m)
		l.queued += size + 64
	}
	l.mu.Unlock()
	if full {
		l.end(errors.New("messages arrive faster than they are read, and a browser cannot hold them back"))
		return
	}
	l.notify()
}

func (l *jsLink) setLimit(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = n
}

func (l *jsLink) notify() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *jsLink) onClose(e js.Value) {
	code := uint16(e.Get("code").Int())
	if e.Get("wasClean").Bool() {
		l.end(&transport.CloseError{Code: code, Reason: e.Get("reason").String()})
	} else {
		l.end(fmt.Errorf("%w: the browser says %d", io.ErrUnexpectedEOF, code))
	}
}

// end frees the browser's side; the first error counts.
func (l *jsLink) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	close(l.ended)
	for event, handler := range l.handlers {
		l.ws.Call("removeEventListener", event, handler)
		handler.Release()
	}
	l.ws.Call("close")
}

// Read blocks for the next message. Those that came before the end are given
// before its error.
func (l *jsLink) Read(dst []byte) (transport.MessageType, []byte, error) {
	for {
		l.mu.Lock()
		if len(l.queue) > 0 {
			m := l.queue[0]
			l.queue = l.queue[1:]
			l.queued -= int64(len(m.data)) + 64
			l.mu.Unlock()
			return m.typ, append(dst, m.data...), nil
		}
		err := l.err
		l.mu.Unlock()
		if err != nil {
			return 0, dst, err
		}
		select {
		case <-l.more:
		case <-l.ended:
		}
	}
}

// Write hands messages to the browser, and waits while it holds too much.
func (l *jsLink) Write(msgs []transport.Message) (int, error) {
	deadline := time.Now().Add(l.writeTimeout)
	for i, m := range msgs {
		for {
			l.mu.Lock()
			err := l.err
			if err == nil && l.closing {
				err = net.ErrClosed
			}
			l.mu.Unlock()
			if err != nil {
				return i, err
			}
			if l.ws.Get("bufferedAmount").Float() <= sendQueue {
				break
			}
			if l.writeTimeout > 0 && time.Now().After(deadline) {
				err := fmt.Errorf("the browser has not sent what it holds: %w", context.DeadlineExceeded)
				l.end(err)
				return i, err
			}
			select {
			case <-time.After(sendPoll):
			case <-l.ended:
			}
		}
		if err := l.send(m); err != nil {
			l.end(err)
			return i, err
		}
	}
	return len(msgs), nil
}

func (l *jsLink) send(m transport.Message) (err error) {
	defer catch(&err)
	switch m.Type {
	case transport.Text:
		l.ws.Call("send", string(m.Data))
	case transport.Binary:
		view := js.Global().Get("Uint8Array").New(len(m.Data))
		js.CopyBytesToJS(view, m.Data)
		l.ws.Call("send", view)
	default:
		return fmt.Errorf("a message of type %v", m.Type)
	}
	return nil
}

// Ping is not possible in a browser.
func (l *jsLink) Ping(uint64) error { return errors.ErrUnsupported }

// Close closes with code 1000 or 3000 to 4999, as browsers allow, and any
// other as no code. A reason longer than 123 bytes is left out.
func (l *jsLink) Close(ctx context.Context, code uint16, reason string) error {
	defer l.end(net.ErrClosed)
	l.mu.Lock()
	err := l.err
	l.closing = true
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("closed already: %w", err)
	}
	if err := l.sendClose(code, reason); err != nil {
		return err
	}
	select {
	case <-l.ended:
	case <-ctx.Done():
		return fmt.Errorf("no answer to the close frame: %w", ctx.Err())
	}
	var closed *transport.CloseError
	if errors.As(l.err, &closed) {
		return nil
	}
	return fmt.Errorf("no answer to the close frame: %w", l.err)
}

func (l *jsLink) sendClose(code uint16, reason string) (err error) {
	defer catch(&err)
	if code != 1000 && (code < 3000 || code > 4999) {
		l.ws.Call("close")
		return nil
	}
	if len(reason) > 123 {
		reason = ""
	}
	l.ws.Call("close", int(code), reason)
	return nil
}

// Abort frees the link; the browser may still say goodbye on its own.
func (l *jsLink) Abort() {
	l.end(net.ErrClosed)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.queued = nil, 0
}

// LastRead is when the last message arrived.
func (l *jsLink) LastRead() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastRead
}

// Info tells how the link was made; the browser shows the subprotocol alone.
func (l *jsLink) Info() *transport.Info { return l.info }
