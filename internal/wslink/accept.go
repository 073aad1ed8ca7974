package wslink

import (
	"net/http"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// AcceptOptions says how Accept answers and what its link keeps to.
type AcceptOptions struct {
	// Subprotocols are those that the server speaks, the best first. The first
	// one that the client offers is chosen, none if it offers none of them.
	Subprotocols []string
	// OriginPatterns are the hosts whose pages may connect, besides the
	// request's own Host: patterns as path.Match has them for the Origin's host,
	// or for "scheme://host" if the pattern holds "://". They have to be valid.
	// A request without an Origin may connect.
	OriginPatterns []string
	// SkipOrigin leaves the Origin unchecked: somebody else has done it.
	SkipOrigin bool
	// Compression takes permessage-deflate (RFC 7692) if the client offers it,
	// without context takeover: a server has many links, and contexts of 1.2 MB
	// each are too much for them.
	Compression bool
	// Session says that the messages are batches of frames. The 101 says so
	// with Holdfast-Version, none is taken that is larger than wire.MaxBatch,
	// and Info says it too.
	Session bool
	// MaxMessageSize bounds a message received, in bytes; 0 does not. With
	// Session it does not count.
	MaxMessageSize int64
	// WriteTimeout is how long the network may take nothing of what is
	// written; 0 is for ever.
	WriteTimeout time.Duration
	// OnPong gets the id of each Ping that the peer answered, from inside
	// Link.Read, as Request.OnPong does.
	OnPong func(id uint64)
}

// Accept answers a WebSocket handshake (RFC 6455, section 4.2) and returns the
// server's end of the link, which is like a client's but for masking: it lives
// until Abort or Close, whatever becomes of r and its context, and Info has no
// Response. It needs HTTP/1.1 and a ResponseWriter that can be hijacked,
// itself or what its Unwrap leads to. What w.Header holds goes out with the
// 101, and deadlines of the connection, be they http.Server's or set with
// http.ResponseController, bound the handshake alone.
//
// With an error the answer has been written: 426 where no upgrade is asked
// for, 405, 400, 403 for the Origin, 501 where w cannot be hijacked. Nothing
// is left of the request then.
func Accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions) (transport.Link, error) {
	if o == nil {
		o = &AcceptOptions{}
	}
	return accept(w, r, o)
}
