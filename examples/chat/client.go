package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"strings"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
)

// dial enters the room. With an http or https URL no WebSocket is tried at all;
// with ws and wss, long polling is there for networks that block WebSocket.
func dial(ctx context.Context, rawURL, name string, onEvent func(holdfast.Event)) (*holdfast.Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	q.Set("name", name)
	u.RawQuery = q.Encode()
	return holdfast.Dial(ctx, u.String(), &holdfast.Options{
		Fallback: []holdfast.Transport{fallback.LongPoll(nil)},
		OnEvent:  onEvent,
	})
}

// pollingURL is the same room for long polling only.
func pollingURL(u string) string {
	if rest, ok := strings.CutPrefix(u, "ws"); ok {
		return "http" + rest
	}
	return u
}

// client is a chat from a terminal: it sends the lines of in until ctx ends
// (Ctrl-C) or the lines do.
func client(ctx context.Context, in io.Reader, out *log.Logger, rawURL, name string) error {
	conn, err := dial(ctx, rawURL, name, func(e holdfast.Event) {
		switch e.Kind {
		case holdfast.EventConnected, holdfast.EventFellBack, holdfast.EventUpgraded:
			out.Printf("(%v by %s)", e.Kind, e.Transport)
		case holdfast.EventDisconnected, holdfast.EventAttemptFailed, holdfast.EventOffline:
			out.Printf("(%v: %v)", e.Kind, e.Err)
		case holdfast.EventGap: // a new session: the server was restarted, or we were away for too long
			out.Print("(lines may be missing here)")
		}
	})
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() {
		for msg, err := range conn.Messages(context.Background()) {
			if err != nil {
				received <- err // the connection has ended for good
				return
			}
			out.Printf("%s", msg.Data)
		}
		received <- nil // Close was called
	}()
	lines := make(chan string)
	go func() { // a read from a terminal cannot be broken off; it ends with the program
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-conn.Done():
				return
			}
		}
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return errors.Join(conn.Close(), <-received)
			}
			// While there is no connection the line waits for the next one.
			if err := conn.Send(ctx, holdfast.Text, []byte(line)); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			// Close sends what was accepted and says goodbye, so that the
			// others hear at once that this one has left.
			return errors.Join(conn.Close(), <-received)
		case err := <-received:
			return fmt.Errorf("the chat is over: %w", err)
		}
	}
}
