package fallback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/holdfast-ws/holdfast/internal/credential"
	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

var (
	errNotHTTP = fmt.Errorf("the answer is not HTTP, or its header is larger than %d bytes", maxResponseHeader)
	errBroken  = fmt.Errorf("the connection broke before the answer: %w", io.ErrUnexpectedEOF)
)

// exchange is one request, and how far it came. net/http may go on telling of
// it when it has ended, for the sake of its connection.
type exchange struct {
	client  *client
	url     *url.URL // asked, without what Authorize made of it
	written func()

	// Set before the request is sent.
	proxied   bool
	proxy     *url.URL // for net/http
	proxyHost string   // of a proxy that is spoken to over TLS, else ""

	phase    atomic.Int32
	left     atomic.Bool                   // there was a connection: bytes may have left
	answered atomic.Bool                   // the first byte of the answer has arrived
	refusal  atomic.Pointer[http.Response] // the proxy's answer to CONNECT
	ends     atomic.Pointer[ends]          // of the connection last used, nil before

	// Set when the answer is there.
	status int
	header http.Header
}

// ends are those of a connection.
type ends struct{ local, remote net.Addr }

type exchangeKey struct{}

// exchangeOf is the exchange that ctx was made for, nil if there is none.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// watch makes the context that the request is sent with.
func (x *exchange) watch(ctx context.Context) context.Context {
	// With a proxy, all up to the TLS handshake with the server is the proxy's.
	// A dial may go on when another connection has become free.
	way := func(p transport.Phase) {
		if x.proxied && p != transport.PhaseTLS {
			p = transport.PhaseProxy
		}
		if !x.left.Load() {
			x.reached(p)
		}
	}
	return httptrace.WithClientTrace(context.WithValue(ctx, exchangeKey{}, x), &httptrace.ClientTrace{
		GetConn:           func(string) { way(transport.PhaseConnect) },
		DNSStart:          func(httptrace.DNSStartInfo) { way(transport.PhaseResolve) },
		ConnectStart:      func(string, string) { way(transport.PhaseConnect) },
		TLSHandshakeStart: func() { way(transport.PhaseTLS) },
		GotConn: func(info httptrace.GotConnInfo) {
			x.reached(transport.PhaseHandshake)
			e := &ends{info.Conn.LocalAddr(), info.Conn.RemoteAddr()}
			x.ends.Store(e)
			x.client.ends.Store(e)
			if x.client.r.Connected != nil {
				x.client.first.Do(x.client.r.Connected)
			}
			x.left.Store(true)
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { x.out() },
		GotFirstResponseByte: func() { x.answered.Store(true) },
	})
}

func (x *exchange) reached(p transport.Phase) { x.phase.Store(int32(p)) }

func (x *exchange) out() {
	x.left.Store(true)
	if x.written != nil {
		x.written()
	}
}

// prepare does what has to be done before a connection is asked for.
func (x *exchange) prepare(ctx context.Context, req *http.Request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := x.findProxy(req); err != nil || x.client.r.Authorize == nil {
		return err
	}
	x.reached(transport.PhaseAuthorize)
	if err := credential.Authorize(ctx, x.client.r, req); err != nil {
		return err
	}
	x.reached(transport.PhaseNone)
	return nil
}

// findProxy asks Request.Proxy. Its error is not kept where it may quote a
// proxy's URL, as that of http.ProxyFromEnvironment does.
func (x *exchange) findProxy(req *http.Request) error {
	if x.client.r.Proxy == nil {
		return nil
	}
	ask := req.Clone(req.Context())
	ask.Body, ask.GetBody = nil, nil
	u, err := x.client.r.Proxy(ask)
	if err == nil && u == nil {
		return nil
	}
	x.reached(transport.PhaseProxy)
	if err != nil {
		if strings.ContainsAny(err.Error(), "@?/") {
			err = errors.New("the setting for the proxy is not valid")
		}
		return err
	}
	if u.Hostname() == "" {
		return errors.New("the proxy's URL has no host")
	}
	x.proxied = true
	switch u.Scheme {
	case "http", "socks5", "socks5h":
		x.proxy = u
	case "https": // dial speaks TLS with it
		x.proxyHost = u.Hostname()
		x.proxy = &url.URL{Scheme: "http", User: u.User, Host: hostPort(u)}
	default:
		return fmt.Errorf("proxies of the scheme %q are not supported", u.Scheme)
	}
	x.reached(transport.PhaseNone)
	return nil
}

// onProxyAnswer keeps the proxy's answer to CONNECT where it is a refusal.
func onProxyAnswer(ctx context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	exchangeOf(ctx).refusal.Store(resp)
	return fmt.Errorf("the proxy answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// fail makes the error of the exchange as it stands. A context that has ended is
// the cause whatever else was seen.
func (x *exchange) fail(ctx context.Context, err error) *transport.Error {
	e := &transport.Error{Phase: transport.Phase(x.phase.Load()), StatusCode: x.status, Header: x.header, URL: x.url, Proxied: x.proxied, Err: err}
	var name *net.DNSError
	if errors.As(err, &name) && !x.proxied {
		e.Phase = transport.PhaseResolve
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
	} else if resp := x.refusal.Load(); resp != nil && x.status == 0 {
		e.StatusCode, e.Header = resp.StatusCode, resp.Header
	}
	return e
}

// clean is an error of net/http as it may be shown. Those of its parsers quote
// the answer, which may quote the request; of an error in an exchange of words
// only what the network said is kept.
func (x *exchange) clean(err error) error {
	switch transport.Phase(x.phase.Load()) {
	case transport.PhaseHandshake:
		if cause := ofNetwork(err); cause != nil {
			return redact.Error(cause)
		}
		if x.answered.Load() {
			return errNotHTTP
		}
		return errBroken
	case transport.PhaseProxy:
		if x.refusal.Load() == nil && ofNetwork(err) == nil && !ofTLS(err) {
			return errors.New("the proxy's answer is none that makes a tunnel")
		}
	}
	return redact.Error(err)
}

// ofNetwork returns what the network or a deadline said within err, nil if
// neither did.
func ofNetwork(err error) error {
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case errors.As(err, &op):
		return op
	case errors.As(err, &errno):
		return errno
	}
	for _, known := range []error{io.ErrUnexpectedEOF, io.EOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded,
		context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// ofTLS says whether err is of a TLS handshake.
func ofTLS(err error) bool {
	var header tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &header) || errors.As(err, &cert)
}
