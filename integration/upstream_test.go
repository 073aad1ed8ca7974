//go:build linux

package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/server"
)

// upstream is a server of package server behind net/http, on loopback, that
// sends back what it gets.
type upstream struct {
	addr   string
	server *server.Server
	http   *http.Server
	ledger *ledger

	mu       sync.Mutex
	dead     bool
	conns    map[net.Conn]struct{}
	requests []request
}

// request is what an upstream has seen of one.
type request struct {
	upgrade       bool          // it was meant as one; the wish itself may be lost
	op            string        // of a poll
	hang          time.Duration // of a poll
	frontProtocol string
}

// ledger is what the servers of a test have received, by sender.
type ledger struct {
	mu   sync.Mutex
	took map[string][]int
}

func (l *ledger) add(sender string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.took == nil {
		l.took = map[string][]int{}
	}
	l.took[sender] = append(l.took[sender], n)
}

func (l *ledger) of(sender string) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]int(nil), l.took[sender]...)
}

// startUpstream starts a server; with cfg it speaks TLS.
func startUpstream(t *testing.T, l *ledger, cfg *tls.Config) *upstream {
	t.Helper()
	u := &upstream{ledger: l, conns: map[net.Conn]struct{}{}}
	u.server = server.New(u.echo, &server.Options{OpenRate: -1})
	u.http = &http.Server{
		Handler:           http.HandlerFunc(u.serve),
		TLSConfig:         cfg,
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.addr = listener.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if cfg != nil {
			_ = u.http.ServeTLS(tracked{listener, u}, "", "")
		} else {
			_ = u.http.Serve(tracked{listener, u})
		}
	}()
	t.Cleanup(func() {
		u.kill()
		<-served
	})
	return u
}

func (u *upstream) echo(ctx context.Context, s *server.Session) error {
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		sender, n, err := parse(m.Data)
		if err != nil {
			return err
		}
		u.ledger.add(sender, n)
		if err := s.Send(ctx, m.Type, m.Data); err != nil {
			return err
		}
	}
	return nil
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	hang, _ := strconv.Atoi(r.Header.Get("Holdfast-Hang"))
	u.mu.Lock()
	u.requests = append(u.requests, request{
		upgrade:       r.Header.Get("Sec-WebSocket-Key") != "",
		op:            r.Header.Get("Holdfast-Op"),
		hang:          time.Duration(hang) * time.Millisecond,
		frontProtocol: r.Header.Get("Front-Protocol"),
	})
	u.mu.Unlock()
	u.server.ServeHTTP(w, r)
}

// seen returns the requests that match.
func (u *upstream) seen(match func(request) bool) (of []request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.requests {
		if match(r) {
			of = append(of, r)
		}
	}
	return of
}

func upgrades(r request) bool { return r.upgrade }
func polls(r request) bool    { return r.op != "" }

// kill ends the server as the end of its process would: nobody gets a word.
func (u *upstream) kill() {
	_ = u.http.Close()
	u.mu.Lock()
	u.dead = true
	u.mu.Unlock()
	u.cut()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = u.server.Shutdown(ctx)
}

// cut resets every connection.
func (u *upstream) cut() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		reset(c)
		delete(u.conns, c)
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// tracked keeps an upstream's connections, also those that net/http has let go.
type tracked struct {
	net.Listener
	u *upstream
}

func (l tracked) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.u.mu.Lock()
	defer l.u.mu.Unlock()
	if l.u.dead {
		reset(c)
	}
	l.u.conns[c] = struct{}{}
	return c, nil
}

// format is the message n of a sender: 128 bytes.
func format(sender string, n int) []byte {
	head := fmt.Sprintf("%s %d ", sender, n)
	return []byte(head + strings.Repeat(".", max(0, 128-len(head))))
}

func parse(data []byte) (sender string, n int, err error) {
	_, err = fmt.Sscan(string(data), &sender, &n)
	return sender, n, err
}
