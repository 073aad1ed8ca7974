package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// refusal is how the proxy treats WebSocket handshakes.
type refusal int

const (
	welcome   refusal = iota
	forbidden         // 403
	page              // 200 with HTML
	resetting         // the connection is reset
	hanging           // no answer
	silent            // 101, and then nothing
	slow              // let through, but late
	refusals
)

var refusalNames = [refusals]string{"let through", "403", "200 with HTML", "reset", "no answer", "101 then silence", "late"}

// late is how late slow is: after the fallback has begun.
const late = 450 * time.Millisecond

// proxy stands between the client and the server, and is the storm. It reads
// HTTP, so that it knows what it breaks.
type proxy struct {
	listener *net.TCPListener
	target   string

	mu       sync.Mutex
	upgrades refusal
	down     bool // every new connection is reset
	over     bool // for good
	conns    map[*net.TCPConn]struct{}
	relays   map[*relay]struct{}
	armed    pollFault // for the next request that it fits
	hit      chan struct{}
	hold     chan struct{} // not nil: polls and sends wait until it is closed
	slow     time.Duration // on each request
	refused  [refusals]int

	wg sync.WaitGroup
}

func newProxy(target string) (*proxy, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, conns: map[*net.TCPConn]struct{}{}, relays: map[*relay]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.AcceptTCP()
		if err != nil {
			return
		}
		if !p.keep(c) {
			abort(c)
			continue
		}
		p.wg.Go(func() {
			defer p.forget(c)
			p.serve(c)
		})
	}
}

func (p *proxy) keep(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.conns[c] = struct{}{}
	}
	return !p.down
}

func (p *proxy) forget(c *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *proxy) serve(c *net.TCPConn) {
	r := bufio.NewReaderSize(c, 64<<10)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if req.Header.Get("Upgrade") != "" {
		p.upgrade(c, r, req)
		return
	}
	p.polls(c, r, req)
}

// upgrade answers a WebSocket handshake as the weather is.
func (p *proxy) upgrade(c *net.TCPConn, r *bufio.Reader, req *http.Request) {
	p.mu.Lock()
	how := p.upgrades
	p.refused[how]++
	p.mu.Unlock()
	switch how {
	case forbidden:
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	case page:
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<h1>Hello</h1>")
	case resetting:
		abort(c)
	case silent:
		sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nHoldfast-Version: 1\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		fallthrough
	case hanging:
		_, _ = io.Copy(io.Discard, r)
	case slow:
		time.Sleep(late)
		fallthrough
	case welcome:
		p.relay(c, r, req)
	}
}

func (p *proxy) relay(c *net.TCPConn, r *bufio.Reader, req *http.Request) {
	server, err := p.dial()
	if err != nil {
		return
	}
	defer p.forget(server)
	if err := req.Write(server); err != nil {
		return
	}
	l := newRelay(c, server)
	p.mu.Lock()
	p.relays[l] = struct{}{}
	p.mu.Unlock()
	l.run(r, server)
	p.mu.Lock()
	delete(p.relays, l)
	p.mu.Unlock()
}

// dial connects to the server. The connection is the proxy's to forget.
func (p *proxy) dial() (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", p.target)
	if err != nil {
		return nil, err
	}
	c := conn.(*net.TCPConn)
	if !p.keep(c) {
		abort(c)
		return nil, net.ErrClosed
	}
	return c, nil
}

// each calls f with every WebSocket connection, and says whether there was one.
func (p *proxy) each(f func(*relay)) bool {
	p.mu.Lock()
	all := make([]*relay, 0, len(p.relays))
	for r := range p.relays {
		all = append(all, r)
	}
	p.mu.Unlock()
	for _, r := range all {
		f(r)
	}
	return len(all) > 0
}

// treat sets how WebSocket handshakes are treated from now on.
func (p *proxy) treat(how refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upgrades = how
}

// outage resets every connection, and new ones for as long as d.
func (p *proxy) outage(d time.Duration) {
	p.mu.Lock()
	p.down = d > 0
	for c := range p.conns {
		abort(c)
	}
	p.mu.Unlock()
	p.each((*relay).cut)
	time.Sleep(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = p.over
}

// close ends every connection and waits for all that the proxy has begun.
func (p *proxy) close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.release()
	p.outage(time.Millisecond)
	p.wg.Wait()
}

// handshakes counts those of WebSocket by how they were treated.
func (p *proxy) handshakes() [refusals]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}
