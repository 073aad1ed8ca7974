package pump

import (
	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// ReadPlain moves messages from a link to the receive queue. It returns the
// link's error, or nil once stop is closed while it waits for room.
func ReadPlain(l transport.Link, in *inbox.Queue, epoch uint64, stop <-chan struct{}) error {
	for in.Room(stop) {
		typ, data, err := l.Read(nil)
		if err != nil {
			return err
		}
		in.Put(transport.Message{Type: typ, Data: data, Epoch: epoch})
	}
	return nil
}
