package main

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// finalVersion is the last one that the feed makes: 3 changes, 2, and 3.
const finalVersion = 8

// feed is the server's side: a table of points, its changes as a stream, and
// the whole of it for plain GET requests. It makes three changes for each
// subscriber; the first one it then loses, and makes two changes more before
// the next one comes.
type feed struct {
	server *holdfasttest.Server
	loaded chan struct{} // capacity 1: the table was asked for

	mu    sync.Mutex
	table scores
}

func startFeed() (*feed, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &feed{
		server: holdfasttest.NewServer(l),
		loaded: make(chan struct{}, 1),
		table:  scores{Points: map[string]int{}},
	}
	f.server.OnRequest(f.answer)
	f.server.OnConnect(f.stream)
	return f, nil
}

func (f *feed) close() { f.server.Close() }

func (f *feed) streamURL() string { return f.server.URL() }

func (f *feed) snapshotURL() string { return "http" + strings.TrimPrefix(f.server.URL(), "ws") }

// answer gives the table to plain requests, and lets WebSocket handshakes pass.
func (f *feed) answer(handshake int, _ *http.Request) holdfasttest.Reply {
	if handshake > 0 {
		return holdfasttest.Accept{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := json.Marshal(f.table)
	if err != nil {
		return holdfasttest.Refuse{Status: http.StatusInternalServerError}
	}
	select {
	case f.loaded <- struct{}{}:
	default:
	}
	return holdfasttest.Refuse{Status: http.StatusOK, Body: string(body)}
}

// stream serves one subscriber.
func (f *feed) stream(p *holdfasttest.Peer) {
	if _, data, err := p.Receive(); err != nil || string(data) != "subscribe" {
		_ = p.Close(1008, "subscribe first")
		return
	}
	f.send(p, update{}) // the answer to the subscription; no change has version 0
	select {
	case <-f.loaded: // so that what is printed is the same each time
	case <-p.Done():
		return
	}
	for range 3 {
		f.send(p, f.change())
	}
	if p.N() == 1 {
		f.change() // nobody hears of these two
		f.change()
		return // which drops the connection
	}
	_, _, _ = p.Receive() // until the subscriber closes
}

func (f *feed) send(p *holdfasttest.Peer, u update) {
	data, err := json.Marshal(u)
	if err == nil {
		err = p.Send(holdfast.Text, data)
	}
	if err != nil {
		p.Drop()
	}
}

// change makes one change.
func (f *feed) change() update {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table.Version++
	name := []string{"ada", "grace", "alan"}[f.table.Version%3]
	f.table.Points[name] += f.table.Version
	return update{Version: f.table.Version, Name: name, Points: f.table.Points[name]}
}
