package main

import (
	"context"

	"github.com/holdfast-ws/holdfast"
)

// holdfastConn counts what it sends as sent when Flush has returned, that is when
// its receipt is proven.
type holdfastConn struct {
	c   *holdfast.Conn
	buf []byte
}

func dialHoldfast(ctx context.Context, to target) (conn, error) {
	return newHoldfast(ctx, to.url, &holdfast.Options{TLSConfig: to.tls})
}

// dialPlain connects to package server without a session.
func dialPlain(ctx context.Context, to target) (conn, error) {
	return newHoldfast(ctx, "ws://"+to.child.Holdfast, &holdfast.Options{Session: holdfast.SessionOff})
}

// dialSession connects to package server with one.
func dialSession(ctx context.Context, to target) (conn, error) {
	return newHoldfast(ctx, "ws://"+to.child.Holdfast, &holdfast.Options{Session: holdfast.SessionRequire})
}

func newHoldfast(ctx context.Context, url string, o *holdfast.Options) (conn, error) {
	c, err := holdfast.Dial(ctx, url, o)
	if err != nil {
		return nil, err
	}
	return &holdfastConn{c: c}, nil
}

func (c *holdfastConn) Send(p []byte) error {
	return c.c.Send(context.Background(), holdfast.Binary, p)
}

func (c *holdfastConn) Flush() error { return c.c.Flush(context.Background()) }
func (c *holdfastConn) Close()       { _ = c.c.CloseNow() }

func (c *holdfastConn) Each(owned bool, visit func(p []byte) bool) error {
	for {
		p, err := c.receive(owned)
		if err != nil {
			return err
		}
		if !visit(p) {
			return nil
		}
	}
}

func (c *holdfastConn) receive(owned bool) ([]byte, error) {
	if owned {
		m, err := c.c.Receive(context.Background())
		return m.Data, err
	}
	m, err := c.c.ReceiveAppend(context.Background(), c.buf[:0])
	c.buf = m.Data
	return m.Data, err
}
