package fallback_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

// The server speaks both on one URL; something on the way lets no WebSocket
// through.
func ExampleLongPoll() {
	echo := server.New(func(ctx context.Context, s *server.Session) error {
		for msg, err := range s.Messages(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, msg.Type, msg.Data); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	ctx := context.Background()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "forbidden by policy", http.StatusForbidden)
			return
		}
		echo.ServeHTTP(w, r)
	}))
	defer web.Close()
	defer func() { _ = echo.Shutdown(ctx) }()

	conn, err := holdfast.Dial(ctx, strings.Replace(web.URL, "http", "ws", 1), &holdfast.Options{
		Fallback: []holdfast.Transport{fallback.LongPoll(nil)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println("by", conn.Stats().Transport)
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := conn.Receive(ctx)
	fmt.Printf("%s %v\n", msg.Data, err)
	// Output:
	// by longpoll
	// hello <nil>
}

// With an http or https URL no WebSocket is tried: the first fallback is the
// transport. This endpoint knows nothing of Holdfast: it has news for GET, as a
// JSON array, and takes remarks by POST.
func ExamplePlainPoll() {
	remarks := make(chan string, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			remarks <- string(body)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified) // nothing new
			return
		}
		_, _ = io.WriteString(w, `[{"news": 1}, {"news": 2}]`)
	}))
	defer web.Close()

	ctx := context.Background()
	conn, err := holdfast.Dial(ctx, web.URL+"/news", &holdfast.Options{
		Fallback: []holdfast.Transport{fallback.PlainPoll(fallback.PlainPollOptions{
			SendURL: "/remarks", // relative to the endpoint's own
			Split:   true,       // each element of an array is a message
		})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for range 2 {
		msg, err := conn.Receive(ctx)
		fmt.Printf("%s %v\n", msg.Data, err)
	}
	if err := conn.Send(ctx, holdfast.Text, []byte(`"I see"`)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-remarks)
	// Output:
	// {"news": 1} <nil>
	// {"news": 2} <nil>
	// "I see"
}
