package holdfast_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

// Something on the way lets no WebSocket through, and the Conn goes on over long
// polling.
func Example_fallback() {
	mux := http.NewServeMux()
	echo := serveEcho(mux)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "forbidden by policy", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	defer web.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer func() { _ = echo.Shutdown(ctx) }()

	conn, err := dialWithFallback(ctx, strings.Replace(web.URL, "http", "ws", 1)+"/stream")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := conn.Receive(ctx)
	fmt.Printf("%s, by %s, %v\n", msg.Data, conn.Stats().Transport, err)
	// Output: hello, by longpoll, <nil>
}

// dialWithFallback is an example of README.md.
func dialWithFallback(ctx context.Context, url string) (*holdfast.Conn, error) {
	conn, err := holdfast.Dial(ctx, url, &holdfast.Options{
		Fallback: []holdfast.Transport{fallback.LongPoll(nil)}, // this is all that it takes
	})
	return conn, err
}

// serveEcho is an example of README.md.
func serveEcho(mux *http.ServeMux) *server.Server {
	echo := server.New(func(ctx context.Context, s *server.Session) error {
		for msg, err := range s.Messages(ctx) {
			if err != nil {
				return err // the client has closed, or has not come back in time
			}
			if err := s.Send(ctx, msg.Type, msg.Data); err != nil {
				return err
			}
		}
		return nil // closes with 1000, after all that was sent
	}, nil)
	mux.Handle("/stream", echo) // WebSocket and polls
	return echo
}
