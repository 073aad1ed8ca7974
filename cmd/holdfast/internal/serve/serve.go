// Package serve is the command holdfast serve: a server for trying clients.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/server"
)

const (
	// patience bounds the end.
	patience       = 5 * time.Second
	maxConnections = 4096
	maxSessions    = 2048
)

// Run is the command.
func Run(args []string, s cli.Streams) int {
	set, err := parse(args)
	if err != nil {
		return cli.Usage("serve", help, err, s)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	return run(ctx, set, s, nil)
}

// run serves until ctx ends. ready is told the address, unless it is nil.
func run(ctx context.Context, set *settings, s cli.Streams, ready func(net.Addr)) int {
	j := &journal{write: func(line string) { _, _ = io.WriteString(s.Err, line) }, color: cli.PaletteFor(s.Err)}
	fail := func(err error) int {
		fmt.Fprintf(s.Err, "holdfast serve: %s\n", cli.Visible(err.Error()))
		return cli.ExitFailed
	}
	l, err := listen(set.addr)
	if err != nil {
		return fail(err)
	}
	defer l.Close()
	var cert *certificate
	if set.tls {
		host, _, _ := net.SplitHostPort(set.addr)
		if cert, err = newCertificate(host); err != nil {
			return fail(err)
		}
		if set.certFile != "" {
			if err := cert.write(set.certFile); err != nil {
				return cli.Usage("serve", help, fmt.Errorf("flag -cert-file: %w", err), s)
			}
		}
	}
	d := newDice(set.chaos)
	svc := newService(set)
	stopWatching := registry.Watch(watcher{j, svc.owns})
	defer stopWatching()
	srv := &http.Server{
		Handler: blocking(svc, d, j), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(lines{j}, "", 0),
	}
	announce(s.Out, set, l.Addr(), cert)
	if set.chaos.any() {
		j.say("chaos: %v", set.chaos)
	}
	in := l
	if set.chaos.drop > 0 || set.chaos.delay > 0 {
		in = chaosListener{l, d, j}
	}
	in = netutil.LimitListener(in, maxConnections)
	served := make(chan error, 1)
	go func() {
		if cert == nil {
			served <- srv.Serve(in)
			return
		}
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert.tls}}
		served <- srv.ServeTLS(in, "", "")
	}()
	if ready != nil {
		ready(l.Addr())
	}
	select {
	case err = <-served:
	case <-ctx.Done():
		err = nil
		j.say("closing; a second Ctrl-C ends it at once")
		svc.shutdown(srv)
		<-served
		j.say("closed")
	}
	if err != nil {
		return fail(err)
	}
	return cli.ExitOK
}

// listen explains what does not go.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program; stop that, or choose another port with -addr", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s is not allowed to this user; choose a port from 1024 on with -addr", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this machine; choose another one with -addr", addr)
	}
	return nil, fmt.Errorf("flag -addr: %w", err)
}

// announce says what to do now.
func announce(w io.Writer, set *settings, addr net.Addr, cert *certificate) {
	scheme, insecure := "ws", ""
	if cert != nil {
		scheme, insecure = "wss", " --insecure"
	}
	host := addr.String()
	if h, port, err := net.SplitHostPort(host); err == nil && net.ParseIP(h).IsUnspecified() {
		host = net.JoinHostPort("127.0.0.1", port)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Serving at %s://%s/echo and /room/NAME, by WebSocket and long polling\n", scheme, host)
	fmt.Fprintf(&b, "  holdfast connect %s://%s/echo%s\n", scheme, host, insecure)
	if exposed(addr) {
		b.WriteString("  Other machines can reach it, and nobody is asked who they are\n")
	}
	if cert != nil {
		fmt.Fprintf(&b, "  certificate, thrown away after this run: SHA-256 %s\n", cert.fingerprint())
		if set.certFile != "" {
			fmt.Fprintf(&b, "  to trust it: SSL_CERT_FILE=%s holdfast connect %s://%s/echo (on Linux)\n", set.certFile, scheme, host)
		} else {
			b.WriteString("  --insecure accepts it; --cert-file FILE writes it for clients that are to trust it\n")
		}
	}
	_, _ = io.WriteString(w, b.String())
}

// service is the paths.
type service struct {
	mux         *http.ServeMux
	echo, rooms *server.Server
}

func newService(set *settings) *service {
	s := &service{mux: http.NewServeMux()}
	o := server.Options{OriginPatterns: set.origins, MaxSessions: maxSessions}
	s.echo = server.New(echo, &o)
	o.SendBuffer = roomBuffer
	s.rooms = server.New(newRooms().serve, &o)
	s.mux.Handle("/{$}", s.echo)
	s.mux.Handle("/echo", s.echo)
	s.mux.HandleFunc("/room/{name}", func(w http.ResponseWriter, r *http.Request) {
		if !roomName.MatchString(r.PathValue("name")) {
			http.Error(w, "The name of a room is made of letters, digits and ._-, 64 at most.", http.StatusNotFound)
			return
		}
		s.rooms.ServeHTTP(w, r)
	})
	return s
}

// ServeHTTP marks requests, so that the log tells of this service's sessions alone.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := mark{s, r.Method == http.MethodPost || r.Header.Get("Holdfast-Hello") != "" ||
		strings.Contains(strings.Join(r.Header["Sec-Websocket-Protocol"], ","), "holdfast.v1")}
	s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), markKey{}, m)))
}

type markKey struct{}

// mark is what a request's context says.
type mark struct {
	service *service
	session bool // it speaks the session protocol
}

func markOf(s *server.Session) mark {
	m, _ := s.Request().Context().Value(markKey{}).(mark)
	return m
}

func (s *service) owns(session *server.Session) bool { return markOf(session).service == s }

// shutdown closes all sessions, then the rest, within patience.
func (s *service) shutdown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var closing sync.WaitGroup
	for _, one := range []*server.Server{s.echo, s.rooms} {
		closing.Go(func() { _ = one.Shutdown(ctx) })
	}
	closing.Wait()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
}

// lines is an io.Writer of log.Logger for the journal.
type lines struct{ *journal }

// Write takes a line.
func (l lines) Write(p []byte) (int, error) {
	l.say("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
