package holdfasttest

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// scripted connects a client to a server with a script, and waits for the
// script when the test ends.
func scripted(t *testing.T, s stage, script func(p *Peer)) *client {
	done := make(chan struct{})
	s.OnConnect(func(p *Peer) { defer close(done); script(p) })
	c := s.connect(t)
	t.Cleanup(func() { _ = c.Close(); s.Close(); <-done })
	return c
}

func TestReceiveAssemblesFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, inMemory(t), func(p *Peer) {
			assert.Equal(t, "/path?q=1", p.Request().RequestURI)
			assert.Equal(t, p.Request().RemoteAddr, p.RemoteAddr().String())
			typ, data, err := p.Receive()
			assert.NoError(t, err)
			assert.Equal(t, transport.Text, typ)
			assert.Equal(t, "héllo", string(data))
		})
		c.send(Frame{Opcode: OpText, Payload: []byte("h\xc3")})
		c.send(Frame{Fin: true, Opcode: OpPing, Payload: []byte("between")})
		c.expect(true, OpPong, "between")
		c.send(Frame{Payload: []byte("\xa9l")})
		c.send(Frame{Fin: true, Payload: []byte("lo")})
		assert.Equal(t, io.EOF, c.expectEnd(), "dropped when the script ends")
	})
}

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, inMemory(t), func(p *Peer) {
			assert.NoError(t, p.Send(transport.Text, []byte("one")))
			assert.NoError(t, p.SendFragmented(transport.Binary, []byte("a"), nil, []byte("b")))
			assert.NoError(t, p.SendFragmented(transport.Text))
			assert.NoError(t, p.WriteFrame(Frame{RSV: 4, Opcode: 3, Masked: true, Payload: []byte("odd")}))
			assert.NoError(t, p.WriteRaw([]byte("raw")))
		})
		c.expect(true, OpText, "one")
		c.expect(false, OpBinary, "a")
		c.expect(false, OpContinuation, "")
		c.expect(true, OpContinuation, "b")
		c.expect(true, OpText, "")
		f, err := readFrame(c.br, 10)
		require.NoError(t, err)
		assert.Equal(t, Frame{RSV: 4, Opcode: 3, Masked: true, Payload: []byte("odd")}, f)
		rest, err := io.ReadAll(c.br)
		require.NoError(t, err)
		assert.Equal(t, "raw", string(rest))
	})
}

func TestOnPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, inMemory(t), func(p *Peer) {
			p.OnPing(func(b []byte) ([]byte, bool) { return nil, string(b) == "answer" })
			_, _, _ = p.Receive()
			p.OnPing(nil)
			_, _, _ = p.Receive()
		})
		ping := func(s string) { c.send(Frame{Fin: true, Opcode: OpPing, Payload: []byte(s)}) }
		ping("suppress")
		ping("answer")
		c.expect(true, OpPong, "")
		c.text("next")
		ping("suppress")
		c.expect(true, OpPong, "suppress")
	})
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pong := make(chan string, 1)
		c := scripted(t, inMemory(t), func(p *Peer) {
			p.OnPong(func(b []byte) { pong <- string(b) })
			assert.NoError(t, p.Ping([]byte("42")))
			_, _, _ = p.Receive()
		})
		c.expect(true, OpPing, "42")
		c.send(Frame{Fin: true, Opcode: OpPong, Payload: []byte("42")})
		assert.Equal(t, "42", <-pong)
	})
}

func TestCloseHandshakeByTheServer(t *testing.T) {
	for name, receive := range map[string]bool{"nobody receives": false, "somebody receives": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, inMemory(t), func(p *Peer) {
					got := make(chan error, 1)
					if receive {
						go func() { _, _, err := p.Receive(); got <- err }()
						synctest.Wait()
					}
					assert.NoError(t, p.Close(4000, "why"))
					if receive {
						assert.Equal(t, &transport.CloseError{Code: 4001, Reason: "because"}, <-got)
					}
					code, reason := p.CloseCode()
					assert.EqualValues(t, 4001, code)
					assert.Equal(t, "because", reason)
					assert.NoError(t, p.Close(1000, ""), "closed already, and answered")
				})
				c.expect(true, OpClose, closePayload(4000, "why"))
				if !receive {
					c.text("lost")
				}
				c.send(closing(4001, "because"))
				assert.Equal(t, io.EOF, c.expectEnd())
			})
		})
	}
}

func TestCloseWithoutAnAnswer(t *testing.T) {
	for name, freeze := range map[string]bool{"silent": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, inMemory(t), func(p *Peer) {
					p.Freeze(freeze)
					start := time.Now()
					assert.ErrorIs(t, p.Close(1001, ""), os.ErrDeadlineExceeded)
					assert.Equal(t, closeTimeout, time.Since(start))
					code, _ := p.CloseCode()
					assert.EqualValues(t, 1006, code)
				})
				if !freeze {
					c.expect(true, OpClose, closePayload(1001, ""))
				}
				assert.Equal(t, io.EOF, c.expectEnd())
			})
		})
	}
}

func TestCloseHandshakeByTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		c := scripted(t, s, func(p *Peer) {
			for range 2 {
				_, _, err := p.Receive()
				assert.Equal(t, &transport.CloseError{Code: 1005}, err)
			}
			code, _ := p.CloseCode()
			assert.EqualValues(t, 1005, code)
		})
		c.send(Frame{Fin: true, Opcode: OpClose})
		c.expect(true, OpClose, "")
		assert.Equal(t, io.EOF, c.expectEnd())
	})
}

func TestOnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, inMemory(t), func(p *Peer) {
			p.OnClose(func(code uint16, reason string) bool {
				assert.EqualValues(t, 1000, code)
				assert.Equal(t, "bye", reason)
				return false
			})
			_, _, err := p.Receive()
			assert.Error(t, err)
			<-p.Done()
		})
		c.send(closing(1000, "bye"))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		assert.ErrorIs(t, c.expectEnd(), os.ErrDeadlineExceeded)
	})
}

func TestSendCloseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, inMemory(t), func(p *Peer) {
			assert.NoError(t, p.SendClose(0, "ignored"))
			_, _, err := p.Receive()
			assert.Equal(t, &transport.CloseError{Code: 1000}, err)
		})
		c.expect(true, OpClose, "")
		c.send(closing(1000, ""))
		assert.Equal(t, io.EOF, c.expectEnd(), "a close frame is sent once")
	})
}

func TestDropAndReset(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		c := scripted(t, s, func(p *Peer) {
			_, _, err := p.Receive() // the second message is in the buffer now, or on its way
			assert.NoError(t, err)
			p.Drop()
			assert.ErrorIs(t, p.Send(transport.Text, nil), net.ErrClosed)
			_, _, err = p.Receive()
			assert.ErrorIs(t, err, net.ErrClosed)
		})
		two := Frame{Fin: true, Opcode: OpText, Masked: true}.Append(nil)
		c.raw(append(two, two...))
		assert.ErrorIs(t, c.expectEnd(), io.EOF)
		s.OnConnect(func(p *Peer) { p.Reset() })
		assert.ErrorIs(t, s.connect(t).expectEnd(), syscall.ECONNRESET)
	})
}

func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		c := s.connect(t)
		p := s.Peers()[0]
		p.Freeze(true)
		p.Freeze(true)
		c.text("held")
		sent := make(chan error, 1)
		go func() { sent <- p.Send(transport.Text, []byte("held too")) }()
		synctest.Wait()
		assert.Empty(t, sent)
		assert.Zero(t, c.br.Buffered())
		p.Freeze(false)
		assert.NoError(t, <-sent)
		c.expect(true, OpText, "held too")
		c.expect(true, OpText, "held")
	})
}

func TestClientThatBreaksTheProtocol(t *testing.T) {
	masked := func(f Frame) []byte { f.Masked = true; return f.Append(nil) }
	for name, tt := range map[string]struct {
		bytes []byte
		code  uint16
	}{
		"not masked":         {Frame{Fin: true, Opcode: OpText}.Append(nil), 1002},
		"reserved bit":       {masked(Frame{Fin: true, RSV: 4, Opcode: OpText}), 1002},
		"opcode":             {masked(Frame{Fin: true, Opcode: 3}), 1002},
		"fragmented ping":    {masked(Frame{Opcode: OpPing}), 1002},
		"long ping":          {masked(Frame{Fin: true, Opcode: OpPing, Payload: make([]byte, 126)}), 1002},
		"continuation":       {masked(Frame{Fin: true}), 1002},
		"message in message": {append(masked(Frame{Opcode: OpText}), masked(Frame{Fin: true, Opcode: OpText})...), 1002},
		"not UTF-8":          {masked(Frame{Fin: true, Opcode: OpText, Payload: []byte("\xff")}), 1007},
		"close of one byte":  {masked(Frame{Fin: true, Opcode: OpClose, Payload: []byte("x")}), 1002},
		"close code":         {masked(closing(1006, "")), 1002},
		"close reason":       {masked(closing(1000, "\xff")), 1007},
		"long length":        {[]byte{0x82, 0x80 | 126, 0, 1}, 1002},
		"too big":            {[]byte{0x82, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0}, 1009},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, inMemory(t), func(p *Peer) {
					_, _, err := p.Receive()
					var bad *transport.ProtocolError
					if tt.code == 1009 {
						assert.ErrorIs(t, err, transport.ErrMessageTooBig)
					} else if assert.ErrorAs(t, err, &bad) {
						assert.Equal(t, tt.code, bad.Code)
					}
				})
				c.raw(tt.bytes)
				f, err := readFrame(c.br, 125)
				require.NoError(t, err)
				require.EqualValues(t, OpClose, f.Opcode)
				assert.True(t, strings.HasPrefix(string(f.Payload), closePayload(tt.code, "")))
			})
		})
	}
}
