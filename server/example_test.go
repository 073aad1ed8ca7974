package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// A Server is an http.Handler: it goes where any other does.
func ExampleNew() {
	greet := server.New(func(ctx context.Context, s *server.Session) error {
		for msg, err := range s.Messages(ctx) {
			if err != nil {
				return err // the client has closed, or has not come back in time
			}
			if err := s.Send(ctx, holdfast.Text, append([]byte("hello "), msg.Data...)); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	mux := http.NewServeMux() // or http.Handle
	mux.Handle("/greet", greet)
	web := httptest.NewServer(mux)
	defer web.Close()
	ctx := context.Background()
	defer func() { _ = greet.Shutdown(ctx) }()

	conn, err := holdfast.Dial(ctx, strings.Replace(web.URL, "http", "ws", 1)+"/greet", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	if err := conn.Send(ctx, holdfast.Text, []byte("ann")); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := conn.Receive(ctx)
	fmt.Printf("%s %v\n", msg.Data, err)
	// Output: hello ann <nil>
}

// What the handler returns is what the client is told.
func ExampleNew_closeCode() {
	s := server.New(func(context.Context, *server.Session) error {
		return &holdfast.CloseError{Code: 4001, Reason: "nothing to see here"}
	}, nil)
	web := httptest.NewServer(s)
	defer web.Close()
	ctx := context.Background()
	defer func() { _ = s.Shutdown(ctx) }()

	conn, err := holdfast.Dial(ctx, strings.Replace(web.URL, "http", "ws", 1), &holdfast.Options{
		Retry: holdfast.RetryPolicy{Decide: func(err error, d holdfast.Decision) holdfast.Decision {
			if closed := new(holdfast.CloseError); errors.As(err, &closed) && closed.Code == 4001 {
				return holdfast.DecisionStop // codes from 4000 on are the application's own
			}
			return d
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	_, err = conn.Receive(ctx)
	fmt.Println(err)
	// Output: holdfast: closed by the peer: 4001 private use "nothing to see here"
}

// Shutdown comes before that of the http.Server, which knows nothing of
// WebSocket connections. Clients get all that was sent to them, and 1012, which
// tells them to come back.
func ExampleServer_Shutdown() {
	greet := server.New(func(ctx context.Context, s *server.Session) error {
		if err := s.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
			return err
		}
		_, err := s.Receive(ctx) // until the client closes, or Shutdown does
		return err
	}, nil)
	web := httptest.NewServer(greet)
	defer web.Close()

	ctx := context.Background()
	told := make(chan holdfast.Event, 1)
	conn, err := holdfast.Dial(ctx, strings.Replace(web.URL, "http", "ws", 1), &holdfast.Options{
		OnEvent: func(e holdfast.Event) {
			if e.Kind == holdfast.EventDisconnected {
				told <- e
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	msg, err := conn.Receive(ctx)
	fmt.Printf("%s %v\n", msg.Data, err)

	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fmt.Println("shut down:", greet.Shutdown(limit))
	e := <-told
	fmt.Println("the client:", e.Err)
	fmt.Println("the client is", e.State)
	// Output:
	// hello <nil>
	// shut down: <nil>
	// the client: holdfast: closed by the peer: 1012 service restart
	// the client is waiting
}
