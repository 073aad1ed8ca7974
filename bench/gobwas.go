package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"

	"github.com/gobwas/ws"
)

// gobwasConn uses the functions for frames of gobwas/ws, which are faster than its
// package wsutil: one write a message, and a read buffer of 64 KiB.
type gobwasConn struct {
	c       net.Conn
	r       *bufio.Reader
	out     bytes.Buffer
	header  [ws.MaxHeaderSize]byte // scratch for a header
	message []byte
}

func dialGobwas(ctx context.Context, to target) (conn, error) {
	c, early, _, err := ws.Dialer{TLSConfig: to.tls}.Dial(ctx, to.url)
	if err != nil {
		return nil, err
	}
	g := &gobwasConn{c: c}
	var r io.Reader = c
	if early != nil { // what came with the handshake's answer
		b, err := early.Peek(early.Buffered())
		if err != nil {
			return nil, err
		}
		r = io.MultiReader(bytes.NewReader(bytes.Clone(b)), c)
		ws.PutReader(early)
	}
	g.r = bufio.NewReaderSize(r, 64<<10)
	return g, nil
}

func (c *gobwasConn) Send(p []byte) error {
	mask := ws.NewMask()
	c.out.Reset()
	h := ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: mask, Length: int64(len(p))}
	if err := ws.WriteHeaderBuffer(&c.out, h, c.header[:]); err != nil {
		return err
	}
	c.out.Write(p)
	ws.Cipher(c.out.Bytes()[c.out.Len()-len(p):], mask, 0)
	_, err := c.c.Write(c.out.Bytes())
	return err
}

func (c *gobwasConn) Flush() error { return nil }
func (c *gobwasConn) Close()       { _ = c.c.Close() }

func (c *gobwasConn) Each(owned bool, visit func(p []byte) bool) error {
	for {
		if owned {
			c.message = nil
		}
		p, err := c.receive(c.message[:0])
		if err != nil {
			return err
		}
		c.message = p
		if !visit(p) {
			return nil
		}
	}
}

// receive appends the next message to p.
func (c *gobwasConn) receive(p []byte) ([]byte, error) {
	for {
		h, err := ws.ReadHeaderBuffer(c.r, c.header[:])
		if err != nil {
			return nil, err
		}
		if h.OpCode != ws.OpBinary && h.OpCode != ws.OpContinuation {
			return nil, fmt.Errorf("%w: opcode %d", errFrame, h.OpCode)
		}
		from, n := len(p), int(h.Length)
		if cap(p)-from < n {
			p = append(make([]byte, 0, from+n), p...)
		}
		p = p[:from+n]
		if _, err := io.ReadFull(c.r, p[from:]); err != nil {
			return nil, err
		}
		if h.Fin {
			return p, nil
		}
	}
}
