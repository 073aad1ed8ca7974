package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

const (
	retryAfter  = time.Second           // what an overloaded server asks for
	answerAfter = 50 * time.Millisecond // a close frame is answered: time enough for a client that does not wait to be gone
)

// place is where server and clients meet.
type place struct {
	listen func(addr string) (net.Listener, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP
}

// loopback is this machine's own network.
var loopback = place{listen: func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }}

// service is the embedded server. It sends each lane numbers, and notes those
// that it gets.
type service struct {
	place place
	addr  string // the same after a restart
	lanes []*lane

	mu         sync.Mutex
	server     *holdfasttest.Server
	overloaded bool
	quiet      bool // sends no more
}

// start listens, at first on a port that is free, then on the same again.
func (s *service) start() error {
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var l net.Listener
	var err error
	until(context.Background(), patience, func() bool { // the system may hold a port back for a moment
		l, err = s.place.listen(addr)
		return err == nil || s.addr == ""
	})
	if err != nil {
		return fmt.Errorf("the server cannot listen: %w", err)
	}
	s.addr = l.Addr().String()
	g := gate{l, make(chan struct{})}
	server := holdfasttest.NewServer(g)
	server.OnRequest(s.answer)
	server.OnConnect(s.serve)
	close(g.open)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = server
	return nil
}

// gate lets nobody in before the server knows what to do with them.
type gate struct {
	net.Listener
	open chan struct{}
}

func (g gate) Accept() (net.Conn, error) {
	<-g.open
	return g.Listener.Accept()
}

func (s *service) current() *holdfasttest.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// stop ends the server and every link of it.
func (s *service) stop() { s.current().Close() }

func (s *service) setOverloaded(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overloaded = on
}

// hush ends the sending.
func (s *service) hush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
}

func (s *service) flags() (overloaded, quiet bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overloaded, s.quiet
}

func (s *service) lane(r *http.Request) *lane {
	for _, l := range s.lanes {
		if l.path == r.URL.Path {
			return l
		}
	}
	return nil
}

// answer answers a handshake.
func (s *service) answer(_ int, r *http.Request) holdfasttest.Reply {
	l := s.lane(r)
	if l == nil {
		return holdfasttest.Refuse{Status: http.StatusNotFound}
	}
	overloaded, _ := s.flags()
	l.knock(overloaded, time.Now())
	if overloaded {
		return holdfasttest.Refuse{Status: http.StatusServiceUnavailable,
			Header: http.Header{"Retry-After": {strconv.Itoa(int(retryAfter / time.Second))}}}
	}
	return nil
}

// knock notes a handshake, and how long the client has stayed away if the one
// before was refused.
func (l *lane) knock(refused bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handshakes++
	if !l.refused.IsZero() {
		l.refusals = append(l.refusals, refusal{asked: retryAfter, stayed: now.Sub(l.refused)})
	}
	l.refused = time.Time{}
	if refused {
		l.refused = now
	}
}

// serve is one link.
func (s *service) serve(p *holdfasttest.Peer) {
	l := s.lane(p.Request())
	l.mu.Lock()
	l.links++
	link := l.links
	l.mu.Unlock()
	p.OnClose(func(code uint16, _ string) bool {
		if code == uint16(holdfast.StatusNormalClosure) {
			time.Sleep(answerAfter)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closeCode, l.answeredAt = code, time.Now()
		return true
	})
	var sending sync.WaitGroup
	sending.Go(func() { s.sendTo(p, l, link) })
	for {
		_, data, err := p.Receive()
		if err != nil {
			break
		}
		l.mu.Lock()
		l.note(&l.up, link, data)
		l.mu.Unlock()
	}
	p.Drop()
	sending.Wait()
}

// sendTo sends numbers over a link until it ends or another one has taken its
// place. A number that is handed to a dying link is not sent again.
func (s *service) sendTo(p *holdfasttest.Peer, l *lane, link uint64) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.Done():
			return
		}
		n, ok := s.next(l, link)
		if !ok || p.Send(holdfast.Text, strconv.AppendUint(nil, n, 10)) != nil {
			return
		}
	}
}

func (s *service) next(l *lane, link uint64) (n uint64, ok bool) {
	_, quiet := s.flags()
	l.mu.Lock()
	defer l.mu.Unlock()
	if quiet || l.links != link {
		return 0, false
	}
	l.downSent++
	return l.downSent, true
}
