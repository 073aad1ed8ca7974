package holdfast

import "github.com/holdfast-ws/holdfast/transport"

// MessageType is the type of a message, with the values of the WebSocket
// opcodes (RFC 6455, section 5.2).
type MessageType = transport.MessageType

const (
	// Text is a message of UTF-8 text. Send refuses anything else under this
	// type, and a server that sends anything else loses the link with 1007.
	Text = transport.Text
	// Binary is a message of arbitrary bytes.
	Binary = transport.Binary
)

// Message is one whole message as Receive returns it: Type, Data and Epoch. Data
// belongs to the caller. Epoch is 1 at first and grows by one whenever messages may
// be missing before this one: with each new session, with each gap that a session
// reports, and with each link without a session. Reload what must be complete
// when it changes.
type Message = transport.Message
