package holdfast

import "time"

// Stats is a snapshot of a Conn. Counts are since Dial.
type Stats struct {
	// State, Transport ("websocket", …; "" between links) and Epoch are the
	// present ones. Endpoint is the URL in use, or that of the next attempt,
	// without user-info and query values. ConnectedSince is when the link came up;
	// zero between links.
	State          State
	Transport      string
	Endpoint       string
	Epoch          uint64
	ConnectedSince time.Time
	// RTT is the last round trip that a ping measured; 0 before the first.
	RTT time.Duration
	// Connects counts links, Attempts dials (a race of two transports is one),
	// ConsecutiveFailures what Retry counts against MaxRetries. Probes of
	// WebSocket, and links that take a session over from the present one, are in
	// none of them.
	Connects, Attempts, ConsecutiveFailures uint64
	// MessagesSent and BytesSent were written to a link; with AtLeastOnce a
	// message may be written more than once. A session counts each once, over
	// however many links it goes. Dropped gave way in the send buffer. Unknown
	// were written to a link that died before a receipt, or to a session that was
	// lost before an acknowledgement.
	MessagesSent, BytesSent, MessagesReceived, BytesReceived, Dropped, Unknown uint64
	// Queued messages wait in the send buffer, Unacknowledged ones were
	// written without a receipt so far (in a session they are in the buffer
	// too, but not in QueuedBytes), ReceiveQueued ones wait for Receive.
	// All bytes here are of payloads; OnConnect's messages count as received, and
	// those that it sends are not counted.
	Queued, Unacknowledged, ReceiveQueued int
	QueuedBytes, ReceiveQueuedBytes       int64
	// QueueLimit and QueueBytesLimit are SendBuffer's MaxMessages and MaxBytes.
	QueueLimit      int
	QueueBytesLimit int64
	// LastError is the last failure of an attempt or a link; nil at first.
	LastError error
}
