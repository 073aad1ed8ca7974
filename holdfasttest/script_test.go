package holdfasttest

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// status asks for a handshake and returns the answer's status; 0 for none.
func (s stage) status(t *testing.T) int {
	t.Helper()
	_, resp, err := s.ask(t, handshake(""))
	if err != nil {
		return 0
	}
	return resp.StatusCode
}

func TestScriptIsPlayedInOrder(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnRequest(func(n int, _ *http.Request) Reply { return Refuse{Status: 400 + n} })
		s.Script(
			Times(2, Refuse{Status: 503, RetryAfter: 1500 * time.Millisecond}),
			Times(0, Hang{}),
			Accept{},
			Drop{},
		)
		assert.Equal(t, 4, s.ScriptLeft())
		_, resp, err := s.ask(t, handshake(""))
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, "2", resp.Header.Get("Retry-After"))
		_, resp, err = s.ask(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		assert.Equal(t, 400, resp.StatusCode, "a plain request takes no step")
		assert.Equal(t, 503, s.status(t))
		assert.Equal(t, 2, s.ScriptLeft())
		assert.Equal(t, 101, s.status(t))
		assert.Equal(t, 0, s.status(t))
		assert.Equal(t, 0, s.ScriptLeft())
		assert.Equal(t, 405, s.status(t), "the fifth handshake is OnRequest's")

		s.Script(Always(Refuse{}))
		for range 3 {
			assert.Equal(t, 503, s.status(t))
		}
		assert.Equal(t, 1, s.ScriptLeft())
		s.Script()
		assert.Equal(t, 409, s.status(t))
	})
}

func TestRepliesOfAScriptInOnRequest(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnRequest(func(int, *http.Request) Reply { return Times(7, AfterSent(1).Drop()) })
		for range 2 {
			c := s.connect(t)
			c.text("one")
			c.expect(true, OpText, "one")
			assert.ErrorIs(t, c.expectEnd(), io.EOF)
		}
	})
}

func TestServe(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnConnect(func(p *Peer) { _ = p.Send(transport.Text, []byte("on connect")) })
		s.Script(Serve(func(p *Peer) { _ = p.Send(transport.Text, []byte("serve")) }), Serve(nil))
		s.connect(t).expect(true, OpText, "serve")
		c := s.connect(t)
		c.text("echo")
		c.expect(true, OpText, "echo")
		s.connect(t).expect(true, OpText, "on connect")
	})
}

func TestAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		s.Script(All(
			Accept{Subprotocol: "v2", Header: http.Header{"X-One": {"1"}}},
			Slow(time.Second, 0),
			Serve(func(p *Peer) {
				for range 3 {
					_ = p.Send(transport.Text, []byte("tick"))
				}
				<-p.Done()
			}),
			AfterSent(2).Drop(),
		))
		start := time.Now()
		c, resp, err := s.ask(t, handshake(""))
		require.NoError(t, err)
		assert.Equal(t, "v2", resp.Header.Get("Sec-WebSocket-Protocol"))
		assert.Equal(t, "1", resp.Header.Get("X-One"))
		c.expect(true, OpText, "tick")
		assert.Equal(t, time.Second, time.Since(start))
		c.expect(true, OpText, "tick")
		assert.ErrorIs(t, c.expectEnd(), io.EOF)
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		s.Script(Slow(time.Second, 100), AfterSent(1).Slow(0, 10))
		c := s.connect(t)
		start := time.Now()
		c.text(strings.Repeat("x", 94)) // a frame of 100 bytes there, and one of 96 back
		c.expect(true, OpText, strings.Repeat("x", 94))
		assert.Equal(t, 2*time.Second+1960*time.Millisecond, time.Since(start))

		c = s.connect(t)
		start = time.Now()
		c.text("12345678")
		c.expect(true, OpText, "12345678")
		assert.Zero(t, time.Since(start))
		c.text("1234") // 10 bytes and 6
		c.expect(true, OpText, "1234")
		assert.Equal(t, 1600*time.Millisecond, time.Since(start))
	})
}

func TestMisuseOfAScript(t *testing.T) {
	s := inMemory(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	onTCP := NewUnstartedServer(tcp)
	defer onTCP.Close()
	for want, f := range map[string]func(){
		"holdfasttest: AfterSent(-1): the number is negative":                                                 func() { AfterSent(-1) },
		"holdfasttest: AfterReceived(-2): the number is negative":                                             func() { AfterReceived(-2) },
		"holdfasttest: After(-1s): the time is negative":                                                      func() { After(-time.Second) },
		"holdfasttest: Times(-3): the number is negative":                                                     func() { Times(-3, Accept{}) },
		"holdfasttest: Times and Always do not take one another":                                              func() { Times(3, Always(Accept{})) },
		"holdfasttest: Slow(-1ns, 0): neither may be negative":                                                func() { Slow(-1, 0) },
		"holdfasttest: Slow(0s, -1): neither may be negative":                                                 func() { AfterSent(1).Slow(0, -1) },
		"holdfasttest: Close(1000, …): the reason has 124 bytes, and at most 123 fit into a close frame":      func() { After(0).Close(1000, strings.Repeat("x", 124)) },
		"holdfasttest: All: reply 2, a holdfasttest.Refuse, does not accept the handshake":                    func() { All(Accept{}, Refuse{}) },
		"holdfasttest: All: reply 1, a holdfasttest.Blockade, does not accept the handshake":                  func() { All(BlockStripped) },
		"holdfasttest: All: reply 1 is nil":                                                                   func() { All(nil) },
		"holdfasttest: Script: step 2: it is nil":                                                             func() { s.Script(Accept{}, nil) },
		"holdfasttest: Script: step 1: it is nil":                                                             func() { s.Script(Times(3, nil)) },
		"holdfasttest: Script: step 1: Refuse: 42 is no status that answers a request; those are 200 to 999":  func() { s.Script(Refuse{Status: 42}) },
		"holdfasttest: Script: step 1: Refuse: 101 is no status that answers a request; those are 200 to 999": func() { s.Script(Times(2, Refuse{Status: 101})) },
		"holdfasttest: Script: step 1: Blockade(7) is none of the Blockades":                                  func() { s.Script(Blockade(7)) },
		"holdfasttest: Script: step 1: Blockade(-1) is none of the Blockades":                                 func() { s.Script(Always(Blockade(-1))) },
		"holdfasttest: Blockade(99) is none of the Blockades":                                                 func() { All(Blockade(99)) },
		"holdfasttest: Script: step 1: what follows Always never happens":                                     func() { s.Script(Always(Drop{}), Accept{}) },
		"holdfasttest: Script: step 1: Slow needs a server that listens on a Memory":                          func() { onTCP.Script(Slow(1, 1)) },
		"holdfasttest: the server is running already: it was started when it was made, or by Start":           s.Start,
		"holdfasttest: NewServer: listen tcp: address nowhere: missing port in address":                       func() { NewMemory().NewServer("nowhere") },
		"holdfasttest: SetHostOnline: the host is empty; SetOnline is for all of them":                        func() { NewNetwork().SetHostOnline("", true) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
	assert.Equal(t, 0, s.ScriptLeft(), "nothing of a bad script is used")
}
