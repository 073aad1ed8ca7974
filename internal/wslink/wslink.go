// Package wslink is the WebSocket transport (RFC 6455) over coder/websocket,
// and its server's side.
//
// coder does the handshake's rules, the framing of messages and compression.
// The way to the server (TCP, proxies, TLS), pings, pongs and the closing
// handshake are done here: so the phase of a failure is known, a context ends
// only what it should, and coder's own limit of 5 s holds for nothing but a
// control frame that arrives in part: one that is not complete 5 s after its
// header, and the answer to the peer's close frame that cannot be written for
// 5 s, end the link.
package wslink

import "github.com/holdfast-ws/holdfast/transport"

// SessionSubprotocol offers the session protocol where no header can: in a
// browser. If the server chooses it, HELLO is the first message, and the
// application has no subprotocol.
const SessionSubprotocol = "holdfast.v1"

// New returns the transport "websocket". It keeps nothing between dials.
//
// With Request.Session, the upgrade carries the HELLO frame in the header
// Holdfast-Hello, and the peer speaks the protocol if the 101 has
// Holdfast-Version: 1. HELLO does not follow a redirect to another origin.
// Header fields of the request that begin with Holdfast- are not sent.
func New() transport.Transport { return wsTransport{} }

type wsTransport struct{}

func (wsTransport) Name() string { return "websocket" }
