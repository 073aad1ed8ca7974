// Package wslink is the WebSocket transport (RFC 6455), and its server's side.
//
// coder/websocket does the handshake's rules and compression. The way to the
// server (TCP, proxies, TLS), pings, pongs and the closing handshake are done
// here, and so are the frames where compression was not agreed on: so the phase
// of a failure is known, a context ends only what it should, and many messages
// take one call of the network. Both ways keep to the same: a control frame that
// is not complete 5 s after its header, and an answer to the peer's close frame
// that cannot be written for 5 s, end the link.
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
