package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// A context bounds the wait of one call and nothing else: the connection lives
// on, and the message comes with a later call.
func ExampleConn_Receive() {
	server := exampleServer()
	defer server.Close()
	conn, err := holdfast.Dial(context.Background(), server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = conn.Receive(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), conn.State())

	if err := conn.Send(context.Background(), holdfast.Text, []byte("still there?")); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := conn.Receive(context.Background())
	fmt.Printf("%s %v\n", msg.Data, err)
	// Output:
	// true connected
	// still there? <nil>
}

// The loop goes on through reconnects. It ends with the error that ended the
// connection, or silently after a Close of one's own.
func ExampleConn_Messages() {
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) {
		_ = p.Send(holdfast.Text, []byte("one"))
		_ = p.Send(holdfast.Text, []byte("two"))
		_ = p.Close(1000, "that was all")
	})

	ctx := context.Background()
	conn, err := holdfast.Dial(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for msg, err := range conn.Messages(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s\n", msg.Data)
	}
	// Output:
	// one
	// two
	// holdfast: closed by the peer: 1000 normal closure "that was all"
}

// Epoch shows where messages may be missing: it grows with every new connection.
// Reload then what must be complete.
func ExampleMessage() {
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) {
		if p.N() == 1 {
			_ = p.Send(holdfast.Text, []byte("update 1"))
			_ = p.Send(holdfast.Text, []byte("update 2"))
			return // the connection is lost, and update 3 with it
		}
		_ = p.Send(holdfast.Text, []byte("update 4"))
		_ = p.Close(1000, "")
	})

	ctx := context.Background()
	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{InitialDelay: time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	epoch := uint64(1)
	for msg, err := range conn.Messages(ctx) {
		if err != nil {
			break
		}
		if msg.Epoch != epoch {
			epoch = msg.Epoch
			fmt.Println("(reload: updates may be missing)")
		}
		fmt.Printf("%s\n", msg.Data)
	}
	// Output:
	// update 1
	// update 2
	// (reload: updates may be missing)
	// update 4
}
