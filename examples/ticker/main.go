// Ticker follows the prices of an exchange through every failure. It is a small
// program with tests: ticker_test.go shows how a program's reconnect behaviour is
// tested, in virtual time, with package holdfasttest. Its exchange, on a loopback
// port, is its own unless a URL is given.
//
//	go run ./examples/ticker
//	go test ./examples/ticker
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

func main() {
	url := flag.String("url", "", "the exchange's URL; without one the program has its own")
	symbols := flag.String("symbols", "ACME,INIT", "what to follow, separated by commas")
	long := flag.Duration("for", 3*time.Second, "how long")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "ticker: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *long)
	defer cancel()
	if err := run(ctx, os.Stdout, *url, strings.Split(*symbols, ",")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, url string, symbols []string) error {
	if url == "" {
		ctx, cancel := context.WithCancel(ctx)
		own, stop, err := startExchange(ctx)
		if err != nil {
			cancel()
			return err
		}
		defer func() { cancel(); stop() }()
		url = own
	}
	t := &ticker{
		url:     url,
		symbols: symbols,
		options: holdfast.Options{Fallback: []holdfast.Transport{fallback.LongPoll(nil)}},
		changed: func(symbol string, cents int) { fmt.Fprintf(out, "%s %d.%02d\n", symbol, cents/100, cents%100) },
	}
	return t.run(ctx)
}

// startExchange serves an exchange whose prices move until ctx ends. stop comes
// after that.
func startExchange(ctx context.Context) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	x := newExchange(map[string]int{"ACME": 10000, "INIT": 2500})
	sessions := x.handler()
	web := &http.Server{Handler: sessions, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(l) }() // until Close
	var market sync.WaitGroup
	market.Go(func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				x.set("ACME", 10000+rand.IntN(200))
				x.set("INIT", 2500+rand.IntN(50))
			case <-ctx.Done():
				return
			}
		}
	})
	return "ws://" + l.Addr().String() + "/", func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = sessions.Shutdown(ended) // at once
		_ = web.Close()
		market.Wait()
	}, nil
}

// handler serves the exchange with package server: sessions, WebSocket and polls.
func (x *exchange) handler() *server.Server {
	return server.New(func(ctx context.Context, s *server.Session) error {
		return x.serve(func() ([]byte, error) {
			m, err := s.Receive(ctx)
			return m.Data, err
		}, func(b []byte) error {
			return s.Send(ctx, holdfast.Text, b)
		})
	}, nil)
}
