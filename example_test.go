package holdfast_test

import (
	"context"
	"fmt"
	"log"
	"net"

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
	ctx, url := context.Background(), server.URL()

	conn, err := holdfast.Dial(ctx, url, nil)
	if err != nil {
		log.Fatal(err) // what failed, why, and what to look at
	}
	defer conn.Close() // sends what was accepted, then says goodbye, in 5 s at most
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	for msg, err := range conn.Messages(ctx) { // goes on through every reconnect
		if err != nil {
			log.Fatal(err) // the connection has ended for good
		}
		fmt.Printf("%s\n", msg.Data)
		break // leaving the loop loses nothing
	}
	// Output: hello
}
