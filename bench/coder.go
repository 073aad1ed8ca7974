package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/coder/websocket"
)

// coderConn gives context.Background() to every call: with a context that can end,
// coder reads half as fast.
type coderConn struct {
	c   *websocket.Conn
	buf []byte
}

// coderClient is shared, so that connections do not each have a Transport.
var coderClient = &http.Client{Transport: &http.Transport{}}

func dialCoder(ctx context.Context, to target) (conn, error) {
	client := coderClient
	if to.tls != nil {
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: to.tls}}
	}
	c, _, err := websocket.Dial(ctx, to.url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	return &coderConn{c: c}, nil
}

func (c *coderConn) Send(p []byte) error {
	return c.c.Write(context.Background(), websocket.MessageBinary, p)
}

func (c *coderConn) Flush() error { return nil }
func (c *coderConn) Close()       { _ = c.c.CloseNow() }

func (c *coderConn) Each(owned bool, visit func(p []byte) bool) error {
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

func (c *coderConn) receive(owned bool) (p []byte, err error) {
	if owned {
		_, p, err = c.c.Read(context.Background())
		return p, err
	}
	_, r, err := c.c.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	c.buf, err = readInto(c.buf[:0], r)
	return c.buf, err
}

// readInto reads r to its end, in place of what buf has room for.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(len(buf), bytes.MinRead))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
