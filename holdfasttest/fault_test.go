package holdfasttest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// numbers sends messages until it fails.
func numbers(p *Peer) {
	for i := 1; p.Send(transport.Text, fmt.Append(nil, i)) == nil; i++ {
		continue
	}
}

func TestAfterSent(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			stages(t, func(t *testing.T, s stage) {
				s.OnConnect(numbers)
				s.Script(AfterSent(n).Drop())
				c := s.connect(t)
				for i := range n {
					c.expect(true, OpText, fmt.Sprint(i+1))
				}
				assert.ErrorIs(t, c.expectEnd(), io.EOF)
				require.NoError(t, s.WaitPeers(t.Context(), 0))
				s.connect(t).expect(true, OpText, "1")
			})
		})
	}
}

func TestAfterSentCountsWholeMessages(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnConnect(func(p *Peer) {
			_ = p.SendFragmented(transport.Text, []byte("a"), nil, []byte("b"))
			_ = p.Ping(nil)
			_ = p.WriteRaw(bytes.Repeat(Frame{Fin: true, Opcode: OpText, Payload: []byte("c")}.Append(nil), 2))
		})
		s.Script(AfterSent(2).Reset())
		c := s.connect(t)
		for _, f := range []Frame{{Opcode: OpText, Payload: []byte("a")}, {}, {Fin: true, Payload: []byte("b")}, {Fin: true, Opcode: OpPing}, {Fin: true, Opcode: OpText, Payload: []byte("c")}} {
			c.expect(f.Fin, f.Opcode, string(f.Payload))
		}
		assert.ErrorIs(t, c.expectEnd(), syscall.ECONNRESET)
	})
}

func TestAfterReceived(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		got := make(chan string, 10)
		s.OnConnect(func(p *Peer) {
			for {
				_, b, err := p.Receive()
				if err != nil {
					return
				}
				got <- string(b)
				if p.Send(transport.Text, b) != nil {
					got <- "not sent"
				}
			}
		})
		s.Script(AfterReceived(2).Drop())
		c := s.connect(t)
		c.text("one")
		c.expect(true, OpText, "one")
		c.raw(bytes.Join([][]byte{
			Frame{Opcode: OpText, Masked: true, Payload: []byte("t")}.Append(nil),
			Frame{Fin: true, Opcode: OpPing, Masked: true}.Append(nil),
			Frame{Fin: true, Masked: true, Payload: []byte("wo")}.Append(nil),
			Frame{Fin: true, Opcode: OpText, Masked: true, Payload: []byte("three")}.Append(nil),
		}, nil))
		for { // a pong may have come through
			if _, err := readFrame(c.br, 100); err != nil {
				break
			}
		}
		require.NoError(t, s.WaitPeers(t.Context(), 0))
		close(got)
		var all []string
		for g := range got {
			all = append(all, g)
		}
		assert.Equal(t, []string{"one", "two", "not sent"}, all, "the second arrives, its answer and the third do not")
	})
}

func TestAfterATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		s.Script(After(30*time.Second).Reset(), After(time.Hour).Drop(), After(0).Drop())
		start := time.Now()
		assert.ErrorIs(t, s.connect(t).expectEnd(), syscall.ECONNRESET)
		assert.Equal(t, 30*time.Second, time.Since(start))
		c := s.connect(t)
		c.send(closing(1000, ""))
		c.expect(true, OpClose, closePayload(1000, ""))
		assert.ErrorIs(t, c.expectEnd(), io.EOF)
		assert.Equal(t, 30*time.Second, time.Since(start), "the clock of an ended connection is stopped")
		assert.ErrorIs(t, s.connect(t).expectEnd(), io.EOF)
	})
}

func TestFreezeAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		s.Script(AfterReceived(1).Freeze())
		c := s.connect(t)
		c.text("one")
		c.text("two")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := c.br.Peek(1)
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		s.FreezeAll(false)
		c.expect(true, OpText, "one")
		c.expect(true, OpText, "two")
	})
}

func TestCloseAfter(t *testing.T) {
	for name, when := range map[string]When{"sent": AfterSent(3), "received": AfterReceived(0), "time": After(0)} {
		t.Run(name, func(t *testing.T) {
			stages(t, func(t *testing.T, s stage) {
				code := make(chan uint16, 1)
				s.OnConnect(func(p *Peer) {
					if name == "sent" {
						numbers(p)
						<-p.Done()
					} else {
						_, _, _ = p.Receive()
					}
					c, _ := p.CloseCode()
					code <- c
				})
				s.Script(when.Close(1012, "restart"))
				c := s.connect(t)
				if name == "sent" {
					for i := range 3 {
						c.expect(true, OpText, fmt.Sprint(i+1))
					}
				}
				c.expect(true, OpClose, closePayload(1012, "restart"))
				c.send(closing(1012, ""))
				assert.ErrorIs(t, c.expectEnd(), io.EOF)
				assert.Equal(t, uint16(1012), <-code)
				require.NoError(t, s.WaitPeers(t.Context(), 0))
			})
		})
	}
}

// The service ends with the message at which the connection is closed, and says
// nothing of its own.
func TestCloseOutlivesTheService(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnConnect(func(p *Peer) { _ = p.Send(transport.Text, []byte("last")) })
		s.Script(AfterSent(1).Close(0, ""))
		c := s.connect(t)
		c.expect(true, OpText, "last")
		c.expect(true, OpClose, "")
		c.send(closing(1000, ""))
		assert.ErrorIs(t, c.expectEnd(), io.EOF)
	})
}

func TestCloseAfterWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		s.OnConnect(numbers)
		s.Script(AfterSent(1).Close(4000, "go"))
		c := s.connect(t)
		c.expect(true, OpText, "1")
		start := time.Now()
		c.expect(true, OpClose, closePayload(4000, "go"))
		c.text("not yet")
		assert.Error(t, c.expectEnd())
		assert.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestCloseComesBetweenFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		frame := Frame{Fin: true, Opcode: OpText, Payload: []byte("in two parts")}.Append(nil)
		s.OnConnect(func(p *Peer) {
			_ = p.WriteRaw(frame[:5])
			_, _, _ = p.Receive() // at which the close is wanted
			time.Sleep(time.Second)
			_ = p.WriteRaw(frame[5:])
			_ = p.Send(transport.Text, []byte("too late"))
		})
		s.Script(AfterReceived(1).Close(1001, ""))
		c := s.connect(t)
		c.text("go")
		c.expect(true, OpText, "in two parts")
		c.expect(true, OpClose, closePayload(1001, ""))
		c.send(closing(1001, ""))
		assert.ErrorIs(t, c.expectEnd(), io.EOF)
	})
}

func TestSeveralWritersAndAClose(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnConnect(func(p *Peer) {
			done := make(chan struct{})
			for range 4 {
				go func() {
					numbers(p)
					done <- struct{}{}
				}()
			}
			for range 4 {
				<-done
			}
		})
		s.Script(AfterSent(100).Close(1001, ""))
		c := s.connect(t)
		for range 100 {
			f, err := readFrame(c.br, 100)
			require.NoError(t, err)
			require.Equal(t, byte(OpText), f.Opcode)
		}
		c.expect(true, OpClose, closePayload(1001, ""))
		c.send(closing(1001, ""))
		assert.Error(t, c.expectEnd())
	})
}

// TestScanner compares what a scanner sees, however the stream is cut, with what
// was put in.
func TestScanner(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var s scanner
		stream := []byte("HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n")
		s.inHead = true
		var want []saw
		want = append(want, sawHead)
		for range rnd.IntN(20) {
			f := Frame{Fin: rnd.IntN(2) == 0, Opcode: []byte{0, 1, 2, 8, 9, 10}[rnd.IntN(6)], Masked: rnd.IntN(2) == 0,
				Payload: make([]byte, []int{0, 1, 125, 126, 300, 70_000}[rnd.IntN(6)])}
			stream = f.Append(stream)
			switch {
			case f.Opcode == OpClose:
				want = append(want, sawClose)
			case f.Opcode < OpClose && f.Fin:
				want = append(want, sawMessage)
			default:
				want = append(want, sawFrame)
			}
		}
		var got []saw
		for len(stream) > 0 {
			piece := stream[:min(len(stream), 1+rnd.IntN(1+rnd.IntN(2000)))]
			n, what := s.scan(piece)
			require.Positive(t, n)
			stream = stream[n:]
			if what != sawNothing {
				got = append(got, what)
				require.False(t, s.inside())
			}
		}
		require.Equal(t, want, got)
	}
	s := scanner{inHead: true}
	n, what := s.scan([]byte("HTTP/1.1 403 Forbidden\r\n\r\n\x81\x01a"))
	assert.Equal(t, sawNothing, what)
	assert.Equal(t, 26, n)
	n, what = s.scan([]byte("\x81\x01a"))
	assert.Equal(t, sawNothing, what)
	assert.Equal(t, 3, n)
	assert.True(t, s.inside(), "no close frame goes into an answer that is no WebSocket")
}
