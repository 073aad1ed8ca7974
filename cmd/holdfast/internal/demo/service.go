package demo

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

// again listens: on a port that is free if addr is "", otherwise on the same
// one again, which the system may hold back for a moment.
func (p place) again(addr string) (l net.Listener, err error) {
	if addr == "" {
		l, err = p.listen("127.0.0.1:0")
	} else {
		until(context.Background(), patience, func() bool {
			l, err = p.listen(addr)
			return err == nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the server cannot listen: %w", err)
	}
	return l, nil
}

// service is the embedded server. It sends each lane numbers, and notes those
// that it gets. For plain WebSocket it is a scripted one, for sessions that of
// package server behind a front.
type service struct {
	place place
	lanes []*lane
	addr  string // of plain WebSocket; the same after a restart
	road  *road
	front *front

	mu         sync.Mutex
	server     *holdfasttest.Server
	overloaded bool
	quiet      bool // sends no more
}

func newService(p place, lanes []*lane) *service {
	s := &service{place: p, lanes: lanes, road: newRoad()}
	s.front = newFront(s)
	return s
}

// start starts the plain server and the front, or both again.
func (s *service) start() error {
	l, err := s.place.again(s.addr)
	if err != nil {
		return err
	}
	s.addr = l.Addr().String()
	g := gate{l, s.road, make(chan struct{})}
	server := holdfasttest.NewServer(g)
	server.OnRequest(s.answer)
	server.OnConnect(s.serve)
	close(g.open)
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	return s.front.start()
}

func (s *service) current() *holdfasttest.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// stop ends the plain server, the front, and every link of them.
func (s *service) stop() {
	if server := s.current(); server != nil {
		server.Close()
	}
	s.front.stop()
	s.road.each((*roadConn).drop) // links of WebSocket outlive their http.Server
}

// end is a stop for good.
func (s *service) end() {
	s.stop()
	s.front.end()
}

// close closes every link and session with a code.
func (s *service) close(ctx context.Context, code holdfast.StatusCode, reason string) {
	s.current().CloseAll(uint16(code), reason)
	s.front.close(ctx, code, reason)
}

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
	l.knock("upgrade", overloaded, time.Now())
	if overloaded {
		return holdfasttest.Refuse{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {askedAway}}}
	}
	return nil
}

// askedAway is retryAfter as the header says it.
var askedAway = strconv.Itoa(int(retryAfter / time.Second))

// knock notes a handshake, of which an attempt makes one of a kind at most, and
// how long the client has stayed away if the one before was refused.
func (l *lane) knock(kind string, refused bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handshakes++
	if before, ok := l.refused[kind]; ok {
		l.refusals = append(l.refusals, refusal{asked: retryAfter, stayed: now.Sub(before)})
	}
	delete(l.refused, kind)
	if refused {
		l.refused[kind] = now
	}
}

// serve is one link.
func (s *service) serve(p *holdfasttest.Peer) {
	l := s.lane(p.Request())
	link := l.begin()
	p.OnClose(func(code uint16, _ string) bool {
		if code == uint16(holdfast.StatusNormalClosure) {
			time.Sleep(answerAfter)
		}
		l.closed(holdfast.StatusCode(code), time.Now())
		return true
	})
	var sending sync.WaitGroup
	sending.Go(func() { s.sendTo(l, link, p.Done(), func(data []byte) error { return p.Send(holdfast.Text, data) }) })
	for {
		_, data, err := p.Receive()
		if err != nil {
			break
		}
		l.took(link, data)
	}
	p.Drop()
	sending.Wait()
}

// begin counts a link or session.
func (l *lane) begin() (link uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links++
	return l.links
}

// took notes what the server got.
func (l *lane) took(link uint64, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(&l.up, link, data)
}

// closed notes that the client has closed, just before it is answered.
func (l *lane) closed(code holdfast.StatusCode, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeCode, l.answeredAt = code, now
}

// sendTo sends numbers over a link or session until it is done or another one
// has taken its place. A number that is handed to a dying link is not sent again.
func (s *service) sendTo(l *lane, link uint64, done <-chan struct{}, send func(data []byte) error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		if !s.sendNext(l, link, send) {
			return
		}
	}
}

// sendNext says whether it goes on. What a session refuses was not sent; it
// never waits.
func (s *service) sendNext(l *lane, link uint64, send func(data []byte) error) bool {
	_, quiet := s.flags()
	l.mu.Lock()
	over := quiet || l.links != link
	data := strconv.AppendUint(nil, l.downSent+1, 10)
	if l.session && !over {
		over = send(data) != nil
	}
	if !over {
		l.downSent++
	}
	l.mu.Unlock()
	return !over && (l.session || send(data) == nil)
}
