package credential_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/credential"
	"github.com/holdfast-ws/holdfast/transport"
)

func post(t *testing.T, raw string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, raw, strings.NewReader("body"))
	require.NoError(t, err)
	return req
}

// run is Authorize with f.
func run(t *testing.T, raw string, f func(*http.Request)) (*http.Request, error) {
	t.Helper()
	req := post(t, raw)
	r := &transport.Request{Authorize: func(_ context.Context, req *http.Request) error {
		f(req)
		return nil
	}}
	return req, credential.Authorize(t.Context(), r, req)
}

func TestNothingToRun(t *testing.T) {
	req := post(t, "http://far.test/")
	require.NoError(t, credential.Authorize(t.Context(), &transport.Request{}, req))
	assert.NotNil(t, req.Body)
}

func TestWhatMayChange(t *testing.T) {
	req, err := run(t, "https://far.test/a", func(req *http.Request) {
		req.Header.Set("Authorization", "Bearer t")
		req.URL.Path, req.URL.RawQuery = "/b", "ticket=1"
	})
	require.NoError(t, err)
	assert.Equal(t, "https://far.test/b?ticket=1", req.URL.String())
	assert.Equal(t, "Bearer t", req.Header.Get("Authorization"))
}

func TestWhatStays(t *testing.T) {
	mine := io.NopCloser(strings.NewReader("mine"))
	req, err := run(t, "https://far.test/", func(req *http.Request) {
		assert.Nil(t, req.Body, "not Authorize's to read")
		assert.Nil(t, req.GetBody)
		req.Method, req.Body, req.ContentLength, req.Close = http.MethodPut, mine, 4, true
		req.GetBody = func() (io.ReadCloser, error) { return mine, nil }
		req.TransferEncoding, req.Trailer, req.Header = []string{"chunked"}, http.Header{"X": nil}, nil
	})
	require.NoError(t, err)
	assert.Equal(t, http.MethodPost, req.Method)
	assert.Equal(t, int64(4), req.ContentLength)
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	assert.Equal(t, "body", string(body))
	again, err := req.GetBody()
	require.NoError(t, err)
	assert.NotEqual(t, mine, again)
	assert.Empty(t, req.TransferEncoding)
	assert.Nil(t, req.Trailer)
	assert.False(t, req.Close)
	assert.NotNil(t, req.Header)
}

func TestErrorIsReturnedAsItIs(t *testing.T) {
	cause := errors.New("no token today")
	req := post(t, "https://far.test/")
	err := credential.Authorize(t.Context(), &transport.Request{Authorize: func(context.Context, *http.Request) error { return cause }}, req)
	assert.Equal(t, cause, err)
	assert.NotNil(t, req.Body, "for the caller to close")
}

func TestMovingIsRefused(t *testing.T) {
	for name, f := range map[string]func(*http.Request){
		"host":        func(r *http.Request) { r.URL.Host = "evil.test" },
		"port":        func(r *http.Request) { r.URL.Host += ":8443" },
		"host header": func(r *http.Request) { r.Host = "evil.test" },
		"scheme":      func(r *http.Request) { r.URL.Scheme = "http" },
		"no URL":      func(r *http.Request) { r.URL = nil },
		"user-info":   func(r *http.Request) { r.URL.User = url.User("SECRET") },
	} {
		_, err := run(t, "https://far.test/?token=SECRET", f)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}

func TestCredentialsWithoutTLS(t *testing.T) {
	for _, tt := range []struct {
		name, url, key string
		ok             bool
	}{
		{"authorization", "http://far.test/", "Authorization", false},
		{"proxy authorization", "http://far.test/", "Proxy-Authorization", false},
		{"cookie", "http://192.0.2.1/", "Cookie", false},
		{"spelled otherwise", "http://far.test/", "AUTHORIZATION", false},
		{"another header", "http://far.test/", "X-Trace", true},
		{"TLS", "https://far.test/", "Authorization", true},
		{"loopback", "http://127.1.2.3/", "Authorization", true},
	} {
		for _, allow := range []bool{false, true} {
			req := post(t, tt.url)
			req.Header.Set("Authorization", "mine") // the user's, not Authorize's
			r := &transport.Request{AllowInsecureCredentials: allow, Authorize: func(_ context.Context, req *http.Request) error {
				req.Header[tt.key] = append(req.Header[tt.key], "SECRET")
				return nil
			}}
			err := credential.Authorize(t.Context(), r, req)
			if tt.ok || allow {
				require.NoError(t, err, tt.name)
				continue
			}
			require.ErrorIs(t, err, transport.ErrInsecureCredentials, tt.name)
			assert.NotContains(t, err.Error(), "SECRET")
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "127.0.0.1:80": true, "127.1.2.3": true, "[::1]:80": true, "[::ffff:127.0.0.1]": true,
		"a.localhost": false, "localhost.test": false, "192.0.2.1": false, "[::2]": false, "0.0.0.0": false, "": false,
	} {
		assert.Equal(t, want, credential.IsLoopback(&url.URL{Scheme: "http", Host: host}), host)
	}
}
