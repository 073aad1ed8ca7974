package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// demo runs a server and two clients: ann uses WebSocket, bob long polling only.
// It prints what each of them hears, and fails where that is not the next line of
// the script.
func demo(ctx context.Context, out *log.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s, err := start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()

	var failed error // the first failure; nothing is done after it
	says := func(c *holdfast.Conn, line string) {
		if failed == nil {
			failed = c.Send(ctx, holdfast.Text, []byte(line))
		}
	}
	hears := func(c *holdfast.Conn, name, want string) {
		if failed != nil {
			return
		}
		msg, err := c.Receive(ctx)
		if err == nil && string(msg.Data) != want {
			err = fmt.Errorf("%s hears %q, not %q", name, msg.Data, want)
		}
		out.Printf("%s | %s", name, msg.Data)
		failed = err
	}

	ann, err := dial(ctx, s.url(), "ann", nil)
	if err != nil {
		return err
	}
	defer ann.Close()
	hears(ann, "ann", "* here: ann")
	lost := make(chan error, 16)
	bob, err := dial(ctx, pollingURL(s.url()), "bob", func(e holdfast.Event) {
		if e.Kind == holdfast.EventDisconnected {
			lost <- e.Err
		}
	})
	if err != nil {
		return err
	}
	defer bob.Close()
	hears(bob, "bob", "* here: ann, bob")
	hears(ann, "ann", "* bob has come")
	says(ann, "hello bob")
	hears(bob, "bob", "ann: hello bob")
	says(bob, "hello ann, no WebSocket where I am")
	hears(ann, "ann", "bob: hello ann, no WebSocket where I am")

	out.Print("    (ann's link is cut)")
	ann.Reconnect() // drops the link without a word, and makes another one
	says(bob, "still there?")
	if err := ann.WaitConnected(ctx); err != nil {
		return err
	}
	hears(ann, "ann", "bob: still there?")
	says(ann, "I was never away")
	hears(bob, "bob", "ann: I was never away") // and nothing before it

	out.Print("    (ann goes)")
	if err := ann.Close(); err != nil {
		return err
	}
	hears(bob, "bob", "* ann has left")

	out.Print("    (the server restarts)")
	if err := s.stop(); err != nil {
		return err
	}
	select {
	case err := <-lost:
		out.Printf("bob | (%v)", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	restarted, err := start(s.listener.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = restarted.stop() }()
	hears(bob, "bob", "* here: bob") // who has come back by himself
	if err := bob.Close(); err != nil {
		return err
	}
	return failed
}
