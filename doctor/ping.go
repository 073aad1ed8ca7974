package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// pongWithin is how long a pong may take before its ping is lost.
	pongWithin = 5 * time.Second
	// hopeless is how many pings in a row are lost before no more are sent.
	hopeless = 3
)

// socket is a link with the goroutine that reads it. What the server sends is
// read and thrown away.
type socket struct {
	link  transport.Link
	pongs chan uint64
	ended chan struct{} // closed when err is set
	err   error
	next  uint64
}

func newSocket(a *attempt) *socket {
	s := &socket{link: a.link, pongs: make(chan uint64, 64), ended: make(chan struct{})}
	a.onPong = s.pong
	session := a.info.Session
	go func() {
		defer close(s.ended)
		var buf []byte
		for {
			_, data, err := a.link.Read(buf[:0])
			if err != nil {
				s.err = err
				return
			}
			if buf = data; session {
				pongOf(data, func(p []byte) {
					if len(p) == 8 {
						s.pong(binary.BigEndian.Uint64(p))
					}
				})
			}
		}
	}()
	return s
}

// pong gets an id; what nobody waits for is thrown away.
func (s *socket) pong(id uint64) {
	select {
	case s.pongs <- id:
	default:
	}
}

// end frees the link and joins its reader.
func (s *socket) end() {
	s.link.Abort()
	<-s.ended
}

var errNoPong = errors.New("the ping was not answered")

// ping makes one round trip. In a session the ping is a frame of its protocol,
// as a Conn's is.
func (s *socket) ping(ctx context.Context, within time.Duration) (time.Duration, error) {
	s.next++
	start := time.Now()
	var err error
	if s.link.Info().Session {
		batch := wire.Append(nil, wire.Frame{Type: wire.Ping, Payload: binary.BigEndian.AppendUint64(nil, s.next)})
		_, err = s.link.Write([]transport.Message{{Type: transport.Binary, Data: batch}})
	} else {
		err = s.link.Ping(s.next)
	}
	if err != nil {
		return 0, s.why(err)
	}
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		select {
		case id := <-s.pongs:
			if id == s.next {
				return time.Since(start), nil
			}
		case <-s.ended:
			return 0, s.err
		case <-late.C:
			return 0, errNoPong
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// why is the reader's reason where the link has ended.
func (s *socket) why(err error) error {
	if !errors.Is(err, net.ErrClosed) {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	default:
		return err
	}
}

// checkPing measures round trips.
func (x *exam) checkPing(s *Step) {
	switch {
	case x.socket == nil:
		x.skipped(s)
		return
	case x.opts.Pings < 0:
		s.skip("not asked for")
		return
	}
	ctx, cancel := x.within()
	defer cancel()
	f := &PingFacts{}
	s.Facts = f
	var times []time.Duration
	lost := 0
	for f.Sent < x.opts.Pings && lost < hopeless {
		d, err := x.socket.ping(ctx, min(pongWithin, x.opts.Timeout))
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			s.Facts = nil
			s.skip(notInBrowser)
			return
		}
		f.Sent++
		if ctx.Err() != nil { // slow, and the time is over
			if len(times) > 0 {
				f.Sent--
			}
			break
		}
		if err == nil {
			times, lost = append(times, d), 0
			continue
		}
		lost++
		if !errors.Is(err, errNoPong) {
			x.lost = fmt.Errorf("the link ended: %s", x.brief(redact.Error(err)))
			break
		}
	}
	if len(times) == 0 && x.lost == nil && x.ctx.Err() == nil {
		x.lost = errors.New("no ping was answered")
	}
	x.describePing(s, f, times)
}

func (x *exam) describePing(s *Step, f *PingFacts, times []time.Duration) {
	f.Received = len(times)
	if f.Sent > 0 {
		f.LossPercent = 100 * float64(f.Sent-f.Received) / float64(f.Sent)
	}
	if len(times) > 0 {
		slices.Sort(times)
		f.MinMS, f.MedianMS = millis(times[0]), millis(times[len(times)/2])
		f.P99MS = millis(times[(len(times)*99+99)/100-1])
		s.Summary = fmt.Sprintf("%d pings: min %s, median %s, p99 %s, loss %.0f %%", f.Sent, inMillis(f.MinMS), inMillis(f.MedianMS), inMillis(f.P99MS), f.LossPercent)
		s.took(times[len(times)/2])
	}
	switch {
	case x.lost != nil:
		s.Status = Fail
		if s.Summary != "" {
			s.detail("%s", s.Summary)
		}
		s.Summary = x.lost.Error()
	case f.Received < f.Sent:
		s.warn()
		x.warnings["loss"] = true
	}
}

// checkClose says goodbye.
func (x *exam) checkClose(s *Step) {
	switch {
	case x.socket == nil:
		x.skipped(s)
		return
	case x.lost != nil:
		s.skip("the link has ended")
		return
	}
	ctx, cancel := context.WithTimeout(x.ctx, min(closeTimeout, x.opts.Timeout))
	defer cancel()
	const normal = 1000
	err := x.socket.link.Close(ctx, normal, "")
	f := &CloseFacts{Answered: err == nil}
	s.Facts = f
	if err != nil {
		s.warn()
		s.Summary = "the close frame was not answered"
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Summary += ": " + x.brief(err)
		}
		x.warnings["close"] = true
		return
	}
	s.Summary = "the close frame was answered"
}

func (x *exam) skipped(s *Step) {
	if x.polling() {
		s.skip("polls alone")
		return
	}
	s.skip("not reached")
}
