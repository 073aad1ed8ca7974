// Package frame is the framing of WebSocket (RFC 6455, section 5): an encoder
// and a decoder over buffers. It does no I/O, knows no extension, and is pure
// but for the masking keys, which come from crypto/rand.
package frame

import "fmt"

// Opcodes (RFC 6455, section 5.2).
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

const (
	// Fin is the bit of a header's first byte that marks the last frame of a
	// message.
	Fin = 0x80
	// MaxControl bounds a control frame's payload (RFC 6455, section 5.5).
	MaxControl = 125
	// MaxHeader is the length of the longest header.
	MaxHeader = 14

	rsv     = 0x70
	maskBit = 0x80
)

// A Fault is what breaks the protocol in the peer's bytes.
type Fault struct {
	// Code tells the peer why the link ends (RFC 6455, section 7.4): 1002,
	// 1007 or 1009.
	Code uint16
	text string
}

// Error says what is wrong, in words that fit into a close frame.
func (f *Fault) Error() string { return f.text }

// The faults that a decoder finds.
var (
	ErrReserved    = &Fault{1002, "reserved bits without an extension"}
	ErrOpcode      = &Fault{1002, "a reserved opcode"}
	ErrMasked      = &Fault{1002, "a masked frame from the server"}
	ErrUnmasked    = &Fault{1002, "an unmasked frame from the client"}
	ErrLength      = &Fault{1002, "a frame longer than 2^63-1 bytes"}
	ErrNotShortest = &Fault{1002, "a length that is not in its shortest form"}
	ErrFragmented  = &Fault{1002, "a control frame in fragments"}
	ErrControlSize = &Fault{1002, fmt.Sprintf("a control frame of more than %d bytes", MaxControl)}
	ErrNothing     = &Fault{1002, "a continuation of nothing"}
	ErrInside      = &Fault{1002, "a message inside another"}
	ErrCloseSize   = &Fault{1002, "a close frame of one byte"}
	ErrCloseCode   = &Fault{1002, "a close code that is not for the wire"}
	ErrNotUTF8     = &Fault{1007, "text that is not UTF-8"}
	ErrReason      = &Fault{1007, "a close reason that is not UTF-8"}
	ErrTooBig      = &Fault{1009, "a message larger than the limit"}
)

// Sendable says whether a close frame may carry the code (RFC 6455, section
// 7.4, and the codes registered since).
func Sendable(code uint16) bool {
	switch code {
	case 1004, 1005, 1006, 1015:
		return false
	}
	return 1000 <= code && code <= 1014 || 3000 <= code && code <= 4999
}
