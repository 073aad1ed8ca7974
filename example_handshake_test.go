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

// Authorize runs before every handshake, so each reconnect has a fresh token.
// When the server refuses the token, by status 401 or by close code 3000, it runs
// once more, and last says why.
func ExampleOptions_authorize() {
	server := exampleServer()
	defer server.Close()
	server.OnRequest(func(_ int, r *http.Request) holdfasttest.Reply {
		if r.Header.Get("Authorization") != "Bearer token-2" {
			return holdfasttest.Refuse{Status: http.StatusUnauthorized}
		}
		return holdfasttest.Accept{}
	})

	token := "token-1" // from an earlier run; it has expired meanwhile
	refresh := func(context.Context) (string, error) { return "token-2", nil }

	conn, err := holdfast.Dial(context.Background(), server.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{InitialDelay: time.Millisecond},
		Authorize: func(ctx context.Context, r *http.Request, last error) error {
			var de *holdfast.DialError
			var ce *holdfast.CloseError
			if errors.As(last, &de) && de.StatusCode == http.StatusUnauthorized ||
				errors.As(last, &ce) && ce.Code == holdfast.StatusUnauthorized {
				fmt.Println("refreshing")
				var err error
				if token, err = refresh(ctx); err != nil {
					return backoff.Permanent(err) // a plain error would be retried
				}
			}
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.State())
	// Output:
	// refreshing
	// connected
}

// OnConnect talks on each fresh link before anything else is sent: log in,
// subscribe. What it does not receive goes to Receive.
func ExampleOptions_onConnect() {
	server := exampleServer()
	defer server.Close()
	server.OnConnect(func(p *holdfasttest.Peer) {
		for {
			_, data, err := p.Receive()
			if err != nil {
				return
			}
			_ = p.Send(holdfast.Text, append([]byte("ok: "), data...))
		}
	})

	ctx := context.Background()
	conn, err := holdfast.Dial(ctx, server.URL(), &holdfast.Options{
		OnConnect: func(ctx context.Context, h *holdfast.Handshake) error {
			if err := h.Send(ctx, holdfast.Text, []byte("login ada")); err != nil {
				return err
			}
			answer, err := h.Receive(ctx)
			if err != nil {
				return err
			}
			if string(answer.Data) != "ok: login ada" {
				return fmt.Errorf("the server says %q", answer.Data) // fails the attempt
			}
			return h.Send(ctx, holdfast.Text, []byte("subscribe prices"))
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	msg, err := conn.Receive(ctx)
	fmt.Printf("%s %v\n", msg.Data, err)
	// Output: ok: subscribe prices <nil>
}
