package holdfasttest

import (
	"net/http"
	"strconv"
)

// A Blockade is a way in which proxies, firewalls and gateways let no WebSocket
// through while plain HTTP passes. It is a [Reply]:
//
//	srv.Handle(handler)                                             // package server's, or any other
//	srv.Script(holdfasttest.Always(holdfasttest.BlockForbidden)) // WebSocket is blocked
//	srv.Script()                                                    // and passes again
//
// Connections that are up stay so; [Server.DropAll] ends them.
type Blockade int

const (
	// BlockForbidden answers the handshake with 403 and a page.
	BlockForbidden Blockade = iota
	// BlockPage answers it with 200 and a page, as captive portals do.
	BlockPage
	// BlockReset ends the connection with a TCP reset.
	BlockReset
	// BlockSilence lets the handshake pass, and nothing after it.
	BlockSilence
	// BlockCut lets the handshake pass, and then resets the connection.
	BlockCut
	// BlockNoAnswer swallows the handshake.
	BlockNoAnswer
	// BlockStripped removes the headers that ask for the upgrade: the server
	// sees a plain request. One without a handler answers with 426.
	BlockStripped
)

var blockades = [...]struct {
	name string
	decision
}{
	BlockForbidden: {"forbidden", Refuse{Status: http.StatusForbidden, Header: html, Body: "<h1>Forbidden by policy</h1>\n"}.decide()},
	BlockPage:      {"page", Refuse{Status: http.StatusOK, Header: html, Body: "<h1>Welcome</h1>\n"}.decide()},
	BlockReset:     {"reset", Reset{}.decide()},
	BlockSilence:   {"silence", AfterSent(0).Freeze().decide()},
	BlockCut:       {"cut", AfterSent(0).Reset().decide()},
	BlockNoAnswer:  {"no answer", Hang{}.decide()},
	BlockStripped:  {"stripped", decision{strip: true}},
}

var html = http.Header{"Content-Type": {"text/html; charset=utf-8"}}

// Blockades are all of them, for a test that runs through each.
func Blockades() []Blockade {
	all := make([]Blockade, len(blockades))
	for i := range all {
		all[i] = Blockade(i)
	}
	return all
}

// String returns the blockade's name in lower case, such as "no answer".
func (b Blockade) String() string {
	if !b.known() {
		return "Blockade(" + strconv.Itoa(int(b)) + ")"
	}
	return blockades[b].name
}

func (b Blockade) known() bool { return b >= 0 && int(b) < len(blockades) }

func (b Blockade) decide() decision {
	if !b.known() {
		panic("holdfasttest: " + b.String() + " is none of the Blockades")
	}
	return blockades[b].decision
}
