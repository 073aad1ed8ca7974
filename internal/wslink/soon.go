//go:build !js

package wslink

import "github.com/holdfast-ws/holdfast/transport"

// maxSoon bounds what WriteSoon takes, in bytes: it is encoded, and perhaps kept, at
// once.
const maxSoon = 64 << 10

// WritesSoon says whether the link has WriteSoon.
func (l *link) WritesSoon() bool { return l.ws == nil && l.stream.direct != nil }

// WriteSoon is Write that waits for nothing. behind says that the network has not
// taken it all, that a pong is due, that another call writes, or that there is too much
// to write: the next Write, which may be of nothing, goes on. It has to follow.
func (l *link) WriteSoon(msgs []transport.Message) (n int, behind bool, err error) {
	size := 0
	for i := range msgs {
		size += len(msgs[i].Data)
	}
	if size > maxSoon || l.freed() {
		return 0, true, nil
	}
	select {
	case l.writing <- struct{}{}:
	default:
		return 0, true, nil
	}
	if err := l.writable(); err != nil {
		<-l.writing
		return 0, false, err
	}
	l.stream.soon = true
	n, err = l.writeFrames(msgs)
	l.stream.soon = false
	if l.owing = err == nil && len(l.stream.tail) > 0; l.owing {
		return n, true, nil // nobody else writes before the rest
	}
	<-l.writing
	return n, l.pongWaits.Load(), err
}
