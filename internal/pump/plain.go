package pump

import (
	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// ReadPlain moves messages from a link to the receive queue. It returns the
// link's error, or nil once stop is closed while it waits for room.
func ReadPlain(l transport.Link, in *inbox.Queue, epoch uint64, stop <-chan struct{}) error {
	return NewPlainReader(l, in, epoch, stop).Run()
}
