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

// A DialError says how far the attempt came, what kind of cause it was, and what
// a person should look at.
func ExampleDialError() {
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Refuse{Status: http.StatusNotFound}
	})

	_, err := holdfast.Dial(context.Background(), server.URL()+"streem", nil)
	var de *holdfast.DialError
	if errors.As(err, &de) {
		fmt.Println(de.Phase, de.StatusCode, de.Class)
		fmt.Println(de.Decision)
		fmt.Println(de.Hint)
	}
	// Output:
	// handshake 404 not found
	// stop
	// the server has nothing at /streem: check the path of the URL
}

// A CloseError ends a connection when the server's close code says that there is
// no point in another one.
func ExampleCloseError() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) { _ = p.Close(1008, "no such room") })

	conn, err := holdfast.Dial(ctx, server.URL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	_, err = conn.Receive(ctx)
	var ce *holdfast.CloseError
	if errors.As(err, &ce) {
		fmt.Println(ce.Code, "-", ce.Reason)
	}
	// Output: 1008 policy violation - no such room
}

// A SendError says whether sending again is safe. Here the server answers no
// ping, so nothing proves that it has read the message.
func ExampleSendError() {
	ctx := context.Background()
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) {
		p.OnPing(func([]byte) (answer []byte, send bool) { return nil, false })
		for {
			if _, _, err := p.Receive(); err != nil {
				return
			}
		}
	})

	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Keepalive: holdfast.Keepalive{Timeout: 10 * time.Millisecond}, // the default is 10 s
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var se *holdfast.SendError
	if err := conn.SendSync(ctx, holdfast.Text, []byte("debit 100")); errors.As(err, &se) {
		fmt.Println(se.Outcome, "-", errors.Is(err, holdfast.ErrNoPong))
	}
	_ = conn.Close()
	if err := conn.Send(ctx, holdfast.Text, []byte("too late")); errors.As(err, &se) {
		fmt.Println(se.Outcome, "-", errors.Is(err, holdfast.ErrClosed))
	}
	// Output:
	// maybe sent - true
	// not sent - true
}

// What cannot be right is said before any dial, with the name of the option.
func ExampleOptionError() {
	_, err := holdfast.Dial(context.Background(), "https://server.example/stream", nil)
	var oe *holdfast.OptionError
	if errors.As(err, &oe) {
		fmt.Println(oe.Field)
	}
	fmt.Println(err)
	// Output:
	// url
	// holdfast: url: https://server.example/stream: an http or https URL needs a transport in Options.Fallback; for WebSocket use ws or wss
}
