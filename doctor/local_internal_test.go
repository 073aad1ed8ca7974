package doctor

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProxySource(t *testing.T) {
	for _, c := range []struct {
		target string
		env    map[string]string
		used   bool
		want   string
	}{
		{"https://example.com/", nil, false, ""},
		{"https://example.com/", map[string]string{"HTTP_PROXY": "http://p:1"}, false, ""},
		{"https://example.com/", map[string]string{"HTTPS_PROXY": "http://p:1"}, true, "HTTPS_PROXY"},
		{"https://example.com/", map[string]string{"https_proxy": "http://p:1"}, true, "https_proxy"},
		{"http://example.com/", map[string]string{"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:1"}, true, "HTTP_PROXY"},
		{"http://example.com/", map[string]string{"HTTP_PROXY": "http://p:1"}, false, "NO_PROXY"},
		{"http://127.0.0.1/", map[string]string{"HTTP_PROXY": "http://p:1"}, false, "HTTP_PROXY"}, // never asked for that
	} {
		u, err := url.Parse(c.target)
		require.NoError(t, err)
		assert.Equal(t, c.want, proxySource(func(k string) string { return c.env[k] }, u, c.used), "%v", c)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	s := &secrets{}
	u, err := url.Parse("ws://user:pass%20word@h/?token=a%2Bbcd&x=1")
	require.NoError(t, err)
	s.ofURL(u)
	s.ofHeader(http.Header{"Authorization": {"Bearer tooth"}, "Cookie": {"a=biscuit; b=12"}, "X-Key": {"long-enough"}, "X-Short": {"short"}})
	assert.Equal(t, "redacted, redacted, redacted, redacted, redacted, redacted, short, 1", s.hide("user, pass word, a+bcd, tooth, biscuit, long-enough, short, 1"))
	assert.Equal(t, "a?[31mb", s.show("a\x1b[31mb"))
	assert.LessOrEqual(t, len(s.show(string(make([]byte, 10_000)))), maxText+len("…"))
	assert.Equal(t, "connection refused by 10.0.0.1:53", exchanged.ReplaceAllString("read udp 10.0.0.2:4->10.0.0.1:53: read: connection refused", "$2 by $1"))
	assert.Equal(t, "bad", briefly(errors.New("tls: failed to verify certificate: bad")))
}

func TestHeadersThatTell(t *testing.T) {
	s := &secrets{}
	h := http.Header{"Set-Cookie": {"a=b"}, "Www-Authenticate": {"Basic"}, "Server": {"nginx"}, "Location": {"http://u:p@h/?a=b"}, "Via": {"1.1 a", "1.0 b"}, "Cf-Ray": {"x"}}
	assert.Equal(t, map[string]string{"Server": "nginx", "Location": "http://h/?a=redacted", "Via": "1.1 a, 1.0 b", "Cf-Ray": "x"}, s.headers(h))
	assert.Equal(t, []string{"Via 1.1 a, 1.0 b", "Cloudflare (Cf-Ray)"}, s.intermediaries(h))
	assert.Nil(t, s.headers(nil))
}
