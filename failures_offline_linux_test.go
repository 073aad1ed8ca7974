package holdfast_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/internal/netns"
	"github.com/holdfast-ws/holdfast/internal/netwatch"
)

// netnsRetries are few and quick, so that they would soon be used up.
func netnsRetries() holdfast.RetryPolicy {
	return holdfast.RetryPolicy{MaxRetries: 3, InitialDelay: 20 * time.Millisecond, MaxDelay: 20 * time.Millisecond}
}

// outage is a change of the network and its end.
type outage struct {
	what   string
	target string // the server's address
	begin  func(t *testing.T, p *netns.Pair)
	end    func(t *testing.T, p *netns.Pair)
}

var outages = []outage{
	{"link down", netns.PeerIPv4,
		func(t *testing.T, p *netns.Pair) { p.Here.SetUp(t, netns.Device, false) },
		func(t *testing.T, p *netns.Pair) { p.Here.SetUp(t, netns.Device, true) }},
	{"route removed", far4,
		func(t *testing.T, p *netns.Pair) { p.Here.DelRoute(t, toFar4) },
		func(t *testing.T, p *netns.Pair) { p.Here.AddRoute(t, toFar4) }},
	{"address removed", netns.PeerIPv4,
		func(t *testing.T, p *netns.Pair) { p.Here.DelAddr(t, netns.Device, hereIPv4) },
		func(t *testing.T, p *netns.Pair) { p.Here.AddAddr(t, netns.Device, hereIPv4) }},
	{"address removed, another one comes", netns.PeerIPv4,
		func(t *testing.T, p *netns.Pair) { p.Here.DelAddr(t, netns.Device, hereIPv4) },
		func(t *testing.T, p *netns.Pair) { p.Here.AddAddr(t, netns.Device, otherIPv4+netns.BitsIPv4) }},
	{"carrier lost", netns.PeerIPv4, unplug, plug},
	{"all of it", far4,
		func(t *testing.T, p *netns.Pair) {
			p.Here.DelRoute(t, toFar4)
			p.Here.DelAddr(t, netns.Device, hereIPv4)
			p.Here.SetUp(t, netns.Device, false)
			p.Peer.SetUp(t, netns.Device, false)
		},
		func(t *testing.T, p *netns.Pair) {
			p.Peer.SetUp(t, netns.Device, true)
			p.Here.SetUp(t, netns.Device, true)
			p.Here.AddAddr(t, netns.Device, otherIPv4+netns.BitsIPv4)
			p.Here.AddRoute(t, toFar4)
		}},
}

// netnsWorld is a server beyond the cable and a Conn over the system's own Network.
type netnsWorld struct {
	*testing.T
	ctx    context.Context
	pair   *netns.Pair
	server *holdfasttest.Server
	url    string
	conn   *holdfast.Conn
	record *recorder
}

// inNetns runs f in a namespace with a Conn that is up, to a server at target.
func inNetns(t *testing.T, target string, f func(w *netnsWorld)) {
	netns.Run(t, func(t *testing.T) {
		w := &netnsWorld{T: t, pair: netns.NewPair(t)}
		var cancel context.CancelFunc
		w.ctx, cancel = context.WithTimeout(t.Context(), patience)
		defer cancel()
		w.pair.Peer.AddAddr(t, "lo", far4+"/32")
		w.pair.Here.AddRoute(t, toFar4)
		w.server = holdfasttest.NewServer(w.pair.Listen(t, "tcp", ":8080"))
		defer w.server.Close()
		w.url = plant(t, "ws://"+net.JoinHostPort(target, "8080")+"/stream")

		o := failureOptions()
		o.Retry = netnsRetries()
		w.record = record(t, o)
		var err error
		w.conn, err = holdfast.Dial(w.ctx, w.url, o)
		require.NoError(t, err)
		defer w.conn.CloseNow()
		f(w)
		w.record.hidesSecrets(w.conn.Stats().LastError)
	})
}

// alwaysOnline is the Network of a client that knows nothing of being offline.
type alwaysOnline struct{}

func (alwaysOnline) Check(context.Context, string) holdfast.Reachability {
	return holdfast.ReachUnknown
}
func (alwaysOnline) Changes(context.Context) <-chan struct{} { return nil }

// outlastRetries returns when a client with as many retries, which takes being
// offline for a failure, has used them all up.
func (w *netnsWorld) outlastRetries() {
	w.Helper()
	o := failureOptions()
	o.Retry, o.Network, o.HandshakeTimeout = netnsRetries(), alwaysOnline{}, short
	_, err := holdfast.Dial(w.ctx, w.url, o)
	require.ErrorIs(w, err, holdfast.ErrRetriesExhausted)
}

// works sends a message there and back on the present link.
func (w *netnsWorld) works() {
	w.Helper()
	require.NoError(w, w.conn.SendSync(w.ctx, holdfast.Text, []byte("still here")))
	m, err := w.conn.Receive(w.ctx)
	require.NoError(w, err)
	assert.Equal(w, "still here", string(m.Data))
	assert.Equal(w, w.conn.Stats().Epoch, m.Epoch)
}

// signals notes when the system told of changes, until stop.
func signals(ctx context.Context) (stop func() []time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	changes := netwatch.System().Changes(ctx)
	var times []time.Time
	var wg sync.WaitGroup
	wg.Go(func() {
		for range changes {
			times = append(times, time.Now())
		}
	})
	return func() []time.Time {
		cancel()
		wg.Wait()
		return times
	}
}

func TestPromise05NetnsOfflineCostsNothing(t *testing.T) {
	for _, x := range outages {
		t.Run(x.what, func(t *testing.T) {
			t.Parallel() // each has a namespace of its own
			inNetns(t, x.target, x.check)
		})
	}
}

func (x outage) check(w *netnsWorld) {
	w.works()
	before := w.conn.Stats()
	began := time.Now()
	x.begin(w.T, w.pair)
	went := w.record.await(holdfast.EventOffline, 1)
	require.Equal(w, holdfast.StateOffline, w.conn.State())
	require.Len(w, w.record.of(holdfast.EventDisconnected), 1)

	w.pair.Here.AddAddr(w.T, "lo", "192.0.2.1/32") // a change that helps nobody
	w.outlastRetries()
	stats := w.conn.Stats()
	assert.Equal(w, holdfast.StateOffline, stats.State)
	assert.Equal(w, before.Attempts, stats.Attempts, "a dial was made while offline")
	assert.Zero(w, stats.ConsecutiveFailures)
	assert.Empty(w, w.record.decided())
	require.NoError(w, w.conn.Send(w.ctx, holdfast.Text, []byte("sent while offline")))

	stop := signals(w.ctx)
	ended := time.Now()
	x.end(w.T, w.pair)
	online := w.record.await(holdfast.EventOnline, 1)
	dialled := w.record.await(holdfast.EventConnecting, 2)
	up := w.record.await(holdfast.EventConnected, 2)
	m, err := w.conn.Receive(w.ctx)
	require.NoError(w, err)
	assert.Equal(w, "sent while offline", string(m.Data))
	w.works()
	assert.Equal(w, 1, dialled.Attempt)
	assert.Len(w, w.record.of(holdfast.EventOffline), 1)
	assert.Len(w, w.record.of(holdfast.EventOnline), 1)

	told := ended
	for _, at := range stop() {
		if !at.After(dialled.Time) {
			told = at
		}
	}
	w.Logf("offline %v after the change; back: the system tells %v after the change, redial %v after that (%v after EventOnline), up %v after the change, attempts %d",
		went.Time.Sub(began).Round(time.Microsecond), told.Sub(ended).Round(time.Microsecond), dialled.Time.Sub(told).Round(time.Microsecond),
		dialled.Time.Sub(online.Time).Round(time.Microsecond), up.Time.Sub(ended).Round(time.Microsecond), w.conn.Stats().Attempts-before.Attempts)
}

// One Conn goes through all of them in turn, and none is held against it.
func TestPromise05NetnsOutagesInTurn(t *testing.T) {
	inNetns(t, far4, func(w *netnsWorld) {
		for i, x := range []outage{outages[1], outages[4], outages[1]} {
			x.begin(w.T, w.pair)
			w.record.await(holdfast.EventOffline, i+1)
			assert.Zero(w, w.conn.Stats().ConsecutiveFailures)
			x.end(w.T, w.pair)
			w.record.await(holdfast.EventConnected, i+2)
			w.record.await(holdfast.EventGap, i+1)
			w.works()
		}
	})
}

// The link's local address is gone, and the way is there all the same: redial
// at once, without being offline.
func TestPromise05NetnsAddressSwapped(t *testing.T) {
	inNetns(t, netns.PeerIPv4, func(w *netnsWorld) {
		require.NoError(w, w.server.WaitPeers(w.ctx, 1))
		old := w.server.Peers()[0]
		began := time.Now()
		w.pair.Here.DelAddr(w.T, netns.Device, hereIPv4)
		w.pair.Here.AddAddr(w.T, netns.Device, otherIPv4+netns.BitsIPv4)
		lost := w.record.await(holdfast.EventDisconnected, 1)
		assert.ErrorContains(w, lost.Err, "local address is gone")
		assert.Equal(w, holdfast.StateConnecting, lost.State)
		up := w.record.await(holdfast.EventConnected, 2)
		w.works()
		assert.Empty(w, w.record.of(holdfast.EventWaiting))
		assert.Empty(w, w.record.of(holdfast.EventOffline))
		assert.Empty(w, w.record.decided(), "a change of the network is no failure")
		assert.Zero(w, w.conn.Stats().ConsecutiveFailures)

		var from []string
		for _, p := range w.server.Peers() {
			if p != old {
				addr, err := netip.ParseAddrPort(p.RemoteAddr().String())
				require.NoError(w, err)
				from = append(from, addr.Addr().Unmap().String())
			}
		}
		assert.Equal(w, []string{otherIPv4}, from)
		w.Logf("link dropped %v after the change, up again after %v", lost.Time.Sub(began).Round(time.Microsecond), up.Time.Sub(began).Round(time.Microsecond))
	})
}

// A change that does the link no harm leaves it alone.
func TestPromise05NetnsOtherChangesAreHarmless(t *testing.T) {
	inNetns(t, netns.PeerIPv4, func(w *netnsWorld) {
		w.pair.Here.DelRoute(w.T, toFar4)
		w.record.await(holdfast.EventNetworkChanged, 1)
		w.pair.Here.AddAddr(w.T, "lo", "192.0.2.1/32")
		w.record.await(holdfast.EventNetworkChanged, 2)
		w.works()
		assert.Empty(w, w.record.of(holdfast.EventDisconnected))
		assert.Empty(w, w.record.of(holdfast.EventOffline))
		assert.Equal(w, uint64(1), w.conn.Stats().Attempts)
	})
}

// Dial waits for the network too, until its context ends.
func TestPromise05NetnsDialWaits(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		farServer(t, p)
		dial := func(ctx context.Context, onOffline func()) error {
			o := failureOptions() // NoRetry
			r := record(t, o)
			inner := o.OnEvent
			o.OnEvent = func(e holdfast.Event) {
				inner(e)
				if e.Kind == holdfast.EventOffline {
					onOffline()
				}
			}
			c, err := holdfast.Dial(ctx, plant(t, farURL), o)
			if err == nil {
				err = c.Close()
			}
			r.hidesSecrets(err)
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ending, end := context.WithCancel(ctx)
		err := dial(ending, end)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, holdfast.ErrRetriesExhausted)

		var once sync.Once
		require.NoError(t, dial(ctx, func() { once.Do(func() { p.Here.AddRoute(t, toFar4) }) }))
	})
}

// Loopback, and what a dialer of the program's own reaches, is never offline.
func TestPromise05NetnsNeverOffline(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		s := holdfasttest.NewServer(listen(t)) // no link is up but the loopback one
		defer s.Close()
		c, err := holdfast.Dial(ctx, s.URL(), failureOptions())
		require.NoError(t, err)
		require.NoError(t, c.Close())

		o := failureOptions()
		o.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.URL()[len("ws://"):len(s.URL())-1])
		}
		c, err = holdfast.Dial(ctx, farURL, o)
		require.NoError(t, err, "there is no route, but the dialer needs none")
		require.NoError(t, c.Close())

		o.DialContext = (&net.Dialer{}).DialContext
		r := record(t, o)
		_, err = holdfast.Dial(ctx, farURL, o)
		require.ErrorIs(t, err, holdfast.ErrRetriesExhausted)
		r.await(holdfast.EventClosed, 1)
		assert.Empty(t, r.of(holdfast.EventOffline))
	})
}

// Behind a proxy it is the proxy to which there must be a way.
func TestPromise05NetnsTheProxyIsTheTarget(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		p := netns.NewPair(t)
		o := failureOptions()
		o.Proxy = proxyAt("http", deafPort(t))
		var de *holdfast.DialError
		_, err := holdfast.Dial(ctx, farURL, o)
		require.ErrorAs(t, err, &de)
		assert.Equal(t, holdfast.ClassProxyDown, de.Class, "no route to the server is the proxy's matter")

		p.Peer.AddAddr(t, "lo", far4+"/32") // where nothing listens
		o.Proxy = proxyAt("http", far4+":3128")
		o.Background = true
		r := record(t, o)
		c, err := holdfast.Dial(ctx, plant(t, "ws://"+netns.PeerIPv4+serverPort), o)
		require.NoError(t, err)
		defer c.CloseNow()
		r.await(holdfast.EventOffline, 1)
		assert.Zero(t, c.Stats().Attempts)
		p.Here.AddRoute(t, toFar4)
		r.await(holdfast.EventOnline, 1)
		r.hidesSecrets(r.await(holdfast.EventClosed, 1).Err)
		assert.Equal(t, uint64(1), c.Stats().Attempts)
	})
}
