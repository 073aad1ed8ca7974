package main

import (
	"context"
	"crypto/tls"
	"sync"
)

// subject is what is measured: a library, in the way of use that suits it best.
type subject struct {
	name   string // of the columns
	module string // whose version is told; "" for none
	dial   func(ctx context.Context, to target) (conn, error)
	locked bool // Send is not safe for concurrent use
	// large has buffers of 64 KiB where the library's own default is 4 KiB.
	large bool
	// owned reads messages of its own also where a buffer is used again.
	owned bool
}

// target is where to connect to.
type target struct {
	url   string      // ws or wss
	path  string      // of url: what the server does
	host  string      // of url
	tls   *tls.Config // nil for ws
	large bool
	child *child
}

// conn is a connection of a subject, to be used by one goroutine, but for Send.
type conn interface {
	// Send sends a binary message. Where it only queues it, Flush waits until
	// it has been sent.
	Send(p []byte) error
	Flush() error
	// Each calls visit with each message that comes, until it returns false.
	// Where owned is true the message may be kept, otherwise it holds during the
	// call. visit may call Send.
	Each(owned bool, visit func(p []byte) bool) error
	// Close drops the connection.
	Close()
}

// counter is a conn whose server tells in its own way what it has received. Others
// send an empty message, which asks for the tally.
type counter interface {
	// Counted is how many messages have arrived since the last call. It may
	// wait a little for as many as are wanted.
	Counted(ctx context.Context, want uint64) (uint64, error)
}

const largeSuffix = " 64K"

const (
	nameCoder        = "coder"
	nameCoderRead    = "coder.Read"
	nameGorilla      = "gorilla"
	nameGorillaLarge = nameGorilla + largeSuffix
	nameGWS          = "gws"
	nameGWSLarge     = nameGWS + largeSuffix
	nameGobwas       = "gobwas"
	nameNATS         = "nats.go"
	nameTCP          = "raw TCP"
	nameHoldfast     = "Holdfast"
	nameSession      = "session"
	namePlain        = "plain"
)

var subjects = []*subject{
	{name: nameCoder, module: "github.com/coder/websocket", dial: dialCoder},
	{name: nameCoderRead, dial: dialCoder, owned: true},
	{name: nameGorilla, module: "github.com/gorilla/websocket", dial: dialGorilla, locked: true},
	{name: nameGorillaLarge, dial: dialGorilla, locked: true, large: true},
	{name: nameGWS, module: "github.com/lxzan/gws", dial: dialGWS},
	{name: nameGWSLarge, dial: dialGWS, large: true},
	{name: nameGobwas, module: "github.com/gobwas/ws", dial: dialGobwas, locked: true},
	{name: nameNATS, module: "github.com/nats-io/nats.go", dial: dialNATS},
	{name: nameTCP, dial: dialTCP, locked: true},
	{name: nameHoldfast, dial: dialHoldfast},
	{name: namePlain, dial: dialPlain},
	{name: nameSession, dial: dialSession},
}

func subjectNamed(name string) *subject {
	for _, s := range subjects {
		if s.name == name {
			return s
		}
	}
	panic("no subject " + name)
}

// connect dials a path of the server.
func (s *subject) connect(ctx context.Context, c *child, path string, secure bool) (conn, error) {
	to := target{path: path, host: c.Plain, url: "ws://" + c.Plain + path, child: c, large: s.large}
	if secure {
		to.host, to.url, to.tls = c.TLS, "wss://"+c.TLS+path, c.tls.Clone()
	}
	return s.dial(ctx, to)
}

// lockedConn makes Send safe for concurrent use, as a program would have to.
type lockedConn struct {
	conn
	mu sync.Mutex
}

func (c *lockedConn) Send(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.Send(p)
}
