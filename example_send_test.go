package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// Send returns as soon as the message has its place in the send buffer. The data
// is copied, so the caller may use its slice again.
func ExampleConn_Send() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	conn, err := holdfast.Dial(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	buf := make([]byte, 0, 64)
	for i := range 3 {
		buf = fmt.Appendf(buf[:0], "message %d", i)
		if err := conn.Send(ctx, holdfast.Text, buf); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 3 {
		msg, err := conn.Receive(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%v %s\n", msg.Type, msg.Data)
	}
	// Output:
	// text message 0
	// text message 1
	// text message 2
}

// SendSync waits for the proof that the other end of the WebSocket has read the
// message. It does not tell whether the application there has processed it.
func ExampleConn_SendSync() {
	server := exampleServer()
	defer server.Close()
	conn, err := holdfast.Dial(context.Background(), server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = conn.SendSync(ctx, holdfast.Binary, []byte{1, 2, 3})
	var se *holdfast.SendError
	switch {
	case err == nil:
		fmt.Println("read by the server")
	case errors.As(err, &se) && se.Outcome == holdfast.NotSent:
		fmt.Println("sending it again is safe:", err)
	default:
		fmt.Println("sending it again may make two of it:", err)
	}
	// Output: read by the server
}

// Flush waits for the proof for all that was accepted, which is cheaper than
// SendSync for each message: one ping covers them all.
func ExampleConn_Flush() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	conn, err := holdfast.Dial(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	for i := range 1000 {
		if err := conn.Send(ctx, holdfast.Text, fmt.Appendf(nil, "row %d", i)); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := conn.Flush(ctx); err != nil {
		fmt.Println(err) // how many messages have no proof, and why
		return
	}
	s := conn.Stats()
	fmt.Println("sent:", s.MessagesSent, "without proof:", s.Unacknowledged)
	// Output: sent: 1000 without proof: 0
}

// WhenFullFail makes Send an attempt: what does not fit is refused at once.
func ExampleSendBuffer() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Refuse{} })

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Background: true,
		SendBuffer: holdfast.SendBuffer{MaxMessages: 2, WhenFull: holdfast.WhenFullFail},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for _, text := range []string{"a", "b", "c"} {
		err := conn.Send(ctx, holdfast.Text, []byte(text))
		fmt.Println(text, errors.Is(err, holdfast.ErrBufferFull))
	}
	// Output:
	// a false
	// b false
	// c true
}

// WhenFullDropOldest suits data of which only the newest counts. No drop is
// silent: it is counted, told by an event, and reported by the next Flush.
func ExampleSendBuffer_dropOldest() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Refuse{} })

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Background: true,
		Retry:      holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, MaxDelay: 5 * time.Millisecond},
		SendBuffer: holdfast.SendBuffer{MaxMessages: 2, WhenFull: holdfast.WhenFullDropOldest},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for _, position := range []string{"here", "there", "everywhere"} {
		if err := conn.Send(ctx, holdfast.Text, []byte(position)); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("dropped:", conn.Stats().Dropped)

	server.OnRequest(nil) // the server is back
	fmt.Println(conn.Flush(ctx))
	for range 2 {
		msg, err := conn.Receive(ctx)
		fmt.Printf("%s %v\n", msg.Data, err)
	}
	// Output:
	// dropped: 1
	// holdfast: message not sent: the send buffer was full and the oldest message gave way
	// there <nil>
	// everywhere <nil>
}

// AtLeastOnce sends again, on the next link, what the server has not proven to
// have read. So it may arrive twice: give messages a key.
func ExampleDelivery() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	arrived := make(chan string, 2)
	server.OnConnect(func(p *holdfasttest.Peer) {
		for {
			_, data, err := p.Receive()
			if err != nil {
				return
			}
			arrived <- fmt.Sprintf("link %d: %s", p.N(), data)
			if p.N() == 1 {
				return // the first link is lost before the server could answer
			}
		}
	})

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Delivery: holdfast.AtLeastOnce,
		Retry:    holdfast.RetryPolicy{InitialDelay: time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.SendSync(ctx, holdfast.Text, []byte("order 7")))
	fmt.Println(<-arrived)
	fmt.Println(<-arrived)
	// Output:
	// <nil>
	// link 1: order 7
	// link 2: order 7
}
