package transport

import "strconv"

// MessageType is the type of a message, with the values of the WebSocket
// opcodes (RFC 6455, section 5.2).
type MessageType int

const (
	// Text is a message of UTF-8 text (RFC 6455, section 5.6).
	Text MessageType = 1
	// Binary is a message of arbitrary bytes.
	Binary MessageType = 2
)

// String returns "text", "binary", or the number of a type that does not exist.
func (t MessageType) String() string {
	switch t {
	case Text:
		return "text"
	case Binary:
		return "binary"
	}
	return "MessageType(" + strconv.Itoa(int(t)) + ")"
}

// Message is one whole message.
type Message struct {
	// Type is Text or Binary.
	Type MessageType
	// Data is the payload. On receipt it belongs to the caller.
	Data []byte
	// Epoch counts the connections that started afresh, from 1. It grows
	// whenever messages may be missing before this one. Sending ignores it.
	Epoch uint64
}
