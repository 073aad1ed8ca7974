package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// pollFault is what befalls one request of a client that polls.
type pollFault int

const (
	fair         pollFault = iota
	lostRequest            // reset before the server has it
	lostAnswer             // reset after the server has it
	cutAnswer              // the answer ends in its middle
	endedAnswer            // the connection is closed in place of an answer
	badGateway             // 502 in place of the server
	badAnswer              // 502 in place of the server's answer
	tooLarge               // 413 in place of the server
	repeated               // the server gets it twice
	heldAnswer             // the answer is late
	manyRequests           // every connection in use is reset
	pollFaults
)

var pollFaultNames = [pollFaults]string{"", "request lost", "answer lost", "answer truncated", "half-closed", "502 for a request", "502 for an answer",
	"413", "request repeated", "answer late", "all connections reset"}

// heldFor is how late an answer is that is late.
const heldFor = 300 * time.Millisecond

// arm lets a fault befall the next request that has an answer to lose, and
// returns a channel that is closed when it has.
func (p *proxy) arm(f pollFault) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.hit = f, make(chan struct{})
	return p.hit
}

// disarm takes a fault back that has not happened, and says so.
func (p *proxy) disarm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.armed != fair
	p.armed = fair
	return was
}

// strike takes the fault that is armed, if it fits. answered: there is an answer.
func (p *proxy) strike(req *http.Request, answered bool) pollFault {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.armed
	late := f == lostAnswer || f == cutAnswer || f == badAnswer || f == heldAnswer || f == endedAnswer
	op := req.Header.Get("Holdfast-Op")
	if f == fair || late != answered || op != "poll" && op != "send" || f == tooLarge && req.ContentLength < 8<<10 {
		return fair
	}
	p.armed = fair
	close(p.hit)
	return f
}

// stall holds all requests and answers from now on, until release.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold == nil {
		p.hold = make(chan struct{})
	}
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold != nil {
		close(p.hold)
		p.hold = nil
	}
}

// drag makes each request late.
func (p *proxy) drag(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = d
}

// pause waits as the weather is.
func (p *proxy) pause() {
	p.mu.Lock()
	hold, slow := p.hold, p.slow
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	time.Sleep(slow)
}

// polls forwards the requests of one connection.
func (p *proxy) polls(c *net.TCPConn, r *bufio.Reader, req *http.Request) {
	f := &forwarder{proxy: p}
	defer f.close()
	for {
		body, err := io.ReadAll(req.Body)
		if err != nil || !p.exchange(f, c, req, body) {
			return
		}
		if req, err = http.ReadRequest(r); err != nil {
			return
		}
	}
}

// exchange answers one request; false ends its connection.
func (p *proxy) exchange(f *forwarder, c *net.TCPConn, req *http.Request, body []byte) bool {
	p.pause()
	switch p.strike(req, false) {
	case lostRequest:
		abort(c)
		return false
	case badGateway:
		return refuse(c, http.StatusBadGateway)
	case tooLarge:
		return refuse(c, http.StatusRequestEntityTooLarge)
	case manyRequests:
		p.outage(0)
		return false
	case repeated:
		if _, _, err := f.ask(req, body); err != nil {
			return false
		}
	}
	resp, answer, err := f.ask(req, body)
	if err != nil {
		abort(c)
		return false
	}
	p.pause()
	switch p.strike(req, true) {
	case lostAnswer:
		abort(c)
		return false
	case endedAnswer:
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		return false
	case badAnswer:
		return refuse(c, http.StatusBadGateway)
	case heldAnswer:
		time.Sleep(heldFor)
	case cutAnswer:
		_ = write(c, resp, answer, len(answer)/2)
		return false
	}
	return write(c, resp, answer, len(answer)) == nil
}

// refuse answers in the server's place.
func refuse(c net.Conn, status int) bool {
	const text = "<html>no</html>"
	_, err := fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(text), text)
	return err == nil
}

// write writes an answer's header, and the first n bytes of its body.
func write(c net.Conn, resp *http.Response, body []byte, n int) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", resp.Status)
	h := resp.Header.Clone()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_ = h.Write(&b)
	b.WriteString("\r\n")
	b.Write(body[:n])
	_, err := c.Write(b.Bytes())
	return err
}

// forwarder has the connection to the server that goes with one of the client's.
type forwarder struct {
	proxy *proxy
	conn  *net.TCPConn
	r     *bufio.Reader
}

// ask has the server answer a request.
func (f *forwarder) ask(req *http.Request, body []byte) (*http.Response, []byte, error) {
	if f.conn == nil {
		conn, err := f.proxy.dial()
		if err != nil {
			return nil, nil, err
		}
		f.conn, f.r = conn, bufio.NewReaderSize(conn, 64<<10)
	}
	out := req.Clone(context.Background())
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if err := out.Write(f.conn); err != nil {
		f.close()
		return nil, nil, err
	}
	resp, err := http.ReadResponse(f.r, req)
	if err != nil {
		f.close()
		return nil, nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.Close {
		f.close()
	}
	return resp, answer, err
}

func (f *forwarder) close() {
	if f.conn != nil {
		f.proxy.forget(f.conn)
		f.conn = nil
	}
}
