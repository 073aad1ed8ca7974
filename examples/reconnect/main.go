// Reconnect shows what a Conn does while its server goes down and comes up
// again. It needs no network: the server is its own, on a loopback port.
//
//	go run ./examples/reconnect
package main

import (
	"context"
	"log"
	"net"
	"os"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func main() {
	out := log.New(os.Stdout, "", log.Ltime|log.Lmicroseconds)
	if err := run(context.Background(), out); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out *log.Logger) error {
	server, addr, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { server.Close() }()

	failed := make(chan struct{}, 1)
	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		// Short delays, so that there is something to see; and no cap, as
		// for a program that has nothing better to do than to go on.
		Retry: holdfast.RetryPolicy{
			MaxRetries:   holdfast.Unlimited,
			InitialDelay: 100 * time.Millisecond,
			MaxDelay:     300 * time.Millisecond,
		},
		OnEvent: func(e holdfast.Event) {
			describe(out, e)
			if e.Kind == holdfast.EventAttemptFailed {
				select {
				case failed <- struct{}{}:
				default: // an event handler does not wait
				}
			}
		},
	})
	if err != nil {
		return err
	}
	defer conn.Close()

	for range 2 {
		out.Print("--- the server goes down")
		server.Close()
		select {
		case <-failed:
		case <-ctx.Done():
			return ctx.Err()
		}
		// Send does not need a connection: the message waits for the next one.
		if err := conn.Send(ctx, holdfast.Text, []byte("sent while the server was down")); err != nil {
			return err
		}
		out.Print("--- the server comes up")
		if server, _, err = listen(addr); err != nil {
			return err
		}
		msg, err := conn.Receive(ctx)
		if err != nil {
			return err
		}
		out.Printf("--- received %q in epoch %d", msg.Data, msg.Epoch)
	}
	if err := conn.Close(); err != nil {
		return err
	}
	<-conn.Done() // the last event has been printed
	return nil
}

// listen starts an echo server.
func listen(addr string) (server *holdfasttest.Server, address string, err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, "", err
	}
	return holdfasttest.NewServer(l), l.Addr().String(), nil
}

// describe prints the state that an event leads to, and why.
func describe(out *log.Logger, e holdfast.Event) {
	switch {
	case e.Kind == holdfast.EventWaiting:
		out.Printf("%-10v  %v for %v", e.State, e.Kind, e.Delay.Round(time.Millisecond))
	case e.Err != nil:
		out.Printf("%-10v  %v: %v", e.State, e.Kind, e.Err)
	default:
		out.Printf("%-10v  %v", e.State, e.Kind)
	}
}
