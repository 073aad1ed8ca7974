// Debugpage shows the debug page of a process that has something to show: a
// server, clients by WebSocket and by polling, one of which loses its link now and
// then, and one whose server is down. The page is guarded twice: it has a
// listener of its own, which must be a loopback address, and it is shown to
// those alone who ask for it by a loopback name.
//
//	go run ./examples/debugpage                        http://127.0.0.1:6060/debug/holdfast
//	go run ./examples/debugpage -debug 127.0.0.1:0     any free port
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/debugpage"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

func main() {
	addr := flag.String("debug", "127.0.0.1:6060", "serve the debug page at this loopback address")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	out := log.New(os.Stdout, "", 0)
	if err := run(ctx, out, *addr); err != nil {
		log.Fatal(err)
	}
}

// run shows the page until ctx ends.
func run(ctx context.Context, out *log.Logger, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !isLoopback(host) {
		return fmt.Errorf("-debug: %q is not a loopback address with a port, and the page is for this machine alone", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	debug := http.NewServeMux()
	debug.Handle("/debug/holdfast", localOnly(debugpage.Handler(&debugpage.Options{Title: "The example"})))
	page := &http.Server{Handler: debug, ReadHeaderTimeout: 5 * time.Second}
	defer page.Close()
	go func() { _ = page.Serve(l) }() // until Close

	stop, err := bustle(ctx)
	if err != nil {
		return err
	}
	defer stop()
	out.Printf("http://%s/debug/holdfast", l.Addr())
	<-ctx.Done()
	return nil
}

// localOnly guards the page from other sites in a browser on this machine: such
// a site may have its own name lead to this machine, but then it is in Host.
func localOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !isLoopback(host) {
			http.Error(w, "the page is for this machine alone", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bustle makes a server and clients, until stop.
func bustle(ctx context.Context) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ticker := server.New(tick, nil)
	web := &http.Server{Handler: ticker, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(l) }() // until Close

	var conns []*holdfast.Conn
	stop = func() {
		for _, conn := range conns {
			_ = conn.CloseNow() // the program ends
		}
		ended, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = ticker.Shutdown(ended)
		_ = web.Close()
	}
	keepalive := holdfast.Keepalive{Interval: time.Second} // for many round trips in a short time
	poll := []holdfast.Transport{fallback.LongPoll(nil)}
	for _, c := range []struct {
		url  string
		opts holdfast.Options
	}{
		{"ws://" + l.Addr().String() + "/steady", holdfast.Options{}},
		{"http://" + l.Addr().String() + "/polling", holdfast.Options{Fallback: poll}},
		{"ws://" + l.Addr().String() + "/shaky", holdfast.Options{}},
		{"ws://127.0.0.1:1/down", holdfast.Options{Retry: holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited}}},
	} {
		c.opts.Background, c.opts.Keepalive = true, keepalive
		conn, err := holdfast.Dial(ctx, c.url, &c.opts)
		if err != nil {
			stop()
			return nil, err
		}
		conns = append(conns, conn)
		go func() {
			for {
				if _, err := conn.Receive(ctx); err != nil {
					return // ctx or the Conn has ended
				}
			}
		}()
	}
	go func() {
		for every := time.NewTicker(7 * time.Second); ; {
			select {
			case <-every.C:
				conns[2].Reconnect()
			case <-ctx.Done():
				every.Stop()
				return
			}
		}
	}()
	return stop, nil
}

// tick sends the time every 3 s.
func tick(ctx context.Context, s *server.Session) error {
	for {
		if err := s.Send(ctx, holdfast.Text, []byte(time.Now().Format(time.TimeOnly))); err != nil {
			return err
		}
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}
