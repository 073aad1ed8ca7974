// Package wslink is the WebSocket transport (RFC 6455) over coder/websocket.
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

// New returns the transport "websocket". It keeps nothing between dials.
func New() transport.Transport { return wsTransport{} }

type wsTransport struct{}

func (wsTransport) Name() string { return "websocket" }
