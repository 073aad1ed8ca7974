// Fallback shows what a Conn does where WebSocket is blocked: it falls back to
// long polling, goes on, and climbs back once WebSocket gets through again. Its
// server, and what blocks the way there, are its own, on a loopback port.
//
//	go run ./examples/fallback            about 6 s
//	go run ./examples/fallback -wait 0    does not wait for the way back
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

func main() {
	wait := flag.Duration("wait", 10*time.Second, "how long to wait for the way back to WebSocket")
	flag.Parse()
	out := log.New(os.Stdout, "", log.Ltime|log.Lmicroseconds)
	if err := run(context.Background(), out, *wait); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out *log.Logger, wait time.Duration) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	echo := server.New(echo, nil)
	way := &middlebox{next: echo}
	web := &http.Server{Handler: way, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(l) }() // until Close
	defer web.Close()
	defer func() { _ = echo.Shutdown(ctx) }() // first: to web a WebSocket connection is nothing that it knows

	out.Print("--- WebSocket is blocked")
	way.blocked.Store(true)
	upgraded := make(chan struct{}, 1)
	conn, err := holdfast.Dial(ctx, "ws://"+l.Addr().String(), &holdfast.Options{
		Fallback: []holdfast.Transport{fallback.LongPoll(nil)}, // this is all that it takes
		OnEvent: func(e holdfast.Event) {
			describe(out, e)
			if e.Kind == holdfast.EventUpgraded {
				select {
				case upgraded <- struct{}{}:
				default: // an event handler does not wait
				}
			}
		},
	})
	if err != nil {
		return err
	}
	defer conn.Close()

	// The conversation does not care what carries it: no message is lost or
	// repeated, and none changes its place.
	n := 0
	talk := func() error {
		n++
		text := fmt.Sprintf("message %d", n)
		if err := conn.Send(ctx, holdfast.Text, []byte(text)); err != nil {
			return err
		}
		msg, err := conn.Receive(ctx)
		if err == nil && string(msg.Data) != text {
			err = fmt.Errorf("%q came back for %q", msg.Data, text)
		}
		out.Printf("%-9s  %s", conn.Stats().Transport, msg.Data)
		return err
	}
	if err := talk(); err != nil {
		return err
	}
	out.Print("--- the block is lifted; the first look comes 4 to 6 s after the fallback, later ones are rarer")
	way.blocked.Store(false)

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	enough := time.After(wait)
	for waiting := true; waiting; {
		select {
		case <-upgraded:
			waiting = false
		case <-enough:
			out.Print("--- that was long enough")
			waiting = false
		case <-tick.C:
		}
		if err := talk(); err != nil {
			return err
		}
	}
	if err := conn.Close(); err != nil {
		return err
	}
	<-conn.Done() // the last event has been printed
	return nil
}

// middlebox stands in for the proxies and firewalls that let no WebSocket
// through: this one answers the handshake with 403.
type middlebox struct {
	blocked atomic.Bool
	next    http.Handler
}

func (m *middlebox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.blocked.Load() && r.Header.Get("Upgrade") != "" {
		http.Error(w, "forbidden by policy", http.StatusForbidden)
		return
	}
	m.next.ServeHTTP(w, r)
}

// echo serves one session, whatever its client uses.
func echo(ctx context.Context, s *server.Session) error {
	for msg, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, msg.Type, msg.Data); err != nil {
			return err
		}
	}
	return nil
}

// describe prints an event, the transport that it is about, and why it came.
func describe(out *log.Logger, e holdfast.Event) {
	if e.Err != nil {
		out.Printf("%-9s  (%v: %v)", e.Transport, e.Kind, e.Err)
		return
	}
	out.Printf("%-9s  (%v)", e.Transport, e.Kind)
}
