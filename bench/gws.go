package main

import (
	"bytes"
	"context"
	"sync"

	"github.com/lxzan/gws"
)

// gwsConn calls visit where gws calls OnMessage, so that no goroutine has to be
// woken for a message.
type gwsConn struct {
	gws.BuiltinEventHandler
	c     *gws.Conn
	start sync.Once
	next  chan *gwsVisit // what Each hands to OnMessage
	visit *gwsVisit      // of OnMessage
	ended chan struct{}
	err   error // before ended is closed
}

type gwsVisit struct {
	owned bool
	visit func(p []byte) bool
	done  chan struct{}
}

func dialGWS(_ context.Context, to target) (conn, error) {
	c := &gwsConn{next: make(chan *gwsVisit), ended: make(chan struct{})}
	o := &gws.ClientOption{Addr: to.url, TlsConfig: to.tls, ReadMaxPayloadSize: 16 << 20, WriteMaxPayloadSize: 16 << 20}
	if to.large {
		o.ReadBufferSize = 64 << 10
	}
	var err error
	c.c, _, err = gws.NewClient(c, o)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *gwsConn) Send(p []byte) error { return c.c.WriteMessage(gws.OpcodeBinary, p) }
func (c *gwsConn) Flush() error        { return nil }
func (c *gwsConn) Close()              { _ = c.c.NetConn().Close() }

func (c *gwsConn) Each(owned bool, visit func(p []byte) bool) error {
	c.start.Do(func() { go c.c.ReadLoop() })
	v := &gwsVisit{owned: owned, visit: visit, done: make(chan struct{})}
	go func() { // as the next message may be long in coming
		select {
		case c.next <- v:
		case <-c.ended:
		}
	}()
	select {
	case <-v.done:
		return nil
	case <-c.ended:
		return c.err
	}
}

// OnMessage implements gws.Event.
func (c *gwsConn) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	if c.visit == nil {
		select {
		case c.visit = <-c.next:
		case <-c.ended:
			return
		}
	}
	p := m.Bytes()
	if c.visit.owned {
		p = bytes.Clone(p)
	}
	if !c.visit.visit(p) {
		close(c.visit.done)
		c.visit = nil
	}
}

// OnClose implements gws.Event.
func (c *gwsConn) OnClose(_ *gws.Conn, err error) {
	c.err = err
	close(c.ended)
}
