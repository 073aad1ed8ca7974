package wslink_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall/js"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// fakeWebSocket stands for the browser's: it echoes, and does as its path says.
const fakeWebSocket = `
globalThis.WebSocket = class {
	constructor(url, protocols) {
		if (url.includes("throw")) throw new Error("bad URL '" + url + "'");
		this.url = url; this.offered = protocols; this.protocol = protocols[url.includes("/second") ? 1 : 0] || ""; this.bufferedAmount = 0; this.handlers = {};
		globalThis.lastSocket = this;
		if (url.includes("/refuse")) setTimeout(() => this.emit("close", {code: 1006, reason: "", wasClean: false}));
		else if (!url.includes("/hang")) setTimeout(() => this.emit("open", {}));
	}
	addEventListener(e, f) { this.handlers[e] = f }
	removeEventListener(e) { delete this.handlers[e] }
	emit(e, v) { if (this.handlers[e]) this.handlers[e](v) }
	send(data) { setTimeout(() => this.emit("message", {data: typeof data === "string" ? data : data.slice().buffer})) }
	close(code, reason) {
		if (code !== undefined && code !== 1000 && (code < 3000 || code > 4999)) throw new Error("bad code");
		this.closedWith ??= code;
		if (!this.url.includes("/silent")) setTimeout(() => this.emit("close", {code: code || 1005, reason: reason || "", wasClean: true}));
	}
}`

func jsRequest(t *testing.T, raw string) *transport.Request {
	js.Global().Call("eval", fakeWebSocket)
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return &transport.Request{URL: u, MaxMessageSize: 100, WriteTimeout: 50 * time.Millisecond, Subprotocols: []string{"a"}}
}

func jsDial(t *testing.T, raw string) (transport.Link, js.Value) {
	l, err := wslink.New().Dial(t.Context(), jsRequest(t, raw))
	require.NoError(t, err)
	t.Cleanup(l.Abort)
	return l, js.Global().Get("lastSocket")
}

func emitClose(ws js.Value, code int, clean bool) {
	ws.Call("emit", "close", map[string]any{"code": code, "reason": "why", "wasClean": clean})
}

func TestBrowserLink(t *testing.T) {
	l, ws := jsDial(t, "https://h.test/x?token=1")
	assert.Equal(t, "wss://h.test/x?token=1", ws.Get("url").String())
	assert.Equal(t, "a", l.Info().Subprotocol)
	assert.Nil(t, l.Info().Response)
	require.ErrorIs(t, l.Ping(1), errors.ErrUnsupported)
	n, err := l.Write([]transport.Message{{Type: transport.Text, Data: []byte("é")}, {Type: transport.Binary, Data: []byte{1, 2}}})
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	typ, data, err := l.Read([]byte("p"))
	require.NoError(t, err)
	assert.Equal(t, transport.Text, typ)
	assert.Equal(t, "pé", string(data))
	typ, data, err = l.Read(nil)
	require.NoError(t, err)
	assert.Equal(t, transport.Binary, typ)
	assert.Equal(t, []byte{1, 2}, data)
	require.NoError(t, l.Close(t.Context(), 1000, "bye"))
	assert.Equal(t, 1000, ws.Get("closedWith").Int())
	_, _, err = l.Read(nil)
	require.Error(t, err)
	_, err = l.Write([]transport.Message{{Type: transport.Text}})
	require.Error(t, err)
}

func TestBrowserLinkEnds(t *testing.T) {
	l, ws := jsDial(t, "ws://h.test/")
	ws.Call("emit", "message", map[string]any{"data": "last"})
	emitClose(ws, 4001, true)
	_, data, err := l.Read(nil)
	require.NoError(t, err)
	assert.Equal(t, "last", string(data))
	_, _, err = l.Read(nil)
	var ce *transport.CloseError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, transport.CloseError{Code: 4001, Reason: "why"}, *ce)
	require.Error(t, l.Close(t.Context(), 1000, ""))

	l, ws = jsDial(t, "ws://h.test/")
	emitClose(ws, 1006, false)
	_, _, err = l.Read(nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	l, ws = jsDial(t, "ws://h.test/")
	ws.Call("emit", "message", map[string]any{"data": string(make([]byte, 101))})
	_, _, err = l.Read(nil)
	require.ErrorIs(t, err, transport.ErrMessageTooBig)

	l, _ = jsDial(t, "ws://h.test/silent")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, l.Close(ctx, 1001, ""), context.DeadlineExceeded)

	l, ws = jsDial(t, "ws://h.test/")
	ws.Set("bufferedAmount", 2<<20)
	_, err = l.Write([]transport.Message{{Type: transport.Text}})
	require.ErrorIs(t, err, context.DeadlineExceeded)

	l, _ = jsDial(t, "ws://h.test/")
	l.Abort()
	l.Abort()
	_, _, err = l.Read(nil)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestBrowserDialFails(t *testing.T) {
	for _, path := range []string{"refuse", "throw", "hang"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := wslink.New().Dial(ctx, jsRequest(t, "ws://h.test/"+path+"?token=SECRET"))
		cancel()
		var te *transport.Error
		require.ErrorAs(t, err, &te)
		assert.Equal(t, transport.PhaseHandshake, te.Phase)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}

func TestBrowserAuthorize(t *testing.T) {
	r := jsRequest(t, "ws://h.test/")
	r.Authorize = func(_ context.Context, r *http.Request) error {
		r.URL.RawQuery = "ticket=1"
		return nil
	}
	l, err := wslink.New().Dial(t.Context(), r)
	require.NoError(t, err)
	l.Abort()
	assert.Equal(t, "ws://h.test/?ticket=1", js.Global().Get("lastSocket").Get("url").String())
	r.Authorize = func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "x")
		return nil
	}
	_, err = wslink.New().Dial(t.Context(), r)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

type jsSession struct{ transport.Session }

func (jsSession) Hello() []byte { return []byte("SECRET") }

func TestBrowserSession(t *testing.T) {
	for _, path := range []string{"", "second"} {
		r := jsRequest(t, "ws://h.test/"+path)
		r.Session = jsSession{}
		r.Subprotocols = []string{"a", wslink.SessionSubprotocol}
		l, err := wslink.New().Dial(t.Context(), r)
		require.NoError(t, err)
		ws := js.Global().Get("lastSocket")
		require.Equal(t, 2, ws.Get("offered").Length(), "none twice")
		assert.Equal(t, wslink.SessionSubprotocol, ws.Get("offered").Index(0).String())
		assert.Equal(t, "a", ws.Get("offered").Index(1).String())
		session := path == ""
		assert.Equal(t, session, l.Info().Session)
		if !session {
			assert.Equal(t, "a", l.Info().Subprotocol)
			ws.Call("emit", "message", map[string]any{"data": string(make([]byte, 101))})
			_, _, err = l.Read(nil)
			require.ErrorIs(t, err, transport.ErrMessageTooBig)
			l.Abort()
			continue
		}
		assert.Empty(t, l.Info().Subprotocol)
		typ, data, err := l.Read(nil) // echoed
		require.NoError(t, err)
		assert.Equal(t, transport.Binary, typ)
		assert.Equal(t, "SECRET", string(data))
		ws.Call("emit", "message", map[string]any{"data": string(make([]byte, 256<<10))})
		_, data, err = l.Read(nil)
		require.NoError(t, err)
		assert.Len(t, data, 256<<10)
		ws.Call("emit", "message", map[string]any{"data": string(make([]byte, 256<<10+1))})
		_, _, err = l.Read(nil)
		require.ErrorIs(t, err, transport.ErrMessageTooBig)
		l.Abort()
	}
}

func TestBrowserHelloCannotBeSent(t *testing.T) {
	r := jsRequest(t, "ws://h.test/")
	r.Session = jsSession{}
	js.Global().Call("eval", `WebSocket.prototype.send = function(data) { throw new Error(new TextDecoder().decode(data)) }`)
	_, err := wslink.New().Dial(t.Context(), r)
	var te *transport.Error
	require.ErrorAs(t, err, &te)
	assert.Equal(t, transport.PhaseHandshake, te.Phase)
	assert.NotContains(t, err.Error(), "SECRET")
}

func TestNoServerInABrowser(t *testing.T) {
	w := httptest.NewRecorder()
	_, err := wslink.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Equal(t, http.StatusNotImplemented, w.Code)
}
