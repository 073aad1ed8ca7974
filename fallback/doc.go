// Package fallback has the transports that carry messages where WebSocket is
// blocked: LongPoll, which speaks the session protocol over plain HTTP and loses
// nothing, and PlainPoll, for endpoints that know nothing of Holdfast.
//
// They go into holdfast.Options.Fallback:
//
//	conn, err := holdfast.Dial(ctx, "wss://example.com/stream", &holdfast.Options{
//		Fallback: []holdfast.Transport{fallback.LongPoll(nil)},
//	})
//
// Requests carry Options.Header, cookies of Options.Jar, and what
// Options.Authorize sets: it runs before each of them. They go through
// Options.Proxy. An http URL is asked of an HTTP proxy as such, without a tunnel.
package fallback
