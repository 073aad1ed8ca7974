// Chat is a chat room: a server, and a client for terminals.
//
//	go run ./examples/chat -serve 127.0.0.1:8080
//	go run ./examples/chat -name ann ws://127.0.0.1:8080
//	go run ./examples/chat -name bob -poll ws://127.0.0.1:8080    long polling only
//
// Ctrl-C ends each of them well. Restart the server while clients are there, or
// suspend one (Ctrl-Z) for a while, and see what they say. Without arguments it
// runs a server and two clients that follow a script, in demo.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast/server"
)

func main() {
	addr := flag.String("serve", "", "serve the room at this address")
	name := flag.String("name", "", "enter the room at the URL by this name")
	poll := flag.Bool("poll", false, "use long polling only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	out := log.New(os.Stdout, "", 0)
	var err error
	switch url := flag.Arg(0); {
	case *addr != "":
		err = serve(ctx, out, *addr)
	case *name != "" && url != "":
		if *poll {
			url = pollingURL(url)
		}
		err = client(ctx, os.Stdin, out, url, *name)
	case flag.NFlag() == 0 && flag.NArg() == 0:
		err = demo(ctx, out)
	default:
		err = errors.New("usage: chat -serve ADDR, chat -name NAME [-poll] URL, or chat alone")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve serves the room until ctx ends.
func serve(ctx context.Context, out *log.Logger, addr string) error {
	s, err := start(addr)
	if err != nil {
		return err
	}
	out.Print("serving ", s.url())
	<-ctx.Done()
	out.Print("closing")
	return s.stop()
}

// running is a server that runs.
type running struct {
	listener net.Listener
	room     *server.Server
	web      *http.Server
}

func start(addr string) (*running, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	room := newServer() // an http.Handler: one URL for WebSocket and polls
	s := &running{l, room, &http.Server{Handler: room, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = s.web.Serve(l) }() // until stop
	return s, nil
}

func (s *running) url() string { return "ws://" + s.listener.Addr().String() }

// stop closes every session with 1012 (service restart), which tells the clients
// to come back, and then the rest.
func (s *running) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// The room first: the http.Server knows nothing of WebSocket connections.
	if err := s.room.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("not all clients have answered: %w", err), s.web.Close())
	}
	return s.web.Shutdown(ctx) // lets the last answers to polls out
}
