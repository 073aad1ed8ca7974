package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOrigins(t *testing.T) {
	patterns := []string{"*.example.org", "https://Secure.example", "app:8080"}
	for _, tt := range []struct {
		origins  []string
		patterns []string
		allowed  bool
	}{
		{nil, nil, true},
		{[]string{"http://stream.example"}, nil, true},
		{[]string{"https://STREAM.example"}, nil, true},
		{[]string{"https://stream.example:444"}, nil, false},
		{[]string{"https://evil.example"}, nil, false},
		{[]string{"null"}, nil, false},
		{[]string{""}, nil, false},
		{[]string{"::not a URL"}, nil, false},
		{[]string{"http://stream.example", "http://stream.example"}, nil, false},
		{[]string{"https://a.example.org"}, patterns, true},
		{[]string{"https://a.EXAMPLE.org"}, patterns, true},
		{[]string{"https://example.org"}, patterns, false},
		{[]string{"https://a.example.org.evil"}, patterns, false},
		{[]string{"https://secure.example"}, patterns, true},
		{[]string{"http://secure.example"}, patterns, false},
		{[]string{"http://app:8080"}, patterns, true},
		{[]string{"http://app"}, patterns, false},
	} {
		r := httptest.NewRequest("GET", "http://stream.example/", nil)
		if tt.origins != nil {
			r.Header["Origin"] = tt.origins
		}
		s := New(idle, &Options{OriginPatterns: tt.patterns})
		assert.Equal(t, tt.allowed, s.originAllowed(r), "%q with %q", tt.origins, tt.patterns)
	}
}

func TestOriginHoldsForEveryTransport(t *testing.T) {
	bubble(t, idle, nil, func(w *world) {
		c := w.client()
		c.attachPoll()
		c.header.Set("Origin", "https://evil.example")
		for _, op := range []string{"open", "poll", "send", "close"} {
			a, err := c.post(context.Background(), op, nil, c.hello())
			require.NoError(t, err)
			assert.Equal(t, 403, a.status, op)
			assert.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
			assert.Equal(t, "1", a.header.Get(headerVersion))
		}
		_, err := w.dial(c.wsRequest())
		assert.ErrorContains(t, err, "403")
		r := c.wsRequest()
		r.Session = nil
		_, err = w.dial(r)
		assert.ErrorContains(t, err, "403", "a plain client too")
		a, err := w.do(context.Background(), "OPTIONS", http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}, nil)
		require.NoError(t, err)
		assert.Equal(t, 403, a.status)
		c.header.Del("Origin")
		assert.Equal(t, 200, c.send(1, nil).status)
	})
}

func TestCORS(t *testing.T) {
	bubble(t, idle, &Options{OriginPatterns: []string{"page.example"}}, func(w *world) {
		h := http.Header{"Origin": {"https://page.example"}, "Access-Control-Request-Method": {"POST"}}
		a, err := w.do(context.Background(), "OPTIONS", h, nil)
		require.NoError(t, err)
		assert.Equal(t, 204, a.status)
		assert.Equal(t, "https://page.example", a.header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
		assert.Equal(t, "POST", a.header.Get("Access-Control-Allow-Methods"))
		assert.Equal(t, corsMaxAge, a.header.Get("Access-Control-Max-Age"))
		for _, name := range []string{headerOp, headerSession, headerAttachment, headerPoll, headerHang, headerSubprotocol, "Content-Type", "Authorization"} {
			assert.Contains(t, a.header.Get("Access-Control-Allow-Headers"), name)
		}
		assert.Contains(t, a.header.Values("Vary"), "Origin")

		a, err = w.do(context.Background(), "OPTIONS", nil, nil)
		require.NoError(t, err)
		assert.Equal(t, 204, a.status)
		assert.Equal(t, allowedMethods, a.header.Get("Allow"))
		assert.Empty(t, a.header.Get("Access-Control-Allow-Origin"))

		c := w.client()
		c.header.Set("Origin", "https://page.example")
		for _, a := range []reply{c.open(), c.send(3, nil)} {
			assert.Equal(t, "https://page.example", a.header.Get("Access-Control-Allow-Origin"), a.status)
			assert.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
			for _, name := range []string{headerVersion, headerAttachment, headerDiag, headerSubprotocol, "Retry-After"} {
				assert.Contains(t, a.header.Get("Access-Control-Expose-Headers"), name)
			}
			assert.Contains(t, a.header.Values("Vary"), "Origin")
		}
	})
}
