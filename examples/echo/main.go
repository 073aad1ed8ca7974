// Echo sends a message and prints what comes back. Without a URL it starts an
// echo server of its own on a loopback port:
//
//	go run ./examples/echo
//	go run ./examples/echo wss://server.example/echo
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
	out := log.New(os.Stdout, "", 0)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx, out, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out *log.Logger, args []string) error {
	if len(args) > 0 {
		return echo(ctx, out, args[0])
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := holdfasttest.NewServer(l) // without a script it echoes
	defer server.Close()
	return echo(ctx, out, server.URL())
}

func echo(ctx context.Context, out *log.Logger, url string) error {
	conn, err := holdfast.Dial(ctx, url, nil)
	if err != nil {
		return err // it names the phase, the cause, and what to look at
	}
	defer conn.Close()

	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		return err
	}
	msg, err := conn.Receive(ctx)
	if err != nil {
		return err
	}
	out.Printf("%s", msg.Data)
	return conn.Close() // nil: the server has read all that was sent
}
