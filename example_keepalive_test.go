package holdfast_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// Message is for services that want a message of their own in place of a ping.
// Any answer, or anything else that arrives, is a sign of life.
func ExampleKeepalive_message() {
	server := exampleServer()
	defer server.Close()
	asked := make(chan string, 1)
	server.OnConnect(func(p *holdfasttest.Peer) {
		for {
			_, data, err := p.Receive()
			if err != nil {
				return
			}
			select {
			case asked <- string(data):
			default:
			}
			_ = p.Send(holdfast.Text, []byte(`{"op":"pong"}`))
		}
	})

	conn, err := holdfast.Dial(context.Background(), server.URL(), &holdfast.Options{
		Keepalive: holdfast.Keepalive{
			Interval: 5 * time.Millisecond, // of silence; the default is 25 s
			Message: func() holdfast.Message {
				return holdfast.Message{Type: holdfast.Text, Data: []byte(`{"op":"ping"}`)}
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(<-asked)
	// Output: {"op":"ping"}
}
