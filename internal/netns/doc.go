// Package netns runs tests in network namespaces of their own and shapes those
// namespaces, for failures of the network that must be real: a link that goes
// down, a lost carrier, a removed route. It needs no other program. It exists
// on Linux only, so its users are files of Linux.
//
// A test runs itself in a fresh namespace with [Run]. There, [NewPair] makes a
// second namespace, joined to the first by a cable, for the servers:
//
//	func TestLinkDown(t *testing.T) {
//		netns.Run(t, func(t *testing.T) {
//			pair := netns.NewPair(t)
//			l := pair.Listen(t, "tcp", netns.PeerIPv4+":0") // a server over there
//			go serve(l)
//			conn, err := net.Dial("tcp", l.Addr().String()) // from over here
//			…
//			pair.Peer.SetUp(t, netns.Device, false) // the far end down: carrier lost here
//			pair.Peer.SetUp(t, netns.Device, true)
//			pair.Here.SetUp(t, netns.Device, false) // this end down: no route
//			pair.Here.SetUp(t, netns.Device, true)
//		})
//	}
//
// A server in the same namespace would not do: the kernel leads all traffic
// between a namespace's own addresses over its loopback interface.
package netns
