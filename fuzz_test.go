package holdfast

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkOptionError asserts that err is nil or an *OptionError of these fields, and
// that no text of it has the secret.
func checkOptionError(t *testing.T, err error, secret string, fields ...string) {
	t.Helper()
	if err == nil {
		return
	}
	oe, ok := err.(*OptionError)
	require.True(t, ok, "%T: %v", err, err)
	if len(fields) > 0 {
		assert.Contains(t, fields, oe.Field)
	}
	require.Error(t, oe.Err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		assert.NotContains(t, strings.ToLower(e.Error()), secret)
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, raw := range []string{
		"wss://a.test/stream", "ws://user:SECRET@localhost:80/?token=SECRET", "wss://SECRET@a.test/?SECRET", "http://u:SECRET@a.test", "",
		"wss://a.test/#SECRET", "ws:SECRET", "wss://u:SECRET@[::1", "wss://u:SECRET@a.test/%zz", "//u:SECRET@a.test", "://u:SECRET@", "wss://a.test:99999?k=SECRET",
		"/wss://u:SECRET@a.test", "wss:///u:SECRET@a.test", "ws://u:SECRET@a.test?x;y=SECRET&&=", "ws://[fe80::1%25SECRET]/", "wss://u:SECRET@a\x7f", "\xff://u:SECRET@a",
	} {
		for _, flags := range []uint8{0, 1, 2, 4, 7} {
			f.Add(raw, flags)
		}
	}
	f.Fuzz(func(t *testing.T, raw string, flags uint8) {
		const planted = "zq9secret9qz"
		raw = strings.ReplaceAll(raw, "SECRET", planted)
		o := &Options{AllowInsecureCredentials: flags&1 != 0}
		if flags&2 != 0 {
			o.Fallback = []Transport{named("none")}
		}
		if flags&4 != 0 {
			o.Header = http.Header{"Authorization": {"Bearer " + planted}}
		}
		o = o.withDefaults()
		ep, err := o.parseEndpoint("url", raw)
		if err != nil {
			assert.Nil(t, ep)
			if !shows(raw, planted) {
				checkOptionError(t, err, planted, "url", "Fallback")
			} else {
				checkOptionError(t, err, "\x00", "url", "Fallback")
			}
			return
		}
		require.NotNil(t, ep)
		assert.Nil(t, ep.url.User)
		assert.NotEmpty(t, ep.url.Hostname())
		assert.Contains(t, []string{"ws", "wss", "http", "https"}, ep.url.Scheme)
		assert.Empty(t, ep.url.Fragment)
		if !shows(raw, planted) {
			assert.NotContains(t, strings.ToLower(ep.name), planted)
		}
		if !strings.Contains(ep.url.Host, "%") { // net/url writes zones that it does not read
			named, err := url.Parse(ep.name)
			require.NoError(t, err, "its name is a URL: %q", ep.name)
			assert.Equal(t, ep.url.Host, named.Host)
		}
		if (ep.url.Scheme == "ws" || ep.url.Scheme == "http") && !isLoopback(ep.url.Hostname()) && !o.AllowInsecureCredentials {
			assert.Empty(t, ep.header.Get("Authorization"))
		}
		assert.NotPanics(t, func() { hostPort(ep.url) })
	})
}

// shows says that the planted secret stands where it is no secret: in the scheme,
// the host, the path or the name of a query value. What does not parse may show nothing.
func shows(raw, planted string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	public := u.Scheme + " " + u.Host + " " + u.Path + " " + u.RawPath
	for _, part := range strings.Split(u.RawQuery, "&") {
		if key, _, ok := strings.Cut(part, "="); ok {
			public += " " + key
		}
	}
	return strings.Contains(strings.ToLower(public), planted)
}

func FuzzOptions(f *testing.F) {
	f.Add(int64(0), 0, 0, 0, "X-Name", "value", "", "")
	f.Add(int64(-1), -1, -1, -1, "authorization", "Bearer SECRET\n", "h", "p")
	f.Add(int64(1), -2, 1, 1, "Cookie", "SECRET\x00", "a b", "a,b")
	f.Add(int64(1<<62), -3, 3, 2, "Host", "SECRET", "[::1]:80", "graphql-ws")
	f.Add(int64(-1<<63), 1<<30, 1, 1, "Sec-WebSocket-Key", "SECRET", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, n int64, retries, enum, other int, name, value, host, protocol string) {
		const planted = "zq9secret9qz"
		d := time.Duration(n)
		o := &Options{
			Header: http.Header{name: {strings.ReplaceAll(value, "SECRET", planted)}}, Host: host, Subprotocols: []string{protocol},
			HandshakeTimeout: d, WriteTimeout: d >> 1, CloseTimeout: d >> 2,
			Retry:      RetryPolicy{MaxRetries: retries, InitialDelay: d >> (uint(other) & 63), MaxDelay: d, StableAfter: d},
			Keepalive:  Keepalive{Interval: d, Timeout: d},
			SendBuffer: SendBuffer{MaxBytes: int(n), MaxMessages: other, MaxAge: d, WhenFull: WhenFull(enum)},
			Delivery:   Delivery(other), Session: SessionMode(enum), ReceiveBuffer: other, MaxMessageSize: n,
		}
		if protocol == "" {
			o.Subprotocols = nil
		}
		got := o.withDefaults()
		err := got.validate()
		if strings.Contains(strings.ToLower(name+host+protocol), planted) {
			return
		}
		checkOptionError(t, err, planted)
		_, err = got.endpoints("wss://u:" + planted + "@a.test/?k=" + planted)
		checkOptionError(t, err, planted, "url")
		for _, typ := range []MessageType{Text, Binary, MessageType(enum)} {
			if err := got.validateMessage(typ, []byte(value)); typ == Text && utf8.ValidString(value) && int64(len(value)) <= got.MaxMessageSize {
				assert.NoError(t, err)
			}
		}
		checkOptionError(t, validateClose(StatusCode(other), value), planted, "code", "reason")
		if got.validate() != nil {
			return
		}
		r := newRetry(got.Retry, nil)
		for range 20 {
			delay, ok := r.next(Decision(enum&3), 0)
			if !ok {
				break
			}
			assert.True(t, 0 <= delay && delay <= got.Retry.MaxDelay, "%v", delay)
		}
	})
}
