package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
)

// tcpConn is the bound: frames without masks, that is messages with their lengths,
// written 64 KiB at a time.
type tcpConn struct {
	c   net.Conn
	f   *frameReader
	out []byte
	// inline writes each message at once.
	inline bool
}

const tcpBuffer = 64 << 10

func dialTCP(ctx context.Context, to target) (conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.host)
	if err != nil {
		return nil, err
	}
	if to.tls != nil {
		to.tls.ServerName = "127.0.0.1"
		c = tls.Client(c, to.tls)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+to.host+to.path, nil)
	if err != nil {
		return nil, err
	}
	if err := req.Write(c); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(resp.Status)
	}
	early, err := r.Peek(r.Buffered())
	if err != nil {
		return nil, err
	}
	f := newFrameReader(io.MultiReader(bytes.NewReader(bytes.Clone(early)), c), 2*readSize)
	return &tcpConn{c: c, f: f, inline: to.path == "/echo"}, nil
}

func (c *tcpConn) Send(p []byte) error {
	if len(c.out)+len(p) > tcpBuffer {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	if len(p) >= tcpBuffer {
		b := net.Buffers{appendHeader(nil, opBinary, len(p)), p}
		_, err := b.WriteTo(c.c)
		return err
	}
	c.out = appendFrame(c.out, opBinary, p)
	if c.inline {
		return c.Flush()
	}
	return nil
}

func (c *tcpConn) Flush() error {
	_, err := c.c.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *tcpConn) Close() { _ = c.c.Close() }

func (c *tcpConn) Each(owned bool, visit func(p []byte) bool) error {
	for {
		_, p, _, err := c.f.next()
		if err != nil {
			return err
		}
		if owned {
			p = bytes.Clone(p)
		}
		if !visit(p) {
			return nil
		}
	}
}
