// Package connect is the command holdfast connect: an interactive client that
// keeps its connection up.
package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/fallback"
)

// Run is the command.
func Run(args []string, s cli.Streams) int {
	set, err := parse(args)
	if err != nil {
		return cli.Usage("connect", help, err, s)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	return run(ctx, set, s)
}

// client is one run of the command.
type client struct {
	set      *settings
	streams  cli.Streams
	screen   *screen
	record   *recorder
	expected *expectation
	conn     *holdfast.Conn
	dialled  chan struct{}          // closed when conn is set
	restore  atomic.Pointer[func()] // of the terminal, while it is in raw mode
}

// run ends when what there is to do is done, ctx is, or the connection.
func run(ctx context.Context, set *settings, s cli.Streams) int {
	c := newClient(set, s)
	if t, ok := c.terminals(); ok {
		return c.run(ctx, false, func(alive context.Context) error { return c.interact(alive, t) })
	}
	return c.run(ctx, true, c.script)
}

func newClient(set *settings, s cli.Streams) *client {
	return &client{set: set, streams: s, screen: newScreen(set, s), expected: expecting(set.expects), dialled: make(chan struct{})}
}

// run connects and does the work, whose ctx ends with the connection too. patient
// says that a full send buffer is waited for.
func (c *client) run(ctx context.Context, patient bool, work func(alive context.Context) error) int {
	var err error
	if c.set.record != "" {
		if c.record, err = newRecorder(c.set.record); err != nil {
			return cli.Usage("connect", help, fmt.Errorf("flag -record: %w", err), c.streams)
		}
	}
	if c.conn, err = holdfast.Dial(ctx, c.set.url, c.options(patient)); err != nil {
		c.record.discard()
		return cli.Usage("connect", help, named(err), c.streams)
	}
	close(c.dialled)
	alive, over := context.WithCancelCause(ctx)
	defer over(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer over(errEnded)
		defer c.rescue()
		c.receive()
	}()
	err = work(alive)
	return c.finish(ctx, err, done)
}

// options are those of the connection.
func (c *client) options(patient bool) *holdfast.Options {
	set := c.set
	o := &holdfast.Options{
		Header: set.headers.Header, Subprotocols: set.subprotocols, Background: true,
		Retry: holdfast.RetryPolicy{MaxRetries: set.retries}, Keepalive: holdfast.Keepalive{Interval: set.ping},
		AllowInsecureCredentials: set.insecureAuth, OnEvent: c.event,
	}
	if !patient {
		o.SendBuffer.WhenFull = holdfast.WhenFullFail // a wait would not hear Ctrl-C
	}
	if set.insecure {
		o.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	switch {
	case set.noProxy:
		o.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	case set.proxy != nil:
		o.Proxy = http.ProxyURL(set.proxy)
	}
	switch {
	case set.noSession:
		o.Session = holdfast.SessionOff
	case !set.noFallback:
		o.Fallback = []holdfast.Transport{fallback.LongPoll(nil)}
	}
	return o
}

// named makes of an option's name that of the flag, or argument.
func named(err error) error {
	var o *holdfast.OptionError
	if !errors.As(err, &o) {
		return errors.New(inner(err))
	}
	switch {
	case errors.Is(err, holdfast.ErrInsecureCredentials):
		return fmt.Errorf("URL: %w to another host; use wss or https, or -allow-insecure-credentials", holdfast.ErrInsecureCredentials)
	case o.Field == "url":
		return fmt.Errorf("URL: %w", o.Err)
	case o.Field == "Subprotocols":
		return fmt.Errorf("flag -subprotocol: %w", o.Err)
	case o.Field == "Header":
		return fmt.Errorf("flag -H: %w", o.Err)
	}
	return errors.New(inner(err))
}

func (c *client) event(e holdfast.Event) {
	defer c.rescue()
	<-c.dialled
	line := told(e)
	if line == "" {
		return
	}
	if e.Kind == holdfast.EventConnected && len(c.set.subprotocols) > 0 {
		switch p := c.conn.Subprotocol(); {
		case p != "":
			line += ", subprotocol " + p
		case c.conn.State() == holdfast.StateConnected: // otherwise it is not known any more
			line += ", no subprotocol"
		}
	}
	c.screen.state("%s", line)
}

// receive takes messages until the connection has ended.
func (c *client) receive() {
	for {
		m, err := c.conn.Receive(context.Background())
		if err != nil {
			return
		}
		c.record.note(received, m)
		if c.screen.message(m) != nil {
			_ = c.conn.CloseNow() // nobody looks any more
			return
		}
		c.expected.arrived(plain(m))
	}
}

func (c *client) send(ctx context.Context, m holdfast.Message) error {
	err := c.conn.Send(ctx, m.Type, m.Data)
	if err == nil {
		c.record.note(sent, m)
	}
	return err
}

// script sends what the command line and the standard input say, and waits for
// what it is to bring.
func (c *client) script(alive context.Context) error {
	if c.set.scripted() {
		var cancel context.CancelFunc
		alive, cancel = context.WithTimeoutCause(alive, c.set.timeout, errTimeout)
		defer cancel()
	}
	// Messages may come before the Conn counts as connected; closed then, it would
	// say no goodbye. Where it has ended already, what follows finds out.
	if err := c.conn.WaitConnected(alive); err != nil && errors.Is(context.Cause(alive), errTimeout) {
		return c.why(alive, err)
	}
	if err := c.prepared(alive); err != nil {
		return err
	}
	if !c.set.scripted() {
		if err := c.pipe(alive); err != nil {
			return err
		}
		var cancel context.CancelFunc
		alive, cancel = context.WithTimeoutCause(alive, c.set.timeout, errTimeout)
		defer cancel()
	}
	if err := c.conn.Flush(alive); err != nil {
		return c.why(alive, err)
	}
	if len(c.set.expects) > 0 {
		select {
		case <-c.expected.met:
			return nil
		case <-alive.Done():
			return c.why(alive, nil)
		}
	}
	answers := time.NewTimer(c.set.wait)
	defer answers.Stop()
	select {
	case <-answers.C:
	case <-alive.Done():
	}
	return nil
}

var errEnded = errors.New("the connection has ended")

var errTimeout = errors.New("flag -timeout: not done in time")

// why is err, or that the time was too short.
func (c *client) why(alive context.Context, err error) error {
	if !errors.Is(context.Cause(alive), errTimeout) {
		return err
	}
	if err := c.conn.Stats().LastError; err != nil && c.conn.State() != holdfast.StateConnected {
		return fmt.Errorf("%w: not connected: %s", errTimeout, inner(err))
	}
	return errTimeout
}

// prepared sends what the command line has.
func (c *client) prepared(alive context.Context) error {
	for _, m := range c.set.sends {
		if err := c.send(alive, m); err != nil {
			return c.why(alive, err)
		}
	}
	if len(c.set.replay) == 0 {
		return nil
	}
	return c.why(alive, replay(alive, c.set.replay, c.set.speed, func(m holdfast.Message) error { return c.send(alive, m) }))
}

// finish closes, and returns the exit code. err is how the work has ended.
func (c *client) finish(ctx context.Context, err error, received <-chan struct{}) int {
	unsent := c.conn.Close()
	<-received
	<-c.conn.Done()
	own := c.conn.Err() // unless ErrClosed, it has ended by itself
	var end *holdfast.CloseError
	bye := errors.Is(own, holdfast.ErrClosed)
	if errors.As(own, &end) && end.Remote && end.Code == holdfast.StatusNormalClosure {
		bye = true
		c.screen.state("%s", inner(own))
	}
	failed := false
	report := func(err error) {
		if err != nil {
			c.screen.fail(err)
			failed = true
		}
	}
	switch {
	case errors.Is(err, errInterrupted):
	case !bye && errors.Is(own, holdfast.ErrRetriesExhausted) && !c.set.quiet:
		report(fmt.Errorf("gave up at failure %d in a row; --retries allows more", c.conn.Stats().ConsecutiveFailures))
	case !bye:
		report(own) // and err is for that reason
	case ctx.Err() == nil:
		report(err)
	}
	if bye && ctx.Err() == nil && !errors.Is(err, errInterrupted) {
		report(c.expected.missing())
	}
	var left *holdfast.UnsentError
	if errors.As(unsent, &left) && err == nil {
		report(left)
	}
	if c.screen.failed != nil {
		report(fmt.Errorf("the output: %w", c.screen.failed))
	}
	report(c.record.close())
	if st := c.conn.Stats(); st.Connects > 0 {
		c.screen.state("closed; %s sent, %d received", messages(int(st.MessagesSent)), st.MessagesReceived)
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, errInterrupted):
		return cli.ExitInterrupted
	case failed:
		return cli.ExitFailed
	}
	return cli.ExitOK
}
