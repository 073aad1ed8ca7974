package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// The subjects of messages: natsMeasured has no subscriber, as a lean far end has
// none; natsChecked has one that checksums.
const (
	natsMeasured = "measured"
	natsChecked  = "checked"
)

// natsServer is nats-server in this process, with one subscriber. As a handler it
// tells what has arrived.
type natsServer struct {
	address    string
	server     *natsserver.Server
	subscriber *nats.Conn

	mu      sync.Mutex
	checked tally
}

// natsCounts is what has arrived at the server since it began: Messages of all
// clients, and the tally of natsChecked.
type natsCounts struct {
	Messages, Bytes uint64
	Checked         tally
}

func newNATS() (*natsServer, error) {
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true,
		Websocket: natsserver.WebsocketOpts{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoTLS: true},
	})
	if err != nil {
		return nil, fmt.Errorf("nats-server: %w", err)
	}
	n := &natsServer{server: s}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("nats-server is not ready after 10 s")
	}
	n.address = s.WebsocketURL()
	n.subscriber, err = nats.Connect("", nats.InProcessServer(s))
	if err == nil {
		_, err = n.subscriber.Subscribe(natsChecked, func(m *nats.Msg) {
			sum := checksum(m.Data, 0)
			n.mu.Lock()
			defer n.mu.Unlock()
			n.checked.add(sum)
		})
	}
	if err == nil {
		err = n.subscriber.Flush()
	}
	if err != nil {
		n.close()
		return nil, fmt.Errorf("nats-server: %w", err)
	}
	return n, nil
}

func (n *natsServer) close() {
	if n.subscriber != nil {
		n.subscriber.Close()
	}
	n.server.Shutdown()
}

func (n *natsServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	v, err := n.server.Varz(nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = json.NewEncoder(w).Encode(natsCounts{Messages: uint64(v.InMsgs), Bytes: uint64(v.InBytes), Checked: n.checked})
}
