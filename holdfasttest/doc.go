// Package holdfasttest helps to test programs that use Holdfast: a scripted
// WebSocket server that misbehaves on request.
//
// [Server] speaks RFC 6455 byte by byte, so that a test can refuse
// handshakes, drop, reset and freeze connections, close with any code and send
// frames that no proper server would send. It serves on any [net.Listener]:
// TCP on a loopback port, TLS, or a network in memory inside a testing/synctest
// bubble; in a bubble, make the server inside it. After [Server.Close] nothing
// of it runs on. Extensions are not negotiated; offers are ignored.
package holdfasttest
