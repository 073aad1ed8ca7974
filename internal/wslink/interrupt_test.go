//go:build !js

package wslink_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// interruptible is what a link has besides.
type interruptible interface {
	transport.Link
	Await() bool
	Interrupt()
	Resume()
	Interrupted(err error) bool
}

// pieces are frames that are cut where a reader may be in the middle of something.
func pieces() (stream []byte, want [][]byte) {
	add := func(head byte, payload []byte) { stream = append(stream, frame(head, payload...)...) }
	short, long, longest := randomBytes(20), randomBytes(300), randomBytes(100_000)
	add(0x82, short)
	add(0x02, long) // a message of three fragments, with a ping between
	add(0x00, short)
	add(0x89, []byte("ping"))
	add(0x80, long)
	add(0x82, longest)
	add(0x82, nil)
	add(0x82, short)
	return stream, [][]byte{short, bytes.Join([][]byte{long, short, long}, nil), longest, {}, short}
}

// cuts are places in the stream: in and around headers, and some inside payloads.
func cuts(stream []byte) (at []int) {
	for i := range stream {
		if i < 30 || i > 315 && i < 365 || i > 655 && i < 680 || i > len(stream)-30 || i%9973 == 0 {
			at = append(at, i)
		}
	}
	return at
}

func TestAnInterruptedReadGoesOn(t *testing.T) {
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			stream, want := pieces()
			next := make(chan []byte)
			serve := func(w *wire) {
				go w.drain()
				for p := range next {
					w.Write(p)
				}
			}
			var l interruptible
			if secure {
				cert := testCertificate(t)
				ln := listen(t, func(c net.Conn) {
					if w := upgrade(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}), "", nil); w != nil {
						serve(w)
					}
				})
				r := request(t, "wss://"+ln.Addr().String())
				r.TLSConfig = &tls.Config{InsecureSkipVerify: true}
				l = dial(t, r).(interruptible)
			} else {
				l = dial(t, request(t, rawServer(t, serve))).(interruptible)
			}
			defer close(next)

			type result struct {
				p   []byte
				err error
			}
			results := make(chan result)
			asked := make(chan []byte)
			go func() {
				for dst := range asked {
					_, p, err := l.Read(dst)
					results <- result{p, err}
				}
			}()
			defer close(asked)
			for _, cut := range cuts(stream) {
				next <- stream[:cut]
				var got [][]byte
				dst := []byte(nil)
				// All that came whole is read; then the read is interrupted.
				for interrupted := false; len(got) < len(want); {
					asked <- dst
					if !interrupted && len(got) == whole(stream[:cut], want) {
						l.Interrupt()
						res := <-results
						if res.err != nil {
							require.True(t, l.Interrupted(res.err), "%v", res.err)
							dst = res.p
						} else { // it was there already
							got, dst = append(got, res.p), nil
						}
						interrupted = true
						l.Resume()
						next <- stream[cut:]
						continue
					}
					res := <-results
					require.NoError(t, res.err)
					got, dst = append(got, res.p), nil
				}
				for i := range want {
					require.True(t, bytes.Equal(want[i], got[i]), "cut at %d: message %d", cut, i)
				}
			}
		})
	}
}

// whole counts the messages that are whole in the first bytes of the stream.
func whole(first []byte, want [][]byte) int {
	ends := []int{len(frame(0x82, want[0]...))}
	ends = append(ends, ends[0]+len(frame(2, want[1][:300]...))+len(frame(0, want[0]...))+len(frame(0x89, []byte("ping")...))+len(frame(0x80, want[1][320:]...)))
	for _, m := range want[2:] {
		ends = append(ends, ends[len(ends)-1]+len(frame(0x82, m...)))
	}
	n := 0
	for n < len(ends) && ends[n] <= len(first) {
		n++
	}
	return n
}

func TestAwaitIsInterrupted(t *testing.T) {
	more := make(chan struct{})
	l := dial(t, request(t, rawServer(t, func(w *wire) {
		<-more
		w.Write(frame(0x81, []byte("late")...))
		w.drain()
	}))).(interruptible)
	waited := make(chan bool, 1)
	go func() { waited <- l.Await() }()
	l.Interrupt()
	assert.True(t, <-waited)
	_, p, err := l.Read([]byte("kept"))
	assert.True(t, l.Interrupted(err))
	assert.Equal(t, "kept", string(p))
	l.Resume()
	close(more)
	_, p, err = l.Read([]byte("kept "))
	require.NoError(t, err)
	assert.Equal(t, "kept late", string(p))
}

func TestTheEndIsMetInSpiteOfAnInterrupt(t *testing.T) {
	l := dial(t, request(t, rawServer(t, func(w *wire) { w.Close() }))).(interruptible)
	assert.True(t, l.Await(), "the end is at hand")
	l.Interrupt()
	_, _, err := l.Read(nil)
	require.Error(t, err)
	assert.False(t, l.Interrupted(err))
	l.Resume()
}
