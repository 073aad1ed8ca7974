package holdfast_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// exampleServer starts a WebSocket server on a loopback port. It echoes what it
// gets, unless it is told otherwise.
func exampleServer() *holdfasttest.Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return holdfasttest.NewServer(l)
}

func Example() {
	server := exampleServer()
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := sayHello(ctx, server.URL()); err != nil {
		fmt.Println(err)
	}
	// Output: hello
}

// sayHello is the example of README.md.
func sayHello(ctx context.Context, url string) error {
	conn, err := holdfast.Dial(ctx, url, nil) // waits through its retries until ctx ends
	if err != nil {
		return err // what failed, why, and what to look at
	}
	defer conn.Close() // sends what was accepted, then says goodbye, in 5 s at most
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		return err
	}
	for msg, err := range conn.Messages(ctx) { // goes on through every reconnect
		if err != nil {
			return err // ctx ended, or the connection has ended for good
		}
		fmt.Printf("%s\n", msg.Data)
		break // leaving the loop loses nothing
	}
	return nil
}
