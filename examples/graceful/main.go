// Graceful ends well on SIGINT and SIGTERM: it stops producing, sends what was
// accepted, closes the connection, and says what was left if anything was. Its
// server is its own, on a loopback port.
//
//	go run ./examples/graceful    and press Ctrl-C
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	out := log.New(os.Stdout, "", 0)
	if err := run(ctx, out); err != nil {
		out.Print(err)
		os.Exit(1)
	}
}

// run produces messages until ctx ends.
func run(ctx context.Context, out *log.Logger) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := holdfasttest.NewServer(l)
	defer server.Close()
	received, code := 0, uint16(0)
	server.OnConnect(func(p *holdfasttest.Peer) {
		for {
			if _, _, err := p.Receive(); err != nil {
				break
			}
			received++
		}
		code, _ = p.CloseCode()
	})

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		CloseTimeout: 8 * time.Second, // less than what the service manager grants
	})
	if err != nil {
		return err
	}
	sent := produce(ctx, out, conn)
	out.Print("closing")
	// The context that has ended is none of Close's business: CloseTimeout
	// bounds it.
	err = conn.Close()
	var unsent *holdfast.UnsentError
	if errors.As(err, &unsent) {
		// What is worth keeping would be saved here, for the next start.
		return fmt.Errorf("%d messages were not sent, %d may not have arrived: %w", unsent.Messages, unsent.MaybeSent, unsent.Err)
	}
	server.Close() // waits for its callback, so that received is final
	out.Printf("sent %d, the server received %d and close code %d", sent, received, code)
	return err
}

// produce sends a message every 20 ms until ctx ends or the connection does,
// and returns how many were accepted.
func produce(ctx context.Context, out *log.Logger, conn *holdfast.Conn) (sent int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// Once ctx has ended, Send accepts nothing more: no message is lost
		// between the signal and Close.
		if err := conn.Send(ctx, holdfast.Text, fmt.Appendf(nil, "measurement %d", sent+1)); err != nil {
			out.Print("stopped: ", err)
			return sent
		}
		sent++
		out.Printf("accepted %d", sent)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
