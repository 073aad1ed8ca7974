package main

import (
	"math/rand/v2"
	"time"
)

// socketFault is what befalls a WebSocket connection.
type socketFault int

const (
	cutNow       socketFault = iota // reset
	cutInFrame                      // reset when a few more bytes have passed
	finished                        // closed
	halfToClient                    // half-closed towards the client
	halfToServer                    // half-closed towards the server
	stalledFor                      // nothing passes any more
	paused                          // nothing passes for a while
	delayed                         // everything is late for a while
	outage                          // reset, and no connections for a while
	socketFaults
)

var socketFaultNames = [socketFaults]string{"reset", "reset inside a frame", "closed", "half-closed to the client", "half-closed to the server",
	"stalled", "paused", "delayed", "outage"}

// step is one of a script: a fault, or a change of what carries the messages.
type step struct {
	act    act
	socket socketFault   // of faultSocket
	polls  pollFault     // of faultPolls; fair: the others below
	whole  socketFault   // of faultPolls: stalledFor, paused, delayed, outage
	how    refusal       // of block and climbLate
	bytes  int           // of cutInFrame
	after  float64       // the part of the step's messages that passes before the fault
	lasts  time.Duration // of what ends by itself
}

type act int

const (
	faultSocket act = iota
	faultPolls
	block     // WebSocket is refused from now on, and cut
	reconnect // WebSocket is let through, on another network, after a cut
	climbLate // the same, but the handshake is late, so that the fallback wins first
	climb     // WebSocket is let through, and a probe finds out
)

// script makes the steps of a run, with as many faults as asked for.
func script(r *rand.Rand, faults int) []step {
	var steps []step
	perChapter := 10
	left := faults
	for chapter := 0; left > 0; chapter++ {
		n := min(perChapter, left)
		left -= n
		socket := n / 2
		for i := range socket {
			if i > 0 && i%2 == 0 {
				steps = append(steps, step{act: reconnect})
			}
			steps = append(steps, socketStep(r))
		}
		// One way of blocking after the other; each is harmless to polls.
		steps = append(steps, step{act: block, how: forbidden + refusal(chapter)%(slow-forbidden)})
		for range n - socket {
			steps = append(steps, pollStep(r))
		}
		switch chapter % 4 {
		case 0:
			steps = append(steps, step{act: climbLate, how: slow})
		case 1:
			steps = append(steps, step{act: climb})
		case 2:
			steps = append(steps, step{act: climbLate, how: slow})
		default:
			steps = append(steps, step{act: reconnect})
		}
	}
	return steps
}

func socketStep(r *rand.Rand) step {
	s := step{act: faultSocket, socket: socketFault(r.IntN(int(socketFaults)))}
	s.draw(r)
	return s
}

func pollStep(r *rand.Rand) step {
	whole := []socketFault{stalledFor, paused, delayed, outage}
	s := step{act: faultPolls}
	if pick := r.IntN(int(pollFaults-1) + len(whole)); pick < int(pollFaults-1) {
		s.polls = fair + 1 + pollFault(pick)
	} else {
		s.whole = whole[pick-int(pollFaults-1)]
	}
	s.draw(r)
	return s
}

func (s *step) draw(r *rand.Rand) {
	s.after = 0.1 + 0.5*r.Float64()
	s.bytes = 1 + r.IntN(20000)
	s.lasts = time.Duration(50+r.IntN(250)) * time.Millisecond
}
