package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// Close sends what was accepted, closes with 1000 and waits for the server's
// answer. nil means that the server has read everything.
func ExampleConn_Close() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	received := make(chan int, 1)
	server.OnConnect(func(p *holdfasttest.Peer) {
		n := 0
		for {
			if _, _, err := p.Receive(); err != nil {
				received <- n
				return
			}
			n++
		}
	})

	conn, err := holdfast.Dial(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 100 {
		if err := conn.Send(ctx, holdfast.Binary, make([]byte, 1000)); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(conn.Close(), <-received)
	fmt.Println(conn.Err())
	// Output:
	// <nil> 100
	// holdfast: connection closed
}

// CloseWith says another code and a reason.
func ExampleConn_CloseWith() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) {
		p.OnClose(func(code uint16, reason string) bool {
			fmt.Println("the client says", code, reason)
			return true
		})
		_, _, _ = p.Receive()
	})

	conn, err := holdfast.Dial(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(conn.CloseWith(ctx, 4000, "the user has left"))
	// Output:
	// the client says 4000 the user has left
	// <nil>
}

// Close does not reconnect in order to deliver. It says what was left.
func ExampleUnsentError() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Refuse{} })

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{Background: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
			fmt.Println(err)
			return
		}
	}
	var unsent *holdfast.UnsentError
	if err := conn.Close(); errors.As(err, &unsent) {
		fmt.Println(unsent.Messages, "messages,", unsent.Bytes, "bytes,", unsent.MaybeSent, "maybe sent")
	}
	// Output: 3 messages, 15 bytes, 0 maybe sent
}
