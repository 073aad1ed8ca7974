package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// MaxRetries bounds the failures in a row: 3 retries are 4 dials.
func ExampleRetryPolicy() {
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Refuse{Status: http.StatusServiceUnavailable}
	})

	_, err := holdfast.Dial(context.Background(), server.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{MaxRetries: 3, InitialDelay: time.Millisecond},
	})
	var last *holdfast.DialError
	if errors.Is(err, holdfast.ErrRetriesExhausted) && errors.As(err, &last) {
		fmt.Println("gave up after", server.Requests(), "dials, the last answer was", last.StatusCode)
	}
	// Output: gave up after 4 dials, the last answer was 503
}

// Decide overrides the tables, here for a close code of the application's own.
func ExampleRetryPolicy_decide() {
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) { _ = p.Close(4001, "logged in elsewhere") })

	ctx := context.Background()
	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{
			Decide: func(err error, d holdfast.Decision) holdfast.Decision {
				var ce *holdfast.CloseError
				if errors.As(err, &ce) && ce.Code == 4001 {
					return holdfast.DecisionStop
				}
				return d
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	_, err = conn.Receive(ctx)
	fmt.Println(err)
	// Output: holdfast: closed by the peer: 4001 private use "logged in elsewhere"
}

// New puts other delays in place of the default ones. The cap still holds.
func ExampleRetryPolicy_new() {
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
		if n == 1 {
			return holdfasttest.Refuse{Status: http.StatusServiceUnavailable}
		}
		return holdfasttest.Accept{}
	})

	conn, err := holdfast.Dial(context.Background(), server.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{
			New: func() holdfast.BackOff { return backoff.NewConstantBackOff(5 * time.Millisecond) },
		},
		OnEvent: func(e holdfast.Event) {
			if e.Kind == holdfast.EventWaiting {
				fmt.Println("the next attempt comes after", e.Delay)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = conn.Close()
	<-conn.Done()
	// Output: the next attempt comes after 5ms
}

// The table that decides after a close frame can be asked.
func ExampleStatusCode_Decision() {
	for _, code := range []holdfast.StatusCode{
		holdfast.StatusServiceRestart, holdfast.StatusTryAgainLater, holdfast.StatusUnauthorized, holdfast.StatusPolicyViolation,
	} {
		fmt.Printf("%v: %v\n", code, code.Decision())
	}
	// Output:
	// 1012 service restart: retry
	// 1013 try again later: retry slowly
	// 3000 unauthorized: reauthorize
	// 1008 policy violation: stop
}
