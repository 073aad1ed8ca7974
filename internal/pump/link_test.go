package pump

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

var (
	errCut    = errors.New("the link is cut")
	errClosed = errors.New("the peer has closed the link")
)

// memLink is one end of a link in memory: whole batches, in order, each after a
// delay, until the link is cut, which loses what is on its way.
type memLink struct {
	transport.Link // what is not used
	in, out        chan parcel
	delay          time.Duration
	gone           chan struct{} // of both ends
	once           *sync.Once
}

type parcel struct {
	data []byte
	at   time.Time // of arrival
	last bool      // the peer closes the link after what came before
}

func newLink(delay time.Duration) (a, b *memLink) {
	there, back := make(chan parcel, 4), make(chan parcel, 4)
	gone, once := make(chan struct{}), &sync.Once{}
	a = &memLink{in: back, out: there, delay: delay, gone: gone, once: once}
	b = &memLink{in: there, out: back, delay: delay, gone: gone, once: once}
	return a, b
}

func (l *memLink) Read(dst []byte) (transport.MessageType, []byte, error) {
	select {
	case <-l.gone:
		return 0, nil, errCut
	default:
	}
	select {
	case p := <-l.in:
		if wait := time.Until(p.at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-l.gone:
				return 0, nil, errCut
			}
		}
		if p.last {
			return 0, nil, errClosed
		}
		return transport.Binary, append(dst, p.data...), nil
	case <-l.gone:
		return 0, nil, errCut
	}
}

func (l *memLink) Write(msgs []transport.Message) (n int, err error) {
	for i, m := range msgs {
		p := parcel{data: slices.Clone(m.Data)}
		if l.delay > 0 {
			p.at = time.Now().Add(l.delay)
		}
		select {
		case l.out <- p:
		case <-l.gone:
			return i, errCut
		}
	}
	return len(msgs), nil
}

func (l *memLink) Abort() { l.once.Do(func() { close(l.gone) }) }

// Close lets what was written arrive.
func (l *memLink) Close(context.Context, uint16, string) error {
	p := parcel{last: true}
	if l.delay > 0 {
		p.at = time.Now().Add(l.delay)
	}
	select {
	case l.out <- p:
	case <-l.gone:
	}
	return nil
}
