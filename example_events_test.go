package holdfast_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// OnEvent tells everything that happens, in order, on one goroutine.
func ExampleOptions_onEvent() {
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
		if n == 1 {
			return holdfasttest.Refuse{Status: http.StatusServiceUnavailable}
		}
		return holdfasttest.Accept{}
	})

	conn, err := holdfast.Dial(context.Background(), server.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{InitialDelay: time.Millisecond},
		OnEvent: func(e holdfast.Event) {
			fmt.Printf("%v, attempt %d, now %v\n", e.Kind, e.Attempt, e.State)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = conn.Close()
	<-conn.Done() // the last event has been handled
	// Output:
	// connecting, attempt 1, now connecting
	// attempt failed, attempt 1, now waiting
	// waiting, attempt 1, now waiting
	// connecting, attempt 2, now connecting
	// connected, attempt 2, now connected
	// closed, attempt 0, now closed
}

// Being offline is a state, not a failure: no retry is spent, and the dial comes
// as soon as the network is back. A test can play the network.
func ExampleNetwork() {
	server := exampleServer()
	defer server.Close()
	network := holdfasttest.NewNetwork()
	network.SetOnline(false)

	states := make(chan holdfast.State, 16)
	conn, err := holdfast.Dial(context.Background(), server.URL(), &holdfast.Options{
		Background: true,
		Network:    network,
		OnEvent: func(e holdfast.Event) {
			switch e.Kind {
			case holdfast.EventOffline, holdfast.EventConnected:
				states <- e.State
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(<-states)
	network.SetOnline(true)
	fmt.Println(<-states, conn.Stats().ConsecutiveFailures)
	// Output:
	// offline
	// connected 0
}
