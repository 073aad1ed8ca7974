// Package holdfast keeps a WebSocket connection to a server up. A program calls
// [Conn.Send] and [Conn.Receive]; the Conn connects, finds dead links, notices
// that the host is offline, retries within a cap and closes gracefully. It says
// at every moment what it is doing, why, and what became of each message.
//
//	conn, err := holdfast.Dial(ctx, url, nil) // waits through its retries until ctx ends
//	if err != nil {
//		return err // what failed, why, and what to look at
//	}
//	defer conn.Close() // sends what was accepted, then says goodbye, in 5 s at most
//	if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
//		return err
//	}
//	for msg, err := range conn.Messages(ctx) { // goes on through every reconnect
//		if err != nil {
//			return err // ctx ended, or the connection has ended for good
//		}
//		fmt.Printf("%s\n", msg.Data)
//		break // leaving the loop loses nothing
//	}
//
// # A connection and its links
//
// A [Conn] lives from [Dial] to [Conn.Close], over one link after the other. A
// link is one WebSocket connection, or one polling of a fallback. The first comes
// about like every later one: Dial waits through its retries until ctx ends, or
// not at all with [Options.Background].
//
//	Dial        -> Connecting
//	Connecting  -> Connected     a link is up, and OnConnect is done
//	            -> Waiting       the attempt failed, and a retry follows
//	            -> Offline       this host has no way to the server
//	            -> Closed        no retry can help, or the cap is reached
//	Connected   -> Waiting       the link is lost, and a retry follows
//	            -> Connecting    the network took the link, or Reconnect was called
//	            -> Offline       this host has no way to the server
//	            -> Closed        no retry can help, or the cap is reached
//	Waiting     -> Connecting    the wait is over, or Reconnect was called
//	            -> Offline       this host has no way to the server
//	Offline     -> Connecting    there is a way again, or Reconnect was called
//	            -> Connected     a probe, every 30 s, got through
//	            -> Waiting       a probe failed, but not for being offline
//	            -> Closed        a probe failed, and no retry can help, or the cap is reached
//	any state   -> Closing       Close was called
//	Closing     -> Closed        all is sent and said, or CloseTimeout is over
//
// [State] documents each state and how it ends, [Conn.State] tells the present
// one, [Options.OnEvent] every step, [Conn.Stats] the numbers.
//
// # Failures
//
// A failed attempt is a [*DialError]: its phase, its class, and a hint to what a
// person should look at. The end of a link is a [*CloseError]: its code, its
// reason, who closed. Two tables say what follows, [StatusCode.Decision] for
// close codes and [DialError].Decision for attempts, and [RetryPolicy] may
// override them: try again, try again slowly, once more through
// [Options.Authorize], or stop. What a retry cannot cure ends the Conn at once.
//
// [RetryPolicy] bounds the failures in a row, by default to 10 retries, whose
// delays add up to 90 s on average; [Unlimited] never gives up. The count begins
// anew with the loss of a link that was up for 10 s. At the cap the Conn ends
// with [ErrRetriesExhausted] around the last failure. Time offline, losses that
// a change of the network caused, and [Conn.Reconnect] cost nothing.
//
// A link on which nothing arrives for 25 s is pinged and, without an answer in
// 10 s, replaced; see [Keepalive].
//
// # Sessions
//
// Where package server is at the other end, links carry a session: messages
// both ways are numbered, acknowledged, and sent again on the next link, so
// that each arrives once and in order, or a gap is reported at its place. The limits:
// a session lives in the memory of both processes, is forgotten when it had no link
// for 2 min ([github.com/holdfast-ws/holdfast/server.Options].ResumeTTL), and
// belongs to one server. [SessionMode] has them all. Any other server is a plain
// WebSocket server, for which the rest of this page says what is promised.
//
// # When WebSocket is blocked
//
// With [Options.Fallback] set to long polling (package fallback) the Conn starts
// that beside a WebSocket that fails or does not answer, and goes on over
// whichever the server welcomes; later it climbs back. [EventFellBack] and
// [EventUpgraded] tell. The session goes on from one to the other. A server that is
// down, a host that is offline and credentials that are wrong make nothing fall back.
//
// # Sending
//
//   - [Conn.Send]: nil means that the message has its place in the send buffer, in
//     order, connected or not. [SendBuffer] bounds it and says what happens when
//     it is full.
//   - [Conn.SendSync] and [Conn.Flush]: nil means that the other end of the
//     WebSocket, a gateway perhaps, has read the message, or everything so far. The
//     proof is a pong to a ping sent after it. In a session the proof is its
//     acknowledgement: the server's Session has it in its receive queue. It never
//     means that the application has processed it.
//   - Otherwise a [*SendError] says whether sending again is safe ([NotSent]) or
//     may make two of one ([MaybeSent]).
//   - [AtMostOnce], the default, never sends a message twice, and tells how many
//     may be lost with a link. [AtLeastOnce] sends again, on the next link, what has
//     no proof. In a session this is so for the session, not for its links.
//   - [Conn.Close] sends what was accepted, within 5 s, and does not reconnect for
//     that. What was left is in its [*UnsentError].
//
// # Receiving
//
// Messages come in order, each to one receiver. [Message].Epoch is 1 at first and
// grows by one with each later link, or session: messages may be missing
// before, so load then what must be complete. In a session it grows too at a gap
// that the server reports. [Options.OnConnect] logs in and subscribes on each
// fresh link without a session, and once in each session, before anything else is
// sent. What was received before the end is delivered before the error.
//
// # Contexts, callbacks, bounds
//
// A context bounds the wait of its call; no link ends with it. All methods are
// safe for concurrent use. Close may be called from [Options.OnEvent],
// [Options.OnConnect] and [Options.Authorize]. Every queue, wait and retry has a
// bound, which [Options] documents with its default.
//
// # Platforms
//
// Being offline is told by netlink on Linux, by a routing socket on macOS and the
// BSDs, by the IP helper on Windows and by navigator.onLine in the browser. Linux
// is where all of it was run; the others were compiled and vetted, and the
// browser's part was run in Node.js with the browser's objects faked. In the
// browser there are no headers, proxies and pings: options that ask for them are
// refused, and Flush and SendSync return [errors.ErrUnsupported] on links without
// a session. A session, and with it long polling, has to be asked for there, with
// [SessionRequire].
package holdfast
