package main

import (
	"context"

	"github.com/gorilla/websocket"
)

// gorillaConn splits a message that is larger than its write buffer into frames.
type gorillaConn struct {
	c   *websocket.Conn
	buf []byte
}

func dialGorilla(ctx context.Context, to target) (conn, error) {
	d := websocket.Dialer{TLSClientConfig: to.tls}
	if to.large {
		d.ReadBufferSize, d.WriteBufferSize = 64<<10, 64<<10
	}
	c, _, err := d.DialContext(ctx, to.url, nil)
	if err != nil {
		return nil, err
	}
	return &gorillaConn{c: c}, nil
}

func (c *gorillaConn) Send(p []byte) error { return c.c.WriteMessage(websocket.BinaryMessage, p) }
func (c *gorillaConn) Flush() error        { return nil }
func (c *gorillaConn) Close()              { _ = c.c.Close() }

func (c *gorillaConn) Each(owned bool, visit func(p []byte) bool) error {
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

func (c *gorillaConn) receive(owned bool) (p []byte, err error) {
	if owned {
		_, p, err = c.c.ReadMessage()
		return p, err
	}
	_, r, err := c.c.NextReader()
	if err != nil {
		return nil, err
	}
	c.buf, err = readInto(c.buf[:0], r)
	return c.buf, err
}
