package holdfast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

const secret = "hunter2hunter2"

// dial is Dial with arguments that must be refused before anything is dialled.
func dial(t *testing.T, rawURL string, o *Options) error {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	o.DialContext = offlineDialer
	o.Network = nowhere{}
	o.Background = true
	c, err := Dial(t.Context(), rawURL, o)
	if err == nil {
		assert.NoError(t, c.CloseNow())
		<-c.Done()
	}
	return err
}

func requireField(t *testing.T, err error, field string) {
	t.Helper()
	require.Error(t, err)
	oe, ok := err.(*OptionError)
	require.True(t, ok, "%T: %v", err, err)
	assert.Equal(t, field, regexp.MustCompile(`\[\d+\]$`).ReplaceAllString(oe.Field, ""), "%v", err)
	require.Error(t, oe.Err)
	assert.NotContains(t, err.Error(), secret)
	for e := err; e != nil; e = errors.Unwrap(e) {
		assert.NotContains(t, e.Error(), secret)
	}
}

// named is a transport that dials nothing.
type named string

func (n named) Name() string { return string(n) }
func (named) Dial(context.Context, *transport.Request) (transport.Link, error) {
	return nil, &transport.Error{Err: errors.New("no transport in this test")}
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		field string
		set   func(o *Options)
	}{
		{"HandshakeTimeout", func(o *Options) { o.HandshakeTimeout = -1 }},
		{"WriteTimeout", func(o *Options) { o.WriteTimeout = math.MinInt64 }},
		{"CloseTimeout", func(o *Options) { o.CloseTimeout = -time.Second }},
		{"Keepalive.Timeout", func(o *Options) { o.Keepalive.Timeout = -1 }},
		{"Retry.InitialDelay", func(o *Options) { o.Retry.InitialDelay = -1 }},
		{"Retry.InitialDelay", func(o *Options) { o.Retry.InitialDelay, o.Retry.MaxDelay = 2, 1 }},
		{"Retry.MaxDelay", func(o *Options) { o.Retry.MaxDelay = -1 }},
		{"Retry.MaxDelay", func(o *Options) { o.Retry.InitialDelay, o.Retry.MaxDelay = 1, -1 }},
		{"Retry.StableAfter", func(o *Options) { o.Retry.StableAfter = -1 }},
		{"Retry.MaxRetries", func(o *Options) { o.Retry.MaxRetries = -3 }},
		{"Retry.MaxRetries", func(o *Options) { o.Retry.MaxRetries = math.MinInt }},
		{"SendBuffer.MaxBytes", func(o *Options) { o.SendBuffer.MaxBytes = -1 }},
		{"SendBuffer.MaxMessages", func(o *Options) { o.SendBuffer.MaxMessages = math.MinInt }},
		{"SendBuffer.MaxAge", func(o *Options) { o.SendBuffer.MaxAge = -1 }},
		{"SendBuffer.WhenFull", func(o *Options) { o.SendBuffer.WhenFull = -1 }},
		{"SendBuffer.WhenFull", func(o *Options) { o.SendBuffer.WhenFull = 3 }},
		{"ReceiveBuffer", func(o *Options) { o.ReceiveBuffer = -1 }},
		{"MaxMessageSize", func(o *Options) { o.MaxMessageSize = -1 }},
		{"Delivery", func(o *Options) { o.Delivery = 2 }},
		{"Delivery", func(o *Options) { o.Delivery = -1 }},
		{"Session", func(o *Options) { o.Session = 3 }},
		{"Session", func(o *Options) { o.Session = -1 }},
		{"Fallback", func(o *Options) { o.Fallback = []Transport{nil} }},
		{"Header", func(o *Options) { o.Header = http.Header{"": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Bad Name": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Bad\r\nName": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Näme": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Authorization": {"ok", "Bearer " + secret + "\r\nX: y"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Cookie": {"s=" + secret + "\x00"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Host": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"upgrade": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Connection": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"sec-websocket-key": {"x"}} }},
		{"Header", func(o *Options) { o.Header = http.Header{"Sec-WebSocket-Protocol": nil} }},
		{"Host", func(o *Options) { o.Host = "a\r\nX: y" }},
		{"Host", func(o *Options) { o.Host = "a b" }},
		{"Subprotocols", func(o *Options) { o.Subprotocols = []string{""} }},
		{"Subprotocols", func(o *Options) { o.Subprotocols = []string{"a, b"} }},
		{"Subprotocols", func(o *Options) { o.Subprotocols = []string{"a", "b", "a"} }},
		{"Endpoints", func(o *Options) { o.Endpoints = []string{"wss://b.test", ""} }},
		{"Endpoints", func(o *Options) { o.Endpoints = []string{"https://b.test"} }},
	} {
		t.Run(c.field, func(t *testing.T) {
			o := &Options{}
			c.set(o)
			requireField(t, dial(t, "wss://user:"+secret+"@a.test/?k="+secret, o), c.field)
		})
	}
}

func TestGoodOptions(t *testing.T) {
	for name, o := range map[string]*Options{
		"none":              nil,
		"no keepalive":      {Keepalive: Keepalive{Interval: math.MinInt64}},
		"no retry":          {Retry: RetryPolicy{MaxRetries: NoRetry}},
		"every retry":       {Retry: RetryPolicy{MaxRetries: Unlimited}},
		"small":             {SendBuffer: SendBuffer{MaxBytes: 1, MaxMessages: 1, MaxAge: 1}, ReceiveBuffer: 1, MaxMessageSize: 1},
		"large":             {SendBuffer: SendBuffer{MaxBytes: math.MaxInt, MaxMessages: math.MaxInt, MaxAge: math.MaxInt64}, ReceiveBuffer: math.MaxInt, MaxMessageSize: math.MaxInt64},
		"long":              {HandshakeTimeout: math.MaxInt64, WriteTimeout: math.MaxInt64, CloseTimeout: math.MaxInt64},
		"headers":           {Header: http.Header{"X-Empty": {""}, "x-lower": {"a", "b"}, "X-None": nil, "Authorization": {"Bearer " + secret}}},
		"host":              {Host: "other.test:8443"},
		"subprotocols":      {Subprotocols: []string{"graphql-transport-ws", "v10.stomp", "V10.STOMP"}},
		"several endpoints": {Endpoints: []string{"wss://b.test", "ws://c.test:80/x?y=z"}},
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, dial(t, "wss://a.test", o)) })
	}
}

func TestLongPollingNeedsSessions(t *testing.T) {
	err := dial(t, "wss://a.test", &Options{Session: SessionOff, Fallback: []Transport{named("longpoll")}})
	requireField(t, err, "Session")
	require.NoError(t, dial(t, "wss://a.test", &Options{Session: SessionOff, Fallback: []Transport{named("plainpoll")}}))
	require.NoError(t, dial(t, "wss://a.test", &Options{Session: SessionRequire}))
	require.NoError(t, dial(t, "https://a.test", &Options{Fallback: []Transport{named("longpoll")}}))
}

func TestBadURLs(t *testing.T) {
	for _, raw := range []string{
		"", " ", "a.test", "/path", "//a.test/path", "a.test:80/path", "://a.test", "ws//a.test", "ws:a.test", "ws:", "ws:/a.test", "ws://",
		"ws:///path", "ws://:80", "ws://?query", "ftp://a.test", "http://a.test", "https://a.test", "file:///etc/passwd", "javascript:alert(1)",
		"ws://a.test:0", "ws://a.test:65536", "ws://a.test:99999999999999999999", "ws://a.test:-1", "ws://a.test:http", "ws://[::1", "ws://[zz]",
		"ws://a test/", "ws://a.test/%zz", "ws://a.test\x00", "ws://a.test\n", "wss://%41%zz", "ws://a.test/#", "ws://a.test/#fragment", "wss://a.test/?q#",
		"ws://user:" + secret + "@", "wss://user:" + secret + "@a.test:99999", "wss://user:" + secret + "@a.test/?k=" + secret + "#" + secret,
		"https://user:" + secret + "@a.test/?k=" + secret, "wss://user:" + secret + "@a.test/%zz?k=" + secret, "x://user:" + secret + "@a.test?" + secret,
		"user:" + secret + "@a.test", "//user:" + secret + "@a.test/", "wss://user:" + secret + "@[::1/", " wss://user:" + secret + "@a.test",
	} {
		t.Run(raw, func(t *testing.T) {
			requireField(t, dial(t, raw, nil), "url")
			requireField(t, dial(t, "wss://a.test", &Options{Endpoints: []string{raw}}), "Endpoints")
		})
	}
}

func TestGoodURLs(t *testing.T) {
	for _, raw := range []string{
		"ws://a.test", "wss://a.test", "WSS://A.TEST/Path?Query=1", "ws://127.0.0.1:65535/", "ws://[::1]:1/x", "ws://[fe80::1%25eth0]/", "wss://a.test:/",
		"wss://user@a.test/", "wss://user:@a.test/", "wss://us%40er:p%3Aw@a.test/", "ws://user:" + secret + "@localhost/", "wss://a.test/?", "wss://a.test/a%20b?c=%23",
	} {
		require.NoError(t, dial(t, raw, nil), raw)
	}
}

func TestUserInfoAndAuthorizationExcludeEachOther(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization"} {
		t.Run(name, func(t *testing.T) {
			requireField(t, dial(t, "wss://user:"+secret+"@a.test", &Options{Header: http.Header{name: {"Bearer " + secret}}}), "url")
		})
	}
}

func TestCredentialsNeedTLS(t *testing.T) {
	refused := func(t *testing.T, raw string, header http.Header) {
		t.Helper()
		err := dial(t, raw, &Options{Header: header})
		requireField(t, err, "url")
		require.ErrorIs(t, err, ErrInsecureCredentials)
		err = dial(t, "wss://ok.test", &Options{Header: header, Endpoints: []string{raw}})
		requireField(t, err, "Endpoints")
		require.ErrorIs(t, err, ErrInsecureCredentials)
		require.NoError(t, dial(t, raw, &Options{Header: header, AllowInsecureCredentials: true}))
	}
	for name, header := range map[string]http.Header{
		"Authorization":       {"Authorization": {"Bearer " + secret}},
		"Proxy-Authorization": {"Proxy-Authorization": {"Basic " + secret}},
		"Cookie":              {"Cookie": {"session=" + secret}},
		"in lower case":       {"authorization": {"Bearer " + secret}},
		"in odd case":         {"cOOKIE": {"session=" + secret}},
		"second value":        {"Authorization": {"", "Bearer " + secret}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []string{"a.test", "192.0.2.1", "[2001:db8::1]:8080", "localhost.example.com", "127.0.0.1.nip.io", "0.0.0.0"} {
				refused(t, "ws://"+host+"/", header)
			}
			for _, host := range []string{"localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::ffff:127.0.0.1]"} {
				require.NoError(t, dial(t, "ws://"+host+"/", &Options{Header: header.Clone()}), host)
			}
			require.NoError(t, dial(t, "wss://a.test", &Options{Header: header.Clone()}))
		})
	}
	t.Run("user-info", func(t *testing.T) { refused(t, "ws://user:"+secret+"@a.test/", nil) })
	require.NoError(t, dial(t, "ws://a.test", &Options{Header: http.Header{"X-Api-Version": {"1"}}}))
}

func TestDialWithoutContext(t *testing.T) {
	var none context.Context
	_, err := Dial(none, "wss://a.test", nil)
	requireField(t, err, "ctx")
}

func TestBadMessages(t *testing.T) {
	o := (&Options{MaxMessageSize: 4}).withDefaults()
	for _, typ := range []MessageType{0, 3, 8, 9, 10, -1, math.MaxInt} {
		requireField(t, o.validateMessage(typ, nil), "typ")
	}
	for _, bad := range []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"} {
		requireField(t, o.validateMessage(Text, []byte(bad)), "data")
		require.NoError(t, o.validateMessage(Binary, []byte(bad)))
	}
	for _, typ := range []MessageType{Text, Binary} {
		require.NoError(t, o.validateMessage(typ, nil))
		require.NoError(t, o.validateMessage(typ, []byte("four")))
		err := o.validateMessage(typ, []byte(secret))
		require.ErrorIs(t, err, ErrMessageTooBig)
		assert.NotContains(t, err.Error(), secret)
		assert.Contains(t, err.Error(), "14 bytes")
	}
	err := o.validateMessage(Text, bytes.Repeat([]byte("\xff"), 5))
	require.ErrorIs(t, err, ErrMessageTooBig, "its size is looked at first")
}

func TestCloseWithBadArguments(t *testing.T) {
	c, err := Dial(t.Context(), "wss://a.test", &Options{Background: true, DialContext: offlineDialer, Network: nowhere{}})
	require.NoError(t, err)
	for _, code := range []StatusCode{0, -1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, math.MaxInt} {
		requireField(t, c.CloseWith(t.Context(), code, ""), "code")
	}
	requireField(t, c.CloseWith(t.Context(), 1000, strings.Repeat("x", 124)), "reason")
	requireField(t, c.CloseWith(t.Context(), 1000, "\xff"), "reason")
	require.NoError(t, c.Send(t.Context(), Text, nil), "and nothing was closed")
	var unsent *UnsentError
	require.ErrorAs(t, c.CloseWith(t.Context(), 4000, "bye"), &unsent)
	assert.Equal(t, 1, unsent.Messages)
	<-c.Done()
}

func TestOptionErrorsHelp(t *testing.T) {
	for raw, hint := range map[string]string{
		"a.test/path":   "write ws://host:port/path or wss://host/path",
		"https://a":     "Options.Fallback",
		"ftp://a":       "ws or wss",
		"wss://a:70000": "1 to 65535",
		"wss://a/#x":    "RFC 6455",
	} {
		assert.ErrorContains(t, dial(t, raw, nil), hint)
	}
	err := dial(t, "wss://a", &Options{Retry: RetryPolicy{MaxRetries: -5}})
	assert.Equal(t, fmt.Sprintf("holdfast: Retry.MaxRetries: %d is none of a positive number, 0 for the default, Unlimited and NoRetry", -5), err.Error())
}
