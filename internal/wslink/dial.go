//go:build !js

package wslink

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/coder/websocket"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

const extensionsHeader = "Sec-WebSocket-Extensions"

var errNoURL = errors.New("no URL to dial")

// Dial makes one link. It waits for Request.DialContext and Request.Authorize,
// which have to return when ctx ends. Nothing is left running, but for a
// look-up of the resolver's own.
func (wsTransport) Dial(ctx context.Context, r *transport.Request) (transport.Link, error) {
	if r.URL == nil {
		return nil, &transport.Error{Err: errNoURL}
	}
	u := *r.URL
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	a := &attempt{ctx: ctx, r: r, url: &u}
	l := newLink(clientSide, r.MaxMessageSize, r.OnPong)

	opts := &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: a, CheckRedirect: a.checkRedirect, Jar: r.Jar},
		HTTPHeader:     handshakeHeader(r.Header),
		Host:           r.Host,
		Subprotocols:   r.Subprotocols,
		OnPingReceived: l.onPing,
		OnPongReceived: l.onPong,
	}
	if r.Compression {
		opts.CompressionMode = websocket.CompressionContextTakeover
	}
	// a bounds itself by ctx: coder gets none to destroy anything with.
	conn, resp, err := websocket.Dial(context.Background(), u.String(), opts)
	if err != nil {
		if a.stream != nil {
			a.stream.cut()
		}
		return nil, a.failure(err)
	}
	resp.Body = http.NoBody
	l.start(conn, a.stream, resp.Header.Get(extensionsHeader) != "", &transport.Info{
		Response:    resp,
		Subprotocol: conn.Subprotocol(),
		LocalAddr:   a.stream.conn.LocalAddr(),
		RemoteAddr:  a.stream.conn.RemoteAddr(),
		Session:     a.hello != "" && resp.Header.Get(versionHeader) == wire.Version,
	})
	return l, nil
}

// handshakeHeader copies h without what the handshake itself sets.
func handshakeHeader(h http.Header) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	for key := range h {
		if http.CanonicalHeaderKey(key) == http.CanonicalHeaderKey(extensionsHeader) {
			delete(h, key)
		}
	}
	return h
}

// attempt is one Dial: the http.RoundTripper below coder's handshake, and the
// memory of how far it came.
type attempt struct {
	ctx context.Context
	r   *transport.Request

	url     *url.URL // asked last, without what Authorize made of it
	phase   transport.Phase
	proxied bool
	status  int
	header  http.Header
	foreign bool    // a redirect has led to another origin
	hello   string  // as the last request carried it: a secret
	stream  *stream // after a 101
}

// fail makes the error of the current phase. A context that has ended is the
// cause whatever else was seen.
func (a *attempt) fail(err error) *transport.Error {
	if ctxErr := a.ctx.Err(); ctxErr != nil {
		err = ctxErr
	}
	return &transport.Error{Phase: a.phase, StatusCode: a.status, Header: a.header, URL: a.url, Proxied: a.proxied, Err: err}
}

// failure is the error of Dial: the one that RoundTrip made, if it did.
func (a *attempt) failure(err error) *transport.Error {
	var te *transport.Error
	if errors.As(err, &te) {
		return te
	}
	if a.status != 0 && a.status != http.StatusSwitchingProtocols && !isRedirectError(err) {
		err = statusError(a.status)
	}
	if a.status == http.StatusSwitchingProtocols {
		err = a.rejected(err)
	}
	return a.fail(redact.Error(err))
}

// rejected bounds what coder says of a 101 that is none: it quotes headers,
// and a server may have put the request's into its own.
func (a *attempt) rejected(err error) error {
	text := err.Error()
	if a.hello != "" {
		text = strings.ReplaceAll(text, a.hello, "redacted")
	}
	return plain(text)
}

// plain is an error of what can be shown of text.
func plain(text string) error {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return errors.New(text)
}
