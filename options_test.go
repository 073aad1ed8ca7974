package holdfast

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaults(t *testing.T) {
	for _, o := range []*Options{nil, {}} {
		d := o.withDefaults()
		assert.Equal(t, RetryPolicy{MaxRetries: 10, InitialDelay: time.Second, MaxDelay: 30 * time.Second, StableAfter: 10 * time.Second}, d.Retry)
		assert.Equal(t, Keepalive{Interval: 25 * time.Second, Timeout: 10 * time.Second}, d.Keepalive)
		assert.Equal(t, SendBuffer{MaxBytes: 8 << 20, MaxMessages: 65536}, d.SendBuffer)
		assert.Equal(t, [3]time.Duration{10 * time.Second, 10 * time.Second, 5 * time.Second},
			[3]time.Duration{d.HandshakeTimeout, d.WriteTimeout, d.CloseTimeout})
		assert.Equal(t, 4<<20, d.ReceiveBuffer)
		assert.Equal(t, int64(16<<20), d.MaxMessageSize)
		assert.NotNil(t, d.Proxy, "the environment's")
		require.NoError(t, d.validate())
	}
}

func TestDefaultsKeepWhatIsSet(t *testing.T) {
	o := &Options{
		Retry:            RetryPolicy{MaxRetries: Unlimited, InitialDelay: 1, MaxDelay: 2, StableAfter: 3},
		Keepalive:        Keepalive{Interval: -4, Timeout: 5},
		SendBuffer:       SendBuffer{MaxBytes: 6, MaxMessages: 7, MaxAge: 8, WhenFull: WhenFullFail},
		HandshakeTimeout: 9, WriteTimeout: 10, CloseTimeout: 11, ReceiveBuffer: 12, MaxMessageSize: 13,
		Delivery: AtLeastOnce, Session: SessionOff, Compression: true, Host: "h", Background: true,
	}
	d := o.withDefaults()
	assert.Equal(t, o.Retry, d.Retry)
	assert.Equal(t, o.Keepalive, d.Keepalive)
	assert.Equal(t, o.SendBuffer, d.SendBuffer)
	d.Header, d.Proxy, d.Subprotocols, d.Endpoints, d.Fallback = nil, nil, nil, nil, nil
	assert.Equal(t, o, d)
	require.NoError(t, d.validate())
}

func TestDelayDefaultsFollowEachOther(t *testing.T) {
	for _, c := range []struct{ initial, max, wantInitial, wantMax time.Duration }{
		{0, 0, time.Second, 30 * time.Second},
		{0, 100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
		{0, time.Minute, time.Second, time.Minute},
		{time.Minute, 0, time.Minute, time.Minute},
		{time.Millisecond, 0, time.Millisecond, 30 * time.Second},
	} {
		d := (&Options{Retry: RetryPolicy{InitialDelay: c.initial, MaxDelay: c.max}}).withDefaults()
		require.NoError(t, d.validate())
		assert.Equal(t, c.wantInitial, d.Retry.InitialDelay)
		assert.Equal(t, c.wantMax, d.Retry.MaxDelay)
	}
}

// offlineDialer is a DialContext that reaches nothing.
func offlineDialer(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network in this test")
}

func TestCallersOptionsAreNotChanged(t *testing.T) {
	mine := func() *Options {
		return &Options{
			Header:       http.Header{"X-Custom": {"a", "b"}},
			TLSConfig:    &tls.Config{NextProtos: []string{"mine"}},
			Subprotocols: []string{"one", "two"},
			Endpoints:    []string{"wss://user:secret@b.test/"},
			DialContext:  offlineDialer,
			Network:      nowhere{},
			Background:   true,
		}
	}
	synctest.Test(t, func(t *testing.T) {
		o := mine()
		c, err := Dial(t.Context(), "wss://user:secret@a.test/", o)
		require.NoError(t, err)
		synctest.Wait()

		// Nothing of theirs is changed, and what they change now is theirs alone.
		before, after := mine(), *o
		before.DialContext, after.DialContext = nil, nil
		assert.Equal(t, before.TLSConfig.NextProtos, after.TLSConfig.NextProtos)
		before.TLSConfig, after.TLSConfig = nil, nil
		assert.Equal(t, before, &after)
		o.Header.Set("X-Custom", "changed")
		o.Header.Set("X-New", "new")
		o.TLSConfig.NextProtos = []string{"changed"}
		o.Subprotocols[0], o.Endpoints[0] = "changed", "changed"
		assert.Equal(t, http.Header{"X-Custom": {"a", "b"}}, c.opts.Header)
		assert.Equal(t, []string{"mine"}, c.opts.TLSConfig.NextProtos)
		assert.Equal(t, []string{"one", "two"}, c.opts.Subprotocols)
		assert.Equal(t, []string{"wss://user:secret@b.test/"}, c.opts.Endpoints)
		require.NoError(t, c.CloseNow())
		<-c.Done()
	})
}

// nowhere is a Network that is offline for good.
type nowhere struct{}

func (nowhere) Check(context.Context, string) Reachability { return Unreachable }
func (nowhere) Changes(context.Context) <-chan struct{}    { return nil }

func TestEachEndpointHasItsOwnCredentials(t *testing.T) {
	o := (&Options{Header: http.Header{"X-Custom": {"a"}}, Endpoints: []string{"wss://two:2@b.test/", "wss://c.test/"}}).withDefaults()
	all, err := o.endpoints("wss://one:1@a.test/x?k=v")
	require.NoError(t, err)
	require.Len(t, all, 3)
	for i, want := range []string{"Basic b25lOjE=", "Basic dHdvOjI=", ""} {
		assert.Equal(t, want, all[i].header.Get("Authorization"))
		assert.Equal(t, "a", all[i].header.Get("X-Custom"))
		assert.Nil(t, all[i].url.User)
	}
	assert.Empty(t, o.Header.Get("Authorization"))
	assert.Equal(t, "wss://a.test/x?k=redacted", all[0].name)
	assert.Equal(t, "wss://a.test/x?k=v", all[0].url.String())
}
