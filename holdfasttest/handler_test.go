package holdfasttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
	"github.com/holdfast-ws/holdfast/transport"
)

const plainRequest = "GET /page HTTP/1.1\r\nHost: server.example\r\n\r\n"

// pages answers every request with what it saw.
func pages(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s upgrade=%q tls=%v", r.URL.Path, r.Header.Get("Upgrade"), r.TLS != nil)
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}

func TestHandlerServesPlainRequests(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnConnect(func(p *Peer) { _ = p.Send(transport.Text, []byte("peer "+p.Request().URL.Path)) })
		s.Handle(http.HandlerFunc(pages))
		c, resp, err := s.ask(t, plainRequest)
		require.NoError(t, err)
		tls := s.ClientTLSConfig() != nil
		assert.Equal(t, fmt.Sprintf("/page upgrade=\"\" tls=%v", tls), body(t, resp))
		c.raw([]byte(handshake(""))) // on the same connection
		resp, err = http.ReadResponse(c.br, nil)
		require.NoError(t, err)
		assert.Equal(t, 101, resp.StatusCode)
		c.expect(true, OpText, "peer /path")
		assert.ErrorIs(t, c.expectEnd(), io.EOF)

		s.OnRequest(func(n int, _ *http.Request) Reply {
			if n == 0 {
				return Refuse{Status: 404}
			}
			return Reset{}
		})
		_, resp, err = s.ask(t, plainRequest)
		require.NoError(t, err)
		assert.Equal(t, 404, resp.StatusCode)
		_, _, err = s.ask(t, handshake(""))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Equal(t, 2, s.Requests())
		require.NoError(t, s.WaitPeers(t.Context(), 0))

		s.OnRequest(nil)
		s.Handle(nil)
		_, resp, err = s.ask(t, plainRequest)
		require.NoError(t, err)
		assert.Equal(t, 426, resp.StatusCode)
	})
}

func TestServeBesideAHandler(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.Handle(http.HandlerFunc(pages))
		s.Script(Serve(nil))
		c := s.connect(t)
		c.text("echo")
		c.expect(true, OpText, "echo")
		_, resp, err := s.ask(t, handshake(""))
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode, "without a script the handler has it")
	})
}

func TestBlockades(t *testing.T) {
	for _, b := range Blockades() {
		for _, handler := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, handler %v", b, handler), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := inMemory(t)
					if handler {
						s.Handle(http.HandlerFunc(pages))
						s.OnConnect(echo)
					}
					s.Script(Always(b))
					c, resp, err := s.ask(t, handshake(""))
					switch b {
					case BlockForbidden:
						require.NoError(t, err)
						assert.Equal(t, 403, resp.StatusCode)
					case BlockPage:
						require.NoError(t, err)
						assert.Equal(t, 200, resp.StatusCode)
						assert.Contains(t, body(t, resp), "<h1>")
					case BlockReset:
						require.ErrorIs(t, err, syscall.ECONNRESET)
					case BlockSilence:
						require.NoError(t, err)
						assert.Equal(t, 101, resp.StatusCode)
						c.text("anyone?")
						var ne net.Error
						require.ErrorAs(t, c.expectEnd(), &ne)
						assert.True(t, ne.Timeout())
					case BlockCut:
						require.NoError(t, err)
						assert.Equal(t, 101, resp.StatusCode)
						require.ErrorIs(t, c.expectEnd(), syscall.ECONNRESET)
					case BlockNoAnswer:
						var ne net.Error
						require.ErrorAs(t, err, &ne)
						assert.True(t, ne.Timeout())
					case BlockStripped:
						require.NoError(t, err)
						if handler {
							assert.Equal(t, `/path upgrade="" tls=false`, body(t, resp))
						} else {
							assert.Equal(t, 426, resp.StatusCode)
						}
					}
					if handler {
						_, resp, err = s.ask(t, plainRequest)
						require.NoError(t, err)
						assert.Equal(t, 200, resp.StatusCode, "plain requests pass")
					}
					s.Script()
					assert.Equal(t, 101, s.status(t), "and WebSocket does again")
				})
			})
		}
	}
	assert.Equal(t, "no answer", BlockNoAnswer.String())
	assert.Equal(t, "Blockade(-1)", Blockade(-1).String())
}

// sessions is a package server that echoes, behind s.
func sessions(t *testing.T, s *Server) *server.Server {
	h := server.New(func(ctx context.Context, s *server.Session) error {
		for m, err := range s.Messages(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, m.Type, m.Data); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	s.Handle(h)
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = h.Shutdown(ended)
		s.Close()
	})
	return h
}

func TestFaultsInFrontOfPackageServer(t *testing.T) {
	for name, tt := range map[string]struct {
		fault Reply
		code  holdfast.StatusCode
	}{
		"drop":   {AfterSent(5).Drop(), 1006},
		"reset":  {AfterReceived(5).Reset(), 1006},
		"freeze": {AfterSent(5).Freeze(), 1006},
		"close":  {AfterSent(5).Close(1001, "away"), 1006}, // a session goes on after it
		"time":   {After(time.Second).Drop(), 1006},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, rec := NewMemory(), NewRecorder(t)
				s := n.NewServer("")
				sessions(t, s)
				s.Script(Times(2, tt.fault))
				o := n.Options()
				o.OnEvent = rec.OnEvent
				conn, err := holdfast.Dial(t.Context(), s.URL(), &o)
				require.NoError(t, err)
				for i := range 50 {
					text := fmt.Sprint(i)
					require.NoError(t, conn.Send(t.Context(), holdfast.Text, []byte(text)))
					m, err := conn.Receive(t.Context())
					require.NoError(t, err)
					require.Equal(t, text, string(m.Data))
					time.Sleep(100 * time.Millisecond)
				}
				lost := rec.Wait(time.Minute, holdfast.EventDisconnected)
				var ce *holdfast.CloseError
				require.ErrorAs(t, lost.Err, &ce)
				assert.Equal(t, tt.code, ce.Code)
				rec.Wait(time.Minute, holdfast.EventDisconnected)
				assert.True(t, rec.Wait(time.Minute, holdfast.EventConnected).Resumed)
				assert.Zero(t, s.ScriptLeft())
				rec.AssertCount(holdfast.EventGap, 0)
				require.NoError(t, conn.Close())
			})
		})
	}
}

func TestPollingPassesWhereWebSocketIsBlocked(t *testing.T) {
	for _, b := range Blockades() {
		t.Run(b.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, rec := NewMemory(), NewRecorder(t)
				s := n.NewServer("")
				sessions(t, s)
				s.Script(Always(b))
				o := n.Options()
				o.OnEvent, o.Fallback = rec.OnEvent, []holdfast.Transport{fallback.LongPoll(nil)}
				conn, err := holdfast.Dial(t.Context(), s.URL(), &o)
				require.NoError(t, err)
				rec.Wait(time.Minute, holdfast.EventFellBack)
				assert.Equal(t, "longpoll", conn.Stats().Transport)
				s.Script()
				rec.Wait(time.Hour, holdfast.EventUpgraded)
				require.NoError(t, conn.Close())
			})
		})
	}
}

func TestStopWaitsForTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		var running atomic.Int32
		s.Handle(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Add(-1)
			if isHandshake(r) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = bufio.NewReader(conn).Peek(1)
				}
			} else {
				<-r.Context().Done()
			}
			time.Sleep(time.Second)
		}))
		var ends []net.Conn
		for _, head := range []string{plainRequest, handshake("")} {
			c := s.dial()
			_, err := io.WriteString(c, head)
			require.NoError(t, err)
			ends = append(ends, c)
		}
		idle := s.dial()
		synctest.Wait()
		require.EqualValues(t, 2, running.Load())
		s.Stop()
		assert.Zero(t, running.Load())
		for _, c := range append(ends, idle) {
			_, err := c.Read(make([]byte, 1))
			assert.True(t, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), err)
			_ = c.Close()
		}
		s.Start()
		c := s.dial()
		_, err := io.WriteString(c, plainRequest)
		require.NoError(t, err)
		synctest.Wait()
		assert.EqualValues(t, 1, running.Load(), "the handler is there again")
	})
}

func TestFrozenHandlerKeepsItsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		took := make(chan time.Duration, 2)
		s.Handle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			for _, call := range []func() (int, error){
				func() (int, error) { return conn.Read(make([]byte, 1)) },
				func() (int, error) { return conn.Write(make([]byte, 1)) },
			} {
				start := time.Now()
				time.AfterFunc(time.Second, func() { _ = conn.SetDeadline(time.Now().Add(time.Second)) })
				_, err := call()
				if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
					t.Errorf("%v", err)
				}
				took <- time.Since(start)
				_ = conn.SetDeadline(time.Time{})
			}
		}))
		s.Script(AfterSent(0).Freeze())
		c, _, err := s.ask(t, handshake(""))
		require.NoError(t, err)
		c.text("in vain")
		assert.Equal(t, 2*time.Second, <-took)
		assert.Equal(t, 2*time.Second, <-took)
		assert.Error(t, c.expectEnd())
	})
}

func TestHandlerThatRefusesTheHandshake(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.Handle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("no ", 10), http.StatusTeapot)
		}))
		s.Script(AfterSent(0).Drop())
		_, resp, err := s.ask(t, handshake(""))
		require.NoError(t, err)
		assert.Equal(t, 418, resp.StatusCode)
		assert.Contains(t, body(t, resp), "no no")
	})
}
