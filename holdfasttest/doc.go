// Package holdfasttest helps to test programs that use Holdfast: a server that
// does what a script says, a network in memory, and a recorder of what a Conn
// went through. All of it works in the bubbles of testing/synctest, where an
// hour of waiting takes no time. A test reads like this:
//
//	func TestComesBackAfterADrop(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			network := holdfasttest.NewMemory()
//			srv := network.NewServer("")
//			defer srv.Close()
//			srv.Script(
//				holdfasttest.Refuse{Status: 503, RetryAfter: 7 * time.Second}, // the first handshake
//				holdfasttest.AfterSent(1).Drop(),                              // the second
//			)
//			rec := holdfasttest.NewRecorder(t)
//			options := network.Options()
//			options.OnEvent = rec.OnEvent
//
//			// In place of the program: Dial, and a message that comes back.
//			conn, err := holdfast.Dial(t.Context(), srv.URL(), &options)
//			if err != nil {
//				t.Fatal(err)
//			}
//			defer conn.Close()
//			if err := conn.Send(t.Context(), holdfast.Text, []byte("hello")); err != nil {
//				t.Fatal(err)
//			}
//
//			rec.Wait(time.Minute, holdfast.EventGap) // follows the second connection
//			rec.AssertKinds(
//				holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
//				holdfast.EventConnecting, holdfast.EventConnected, holdfast.EventDisconnected,
//				holdfasttest.Ellipsis, holdfast.EventConnected, holdfast.EventGap,
//			)
//			rec.AssertRetries(2)
//		})
//	}
//
// examples/ticker is a small program with a test for each of the following.
//
// # The server
//
// [Server.Script] says what becomes of one handshake after the other; what it
// does not mention is served. What runs on a connection is
// [Server.OnConnect]'s, by default an echo, or the handler's of
// [Server.Handle], such as one of package server.
//
//	holdfasttest.Refuse{Status: 429, RetryAfter: time.Minute} // refuses; Times and Always repeat it
//	holdfasttest.Drop{}, holdfasttest.Reset{}, holdfasttest.Hang{}
//	holdfasttest.AfterSent(3).Drop()                 // three messages to the client, then the end of the stream
//	holdfasttest.AfterReceived(3).Reset()            // three messages of the client's, then a TCP reset
//	holdfasttest.After(time.Minute).Close(1012, "…") // a close code
//	holdfasttest.AfterSent(3).Freeze()               // half-open
//	holdfasttest.Slow(time.Second, 1000)             // latency, and bytes a second
//	holdfasttest.BlockForbidden                      // WebSocket is blocked; Blockades has the other ways
//	holdfasttest.Serve(f), holdfasttest.All(…)       // other conversations, several things together
//
// [Server.Stop] and [Server.Start] restart it at its address. [Server.DropAll],
// [Server.FreezeAll] and others act on the connections that are there. A [Peer]
// speaks RFC 6455 frame by frame, wrong ones too. The server serves on any
// [net.Listener]: TCP on a loopback port, TLS, or a [Memory]. Extensions are
// not negotiated; offers are ignored. After [Server.Close] nothing of it runs
// on.
//
// # The network
//
// [Memory] carries bytes as TCP does, and can be slow, down, frozen and reset.
// [Memory.SetOnline] takes the host offline. [Network] is the part of it that
// says whether the host is, for tests that need no Memory.
//
// # The recorder
//
// [Recorder] takes Options.OnEvent. It waits for an event, and asserts their
// order, number and delays; what fails prints the story as a table with a mark
// where it went wrong.
//
// # In a bubble
//
// Make everything inside it: the Memory, the server, the recorder, the Conn.
// Begin the Conn's options with [Memory.Options]: with the operating system's
// network watcher, or a socket, virtual time stands still. End the program, its
// Conn and the server before the bubble ends, and a handler's sessions with
// them. A process remembers where WebSocket was blocked, by the server's name:
// NewServer("") has a new one for each.
package holdfasttest
