package fallback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// maxResponseHeader bounds the bytes of an answer's header.
	maxResponseHeader = 1 << 20
	// pingAfter and pingWithin are for HTTP/2's own pings (RFC 9113, section 6.7).
	pingAfter  = 15 * time.Second
	pingWithin = 15 * time.Second
	// inBrowser: the platform's fetch makes the connections, and shows neither
	// them nor how far a request came.
	inBrowser = runtime.GOOS == "js"
)

// client sends the requests of one link over connections of its own. net/http
// goes on dialling for a request that has ended; so every connection and every
// dial is known here, and end and join leave none.
type client struct {
	r     *transport.Request
	http  *http.Transport
	heard func() // bytes of the peer have arrived

	spare *spare          // nil: none is made
	life  context.Context // of the dials
	over  context.CancelFunc
	first sync.Once            // Request.Connected
	ends  atomic.Pointer[ends] // of the connection last used, nil before

	mu    sync.Mutex
	ended bool               // guarded by mu
	conns map[*conn]struct{} // guarded by mu
	dials sync.WaitGroup     // added to under mu while not ended
}

// newClient makes the client for r. Connections that are not in use are closed
// after idle. heard is called whenever bytes of the peer have arrived.
func newClient(r *transport.Request, idle time.Duration, heard func()) *client {
	c := &client{r: r, heard: heard, conns: map[*conn]struct{}{}}
	c.life, c.over = context.WithCancel(context.Background())
	c.http = &http.Transport{
		Proxy:                  func(req *http.Request) (*url.URL, error) { return exchangeOf(req.Context()).proxy, nil },
		OnProxyConnectResponse: onProxyAnswer,
		TLSClientConfig:        r.TLSConfig.Clone(),
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWithin},
		MaxResponseHeaderBytes: maxResponseHeader,
		IdleConnTimeout:        idle,
		DisableCompression:     true,
	}
	if !inBrowser {
		c.http.DialContext = c.dial
	}
	return c
}

// do sends req and returns the answer as soon as its header is there. Redirects
// are not followed. The answer's body is the caller's to close, and fails when
// ctx ends. req, which is not changed, needs no headers but its own: Request's
// are added where it has none of that name, then cookies and what Authorize
// sets. The exchange is never nil; an error is a *transport.Error.
//
// written is called when the request is out, unless it is nil: perhaps more
// than once, on any goroutine, in a browser at once.
func (c *client) do(ctx context.Context, req *http.Request, written func()) (*http.Response, *exchange, error) {
	x := &exchange{client: c, url: bare(req.URL), written: written}
	req = req.Clone(ctx)
	c.complete(req)
	if err := x.prepare(ctx, req); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, x, x.fail(ctx, err)
	}
	if inBrowser {
		x.reached(transport.PhaseHandshake)
		x.out()
	}
	resp, err := c.http.RoundTrip(req.WithContext(x.watch(ctx)))
	if err != nil {
		return nil, x, x.fail(ctx, x.clean(err))
	}
	c.heard()
	if c.r.Jar != nil {
		if cookies := resp.Cookies(); len(cookies) > 0 {
			c.r.Jar.SetCookies(x.url, cookies)
		}
	}
	x.status, x.header = resp.StatusCode, resp.Header
	return resp, x, nil
}

// complete gives req what Request says of every request.
func (c *client) complete(req *http.Request) {
	if req.Header == nil {
		req.Header = http.Header{}
	}
	for key, values := range c.r.Header {
		if !ofUpgrade(key) && !has(req.Header, key) {
			req.Header[key] = append([]string(nil), values...)
		}
	}
	req.Host = c.r.Host
	if req.Host == "" {
		req.Host = req.URL.Host
	}
	if c.r.Jar != nil {
		for _, cookie := range c.r.Jar.Cookies(req.URL) {
			req.AddCookie(cookie)
		}
	}
}

// ofUpgrade says whether a header is for a WebSocket handshake only.
func ofUpgrade(key string) bool {
	key = strings.ToLower(key)
	return key == "connection" || key == "upgrade" || strings.HasPrefix(key, "sec-websocket-")
}

// has says whether h has key, however it is spelled.
func has(h http.Header, key string) bool {
	for k := range h {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// bare is u as it may be shown to the program: without user-info and fragment.
func bare(u *url.URL) *url.URL {
	b := *u
	b.User, b.Fragment, b.RawFragment = nil, "", ""
	return &b
}

// hostPort is u's host:port, with the scheme's port where it has none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
		if port == "" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// origin is scheme, host and port (RFC 6454, section 4).
func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(hostPort(u)) }

// dial makes a connection to a server or a proxy.
func (c *client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	kept, err := c.connectOrTake(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	if x == nil || x.proxyHost == "" {
		return kept, nil
	}
	// A proxy that is spoken to over TLS: TLSConfig's ServerName is not for it.
	cfg := c.r.TLSConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.ServerName, cfg.NextProtos = x.proxyHost, []string{"http/1.1"}
	secured := tls.Client(kept, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		kept.Close()
		return nil, err
	}
	return secured, nil
}

// connectOrTake returns the spare connection, or makes one and a spare one beside it.
func (c *client) connectOrTake(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.spare == nil {
		return c.connect(ctx, network, addr)
	}
	if conn := c.spare.take(ctx, addr); conn != nil {
		return conn, nil
	}
	c.spare.begin(addr, func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(c.life, spareFor)
		defer cancel()
		return c.connect(ctx, network, addr)
	})
	return c.connect(ctx, network, addr)
}

// connect makes a TCP connection that end closes.
func (c *client) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	c.dials.Add(1)
	c.mu.Unlock()
	defer c.dials.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()

	dial := c.r.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, network, addr)
	if err == nil && raw == nil {
		err = errors.New("DialContext returned neither a connection nor an error")
	}
	if err != nil {
		return nil, err
	}
	kept := &conn{Conn: raw, client: c}
	if !c.keep(kept) {
		raw.Close()
		return nil, net.ErrClosed
	}
	return kept, nil
}

// keep remembers a connection; false says that the client has ended.
func (c *client) keep(k *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.conns[k] = struct{}{}
	}
	return !c.ended
}

func (c *client) forget(k *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, k)
}

// end closes every connection at once and stops the dials. Requests under way
// fail. It does not wait.
func (c *client) end() {
	c.mu.Lock()
	c.ended = true
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	c.over()
	for k := range conns {
		k.Conn.Close() // without TLS's word of goodbye, which may wait
	}
	c.http.CloseIdleConnections()
}

// join waits, after end, for the dials that were under way.
func (c *client) join() { c.dials.Wait() }

// conn tells its client when bytes have arrived, and when it is closed.
type conn struct {
	net.Conn
	client *client
}

func (k *conn) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	if n > 0 {
		k.client.heard()
	}
	return n, err
}

func (k *conn) Close() error {
	k.client.forget(k)
	return k.Conn.Close()
}

// statusError is an answer that is an error by its status.
type statusError int

func (s statusError) Error() string {
	if name := http.StatusText(int(s)); name != "" {
		return fmt.Sprintf("the answer is %d %s", int(s), name)
	}
	return fmt.Sprintf("the answer is %d", int(s))
}
