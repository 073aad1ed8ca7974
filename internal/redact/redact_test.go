package redact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/redact"
)

func TestString(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"wss://example.com/a/b", "wss://example.com/a/b"},
		{"wss://example.com:8443", "wss://example.com:8443"},
		{"wss://u:p@example.com/a?token=s3&x=1#frag", "wss://example.com/a?token=redacted&x=redacted"},
		{"wss://u@example.com/", "wss://example.com/"},
		{"ws://h/?s3cret", "ws://h/?redacted"},
		{"ws://h/?a=&b", "ws://h/?a=redacted&redacted"},
		{"ws://h/?a=1;b=2", "ws://h/?a=redacted"},
		{"ws://h/?a=b=c&&", "ws://h/?a=redacted&&"},
		{"ws://h/a%2Fb", "ws://h/a%2Fb"},
		{"ws://[::1]:80/x", "ws://[::1]:80/x"},
		{"/chat?token=x", "/chat?token=redacted"},
		{"//u:p@h/x", "//h/x"},
		{"user:pass@host", "redacted"},
		{"pass@host/x", "redacted"},
		{"http:///u:p@h", "http:redacted"},
		{"ws://u:p/q@h", "redacted"},
		{"ws://h/%zz?token=x", "redacted"},
		{"ws://h\x00/?token=x", "redacted"},
		{"", "redacted"},
		{"ws://u:1/p@h/x?k=1", "ws://u:1/redacted?k=redacted"},
		{"/://u:p@h", "/redacted"},
		{"?u:p@h/x=1", "redacted"},
		{"ws://h?u:p@h/x=1", "ws://h?redacted"},
	} {
		assert.Equal(t, tt.want, redact.String(tt.in), "%q", tt.in)
	}
	assert.Empty(t, redact.URL(nil))
}

// chain lists the text of err and of all that it wraps.
func chain(err error) []string {
	texts := []string{err.Error()}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if e := x.Unwrap(); e != nil {
			texts = append(texts, chain(e)...)
		}
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			texts = append(texts, chain(e)...)
		}
	}
	return texts
}

func TestError(t *testing.T) {
	assert.NoError(t, redact.Error(nil))

	op := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	assert.Same(t, op, redact.Error(op), "an error without secrets is kept")

	ue := &url.Error{Op: "Get", URL: "https://u:SECRET@h/p?token=SECRET", Err: op}
	err := redact.Error(fmt.Errorf("dial %s: %w", ue.URL, fmt.Errorf("inner: %w", ue)))
	assert.Equal(t, "dial https://h/p?token=redacted: inner: dial tcp: connection refused", err.Error())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	var got *net.OpError
	require.ErrorAs(t, err, &got)
	assert.Same(t, op, got)
	var left *url.Error
	assert.NotErrorAs(t, err, &left)

	joined := redact.Error(errors.Join(context.Canceled, ue, io.EOF))
	require.ErrorIs(t, joined, context.Canceled)
	require.ErrorIs(t, joined, io.EOF)
	require.ErrorIs(t, joined, syscall.ECONNREFUSED)

	sentinel := errors.New("no way to ws://h/?token=SECRET")
	rewritten := redact.Error(fmt.Errorf("x: %w", sentinel))
	require.ErrorIs(t, rewritten, sentinel)
	assert.Equal(t, "x: no way to ws://h/?token=redacted", rewritten.Error())

	_, parse := url.Parse("ws://user:SECRET/x@h")
	require.Error(t, parse)
	for _, e := range []error{err, joined, rewritten, redact.Error(parse), redact.Error(fmt.Errorf("bad: %w", parse))} {
		for _, s := range chain(e) {
			assert.NotContains(t, s, "SECRET")
		}
	}
}

func TestErrorFromHTTPClient(t *testing.T) {
	cause := errors.New("refused here")
	c := http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, cause })}
	_, err := c.Get("http://u:SECRET@localhost/?token=SECRET")
	require.ErrorContains(t, err, "SECRET")
	err = redact.Error(err)
	require.ErrorIs(t, err, cause)
	assert.Equal(t, "refused here", err.Error())
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzRedact(f *testing.F) {
	f.Add("wss", "example.com", "/chat", "token", "a&b=c")
	f.Add("http", "[::1]:80", "/a%2Fb", "", "x#y")
	f.Add("", "h", "", "k;", "%zz\x00 @:/?")
	f.Fuzz(func(t *testing.T, scheme, host, path, key, noise string) {
		const secret = "S3CR3TS3CR3T"
		for _, s := range []string{scheme, host, path, key} {
			if strings.Contains(s, "S3CR3T") {
				t.Skip()
			}
		}
		value := noise + secret + noise
		built := url.URL{Scheme: scheme, Host: host, Path: path, User: url.UserPassword(value, value),
			RawQuery: url.QueryEscape(key) + "=" + url.QueryEscape(value), Fragment: value}
		require.NotContains(t, redact.URL(&built), secret)
		raws := []string{
			built.String(),
			"ws://user:" + secret + "@" + host + path,
			"ws://h/?" + key + "=" + secret + noise,
			secret + "@" + host + path,
			"user:" + secret + "@" + host,
		}
		for i, raw := range raws {
			if i == 1 && strings.ContainsAny(host, "/?#") || i == 4 && strings.ContainsAny(host, "/?#") || i == 3 && strings.HasPrefix(host+path, "/") {
				continue
			}
			require.NotContains(t, redact.String(raw), secret, "%q", raw)
			err := &url.Error{Op: "Get", URL: raw, Err: io.EOF}
			for _, s := range chain(redact.Error(fmt.Errorf("outer: %w", err))) {
				require.NotContains(t, s, secret)
			}
			if _, err := url.Parse(raw); err != nil {
				for _, s := range chain(redact.Error(fmt.Errorf("outer: %w", err))) {
					require.NotContains(t, s, secret)
				}
			}
		}
	})
}

func TestErrorWithOddQueries(t *testing.T) {
	for _, s := range []string{"Get https://h/p?token=ab'SECRET: x", "https://h/p?token=ab<SECRET", "fetch https://u:p\"SECRET@h/"} {
		assert.NotContains(t, redact.Error(errors.New(s)).Error(), "SECRET")
	}
}
