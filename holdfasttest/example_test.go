package holdfasttest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/server"
)

// A script is a step for each handshake; after it, connections are served. Tests
// do this in virtual time: see the package's overview.
func ExampleServer_Script() {
	network := holdfasttest.NewMemory()
	srv := network.NewServer("")
	defer srv.Close()
	srv.Script(
		holdfasttest.Refuse{Status: 502},
		holdfasttest.AfterSent(1).Close(1012, "deploying"),
	)

	options := network.Options()
	options.Retry.InitialDelay = time.Millisecond
	again := make(chan struct{})
	options.OnEvent = func(e holdfast.Event) {
		var de *holdfast.DialError
		var ce *holdfast.CloseError
		switch {
		case errors.As(e.Err, &de) && e.Kind == holdfast.EventAttemptFailed:
			fmt.Println(e.Kind, de.StatusCode)
		case errors.As(e.Err, &ce) && e.Kind == holdfast.EventDisconnected:
			fmt.Println(e.Kind, uint16(ce.Code), ce.Reason)
		case e.Kind == holdfast.EventConnected:
			fmt.Println(e.Kind)
		case e.Kind == holdfast.EventGap:
			close(again)
		}
	}
	ctx := context.Background()
	conn, err := holdfast.Dial(ctx, srv.URL(), &options)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	<-again
	fmt.Println("steps left:", srv.ScriptLeft())
	// Output:
	// attempt failed 502
	// connected
	// disconnected 1012 deploying
	// connected
	// steps left: 0
}

// WebSocket is blocked in front of a handler, here of package server, and the client
// falls back to polling.
func ExampleServer_Handle() {
	sessions := server.New(func(ctx context.Context, s *server.Session) error {
		for m, err := range s.Messages(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, m.Type, m.Data); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	network := holdfasttest.NewMemory()
	srv := network.NewServer("")
	defer srv.Close()
	srv.Handle(sessions)
	srv.Script(holdfasttest.Always(holdfasttest.BlockForbidden))

	ctx := context.Background()
	options := network.Options()
	options.Fallback = []holdfast.Transport{fallback.LongPoll(nil)}
	conn, err := holdfast.Dial(ctx, srv.URL(), &options)
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	msg, err := conn.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s over %s\n", msg.Data, conn.Stats().Transport)
	if err := conn.Close(); err != nil {
		log.Fatal(err)
	}
	if err := sessions.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: hello over longpoll
}

// A server that restarts: what it had goes with it, and it comes back at its
// address.
func ExampleServer_Stop() {
	network := holdfasttest.NewMemory()
	srv := network.NewServer("api.example:80")
	defer srv.Close()
	dial := func() {
		conn, err := network.DialContext(context.Background(), "tcp", "api.example:80")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("connected")
		_ = conn.Close()
	}
	dial()
	srv.Stop()
	dial()
	srv.Start()
	dial()
	// Output:
	// connected
	// dial tcp 198.18.0.1:80: connect: connection refused
	// connected
}

// Plain HTTP requests can be answered beside a WebSocket conversation.
func ExampleServer_OnConnect() {
	network := holdfasttest.NewMemory()
	srv := network.NewServer("api.example:80")
	defer srv.Close()
	srv.Handle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "a snapshot")
	}))
	srv.OnConnect(func(p *holdfasttest.Peer) {
		_, request, err := p.Receive()
		if err == nil {
			_ = p.Send(holdfast.Text, append([]byte("you said "), request...))
		}
		_ = p.Close(1000, "")
	})

	ctx := context.Background()
	options := network.Options()
	conn, err := holdfast.Dial(ctx, srv.URL(), &options)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	for msg, err := range conn.Messages(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s\n", msg.Data)
	}
	// Output:
	// you said hello
	// holdfast: closed by the peer: 1000 normal closure
}

// printer stands for the *testing.T of a test.
type printer struct{}

func (printer) Helper()                           {}
func (printer) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (printer) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

// What an assertion prints when it fails.
func ExampleRecorder_AssertKinds() {
	rec := holdfasttest.NewRecorder(printer{})
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, e := range []holdfast.Event{ // those of a Conn, in a test
		{Kind: holdfast.EventConnecting, State: holdfast.StateConnecting, Attempt: 1, Time: start},
		{Kind: holdfast.EventConnected, State: holdfast.StateConnected, Attempt: 1, Epoch: 1, Time: start.Add(20 * time.Millisecond)},
		{Kind: holdfast.EventOffline, State: holdfast.StateOffline, Epoch: 1, Err: errors.New("this host is offline"), Time: start.Add(4 * time.Minute)},
	} {
		e.Transport = "websocket"
		rec.OnEvent(e)
	}
	rec.AssertKinds(holdfast.EventConnecting, holdfast.EventConnected, holdfast.EventDisconnected, holdfasttest.Ellipsis)
	// Output:
	// the events are not [connecting, connected, disconnected, …]
	//        time  event       state       transport  attempt  delay  epoch  count  error
	//     +0.000s  connecting  connecting  websocket  1
	//     +0.020s  connected   connected   websocket  1               1
	// > +240.000s  offline     offline     websocket                  1             this host is offline
	//           ^ disconnected was expected here
}
