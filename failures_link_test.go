package holdfast_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// loss is one cause of the end of a live link and what must be said of it.
type loss struct {
	cause  string
	change func(*holdfast.Options)
	// lose is the server's script. It waits for the client's first message
	// where the link has to have worked before.
	lose func(p *holdfasttest.Peer)
	tls  bool

	code     holdfast.StatusCode
	reason   string
	remote   bool
	decision holdfast.Decision
	is       error
	text     string // a part of the error's
}

func (l loss) check(t *testing.T) {
	var s *holdfasttest.Server
	o := failureOptions()
	if l.tls {
		s = holdfasttest.NewTLSServer(listen(t), nil)
		o.TLSConfig = s.ClientTLSConfig()
	} else {
		s = holdfasttest.NewServer(listen(t))
	}
	t.Cleanup(s.Close)
	s.OnConnect(l.lose)
	if l.change != nil {
		l.change(o)
	}
	r := record(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := holdfast.Dial(ctx, plant(t, s.URL()+"stream"), o)
	require.NoError(t, err)
	defer c.CloseNow()
	_ = c.Send(ctx, holdfast.Text, []byte("hello")) // the link may be gone already
	m, err := c.Receive(ctx)
	require.Error(t, err, "received %q", m.Data)
	require.NoError(t, ctx.Err())
	<-c.Done()
	require.Equal(t, c.Err(), err)
	r.hidesSecrets(err, c.Stats().LastError)

	var ce *holdfast.CloseError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, l.code, ce.Code)
	assert.Equal(t, l.reason, ce.Reason)
	assert.Equal(t, l.remote, ce.Remote, "remote")
	assert.Equal(t, []holdfast.Decision{l.decision}, r.decided())
	terminal := l.decision == holdfast.DecisionStop || l.decision == holdfast.DecisionReauthorize // without Authorize
	assert.Equal(t, !terminal, errors.Is(err, holdfast.ErrRetriesExhausted), "%v", err)
	assert.Contains(t, ce.Error(), l.text)
	if l.is != nil {
		require.ErrorIs(t, err, l.is)
	}
	lost := r.of(holdfast.EventDisconnected)
	require.Len(t, lost, 1)
	assert.Same(t, ce, lost[0].Err)
	assert.Len(t, r.of(holdfast.EventConnecting), 1, "dials")
}

// afterHello runs f once the client's first message is there.
func afterHello(f func(p *holdfasttest.Peer)) func(*holdfasttest.Peer) {
	return func(p *holdfasttest.Peer) {
		if _, _, err := p.Receive(); err == nil {
			f(p)
		}
	}
}

func TestFailuresAfterOpen(t *testing.T) {
	rows := []loss{
		{cause: "EOF", lose: afterHello((*holdfasttest.Peer).Drop),
			code: 1006, decision: holdfast.DecisionRetry, text: "link lost: 1006 abnormal closure: EOF"},
		{cause: "EOF at once", lose: func(*holdfasttest.Peer) {},
			code: 1006, decision: holdfast.DecisionRetry, text: "link lost: 1006 abnormal closure"},
		{cause: "EOF within a message", lose: afterHello(func(p *holdfasttest.Peer) {
			frame := holdfasttest.Frame{Fin: true, Opcode: holdfasttest.OpText, Payload: []byte("cut in the middle")}.Append(nil)
			p.WriteRaw(frame[:len(frame)/2])
		}),
			code: 1006, decision: holdfast.DecisionRetry, text: "link lost: 1006 abnormal closure"},
		{cause: "EOF between the fragments of a message", lose: afterHello(func(p *holdfasttest.Peer) {
			p.WriteFrame(holdfasttest.Frame{Opcode: holdfasttest.OpText, Payload: []byte("the first")})
		}),
			code: 1006, decision: holdfast.DecisionRetry, text: "link lost: 1006 abnormal closure"},
		{cause: "EOF under TLS, without its goodbye", tls: true, lose: afterHello((*holdfasttest.Peer).Drop),
			code: 1006, decision: holdfast.DecisionRetry, text: "link lost: 1006 abnormal closure"},
		{cause: "RST", lose: afterHello((*holdfasttest.Peer).Reset),
			code: 1006, decision: holdfast.DecisionRetry, text: "connection reset"},
		{cause: "frozen peer", lose: afterHello(func(p *holdfasttest.Peer) {
			p.Freeze(true)
			<-p.Done()
		}),
			change: func(o *holdfast.Options) {
				o.Keepalive = holdfast.Keepalive{Interval: short, Timeout: short}
			},
			code: 1006, decision: holdfast.DecisionRetry, is: holdfast.ErrNoPong, text: "no pong from the peer"},
		{cause: "frozen peer while writing", lose: afterHello(func(p *holdfasttest.Peer) {
			p.Freeze(true)
			<-p.Done()
		}),
			change: func(o *holdfast.Options) {
				o.WriteTimeout = short
				o.Keepalive = holdfast.Keepalive{Interval: short, Timeout: patience, Message: func() holdfast.Message {
					return holdfast.Message{Type: holdfast.Binary, Data: make([]byte, 16<<20)} // more than sockets hold
				}}
			},
			code: 1006, decision: holdfast.DecisionRetry, text: "timeout"},
		{cause: "close 1000", lose: closing(1000, "done"),
			code: 1000, reason: "done", remote: true, decision: holdfast.DecisionStop, text: `closed by the peer: 1000 normal closure "done"`},
		{cause: "close 1001", lose: closing(1001, ""),
			code: 1001, remote: true, decision: holdfast.DecisionRetry, text: "closed by the peer: 1001 going away"},
		{cause: "close without a code", lose: closing(1005, ""),
			code: 1005, remote: true, decision: holdfast.DecisionRetry, text: "closed by the peer: 1005 no status received"},
		{cause: "close 1008", lose: closing(1008, "who are you?"),
			code: 1008, reason: "who are you?", remote: true, decision: holdfast.DecisionStop, text: "1008 policy violation"},
		{cause: "close 1013", lose: closing(1013, ""),
			code: 1013, remote: true, decision: holdfast.DecisionRetrySlowly, text: "1013 try again later"},
		{cause: "close 3000", lose: closing(3000, ""),
			code: 3000, remote: true, decision: holdfast.DecisionReauthorize, text: "3000 unauthorized"},
		{cause: "close 4321", lose: closing(4321, "ours"),
			code: 4321, reason: "ours", remote: true, decision: holdfast.DecisionRetry, text: `"ours"`},
	}
	for _, l := range rows {
		t.Run(l.cause, l.check)
	}
}

func closing(code uint16, reason string) func(*holdfasttest.Peer) {
	return afterHello(func(p *holdfasttest.Peer) { _ = p.Close(code, reason) })
}

// A link that fails is replaced, and the Conn goes on.
func TestFailuresAfterOpenAreRepaired(t *testing.T) {
	s := holdfasttest.NewServer(listen(t))
	t.Cleanup(s.Close)
	o := failureOptions()
	o.Retry = holdfast.RetryPolicy{MaxRetries: 1, InitialDelay: time.Millisecond, StableAfter: 1} // every link is stable
	r := record(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := holdfast.Dial(ctx, s.URL(), o)
	require.NoError(t, err)
	defer c.CloseNow()
	for i, fail := range []func(*holdfasttest.Peer){(*holdfasttest.Peer).Drop, (*holdfasttest.Peer).Reset, closeWith(1001), closeWith(1012)} {
		fail(s.Peers()[0])
		require.Error(t, r.await(holdfast.EventDisconnected, i+1).Err)
		connected := r.await(holdfast.EventConnected, i+2)
		assert.Equal(t, uint64(i+2), connected.Epoch)
		require.NoError(t, s.WaitPeers(ctx, 1))
		require.NoError(t, c.SendSync(ctx, holdfast.Text, []byte("still here")))
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, connected.Epoch, m.Epoch)
	}
}

func closeWith(code uint16) func(*holdfasttest.Peer) {
	return func(p *holdfasttest.Peer) { _ = p.Close(code, "") }
}
