package holdfast_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// Dial returns when the first connection is up. What the options leave out has
// its default.
func ExampleDial() {
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Accept{Subprotocol: "chat.v2"}
	})

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel() // it bounds the first connection, retries included, and nothing later

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Header:       http.Header{"Origin": {"https://app.example"}},
		Subprotocols: []string{"chat.v2", "chat.v1"},
		Keepalive:    holdfast.Keepalive{Interval: 15 * time.Second},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.State(), conn.Subprotocol())
	// Output: connected chat.v2
}

// With Background, Dial does not wait for the server. Send works at once, and
// WaitConnected waits where that is needed.
func ExampleConn_WaitConnected() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
		if n <= 2 {
			return holdfasttest.Refuse{Status: http.StatusServiceUnavailable}
		}
		return holdfasttest.Accept{}
	})

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Background: true,
		Retry:      holdfast.RetryPolicy{InitialDelay: time.Millisecond},
	})
	if err != nil { // an argument that cannot be right
		fmt.Println(err)
		return
	}
	defer conn.Close()
	if err := conn.Send(ctx, holdfast.Text, []byte("early bird")); err != nil {
		fmt.Println(err)
		return
	}

	waitCtx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := conn.WaitConnected(waitCtx); err != nil {
		fmt.Println(err) // it wraps ctx's error and the last failure
		return
	}
	msg, err := conn.Receive(ctx)
	fmt.Printf("%s %v, after %d attempts\n", msg.Data, err, conn.Stats().Attempts)
	// Output: early bird <nil>, after 3 attempts
}

// Endpoints are more URLs of the same service. A failure moves on to the next.
func ExampleOptions_endpoints() {
	ctx := context.Background()
	first, second := exampleServer(), exampleServer()
	defer second.Close()
	first.Close() // nobody listens there any more

	conn, err := holdfast.Dial(ctx, first.URL(), &holdfast.Options{
		Endpoints: []string{second.URL()},
		Retry:     holdfast.RetryPolicy{InitialDelay: time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println("connections to the second endpoint:", second.Accepted())
	// Output: connections to the second endpoint: 1
}
