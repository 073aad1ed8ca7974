package pump

import (
	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// ReadPlain moves messages from a link to the receive queue. It returns the
// link's error, or nil once stop is closed while it waits for room.
func ReadPlain(l transport.Link, in *inbox.Queue, epoch uint64, stop <-chan struct{}) error {
	r := newReader(l, in)
	defer r.free()
	defer in.Wake()
	for in.Room(stop) {
		typ, err := r.next()
		if err != nil {
			return err
		}
		r.mem = in.Keep(transport.Message{Type: typ, Data: r.mem.B, Epoch: epoch}, r.mem)
	}
	return nil
}
