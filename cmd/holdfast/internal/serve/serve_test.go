package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
)

func polling() *holdfast.Options {
	return &holdfast.Options{Fallback: []holdfast.Transport{fallback.LongPoll(nil)}}
}

func TestEcho(t *testing.T) {
	r := serving(t)
	assert.Contains(t, r.out.String(), "holdfast connect ws://"+r.addr+"/echo\n")
	for _, url := range []string{"ws://" + r.addr, "ws://" + r.addr + "/echo", "http://" + r.addr + "/echo"} {
		c := dial(t, url, polling())
		send(t, c, "hello")
		assert.Equal(t, "hello", receive(t, c), url)
		require.NoError(t, c.Close())
	}
	c := dial(t, "ws://"+r.addr+"/echo", &holdfast.Options{Session: holdfast.SessionOff})
	send(t, c, "plain")
	assert.Equal(t, "plain", receive(t, c))
	require.NoError(t, c.Close())
	r.log.await(t, "(plain WebSocket)")
	r.log.await(t, "at /echo (session)")
	r.log.await(t, "opened over longpoll")
	r.log.await(t, "messages received 1 (5 bytes), sent 1 (5 bytes); links 1")
	assert.Equal(t, 0, r.stop())
	assert.Contains(t, r.log.String(), "closed\n")
}

func TestRooms(t *testing.T) {
	r := serving(t)
	a, b := dial(t, "ws://"+r.addr+"/room/x", nil), dial(t, "http://"+r.addr+"/room/x", polling())
	other := dial(t, "ws://"+r.addr+"/room/y", nil)
	for _, c := range []*holdfast.Conn{a, b, other} { // in their rooms when this has been read
		require.NoError(t, c.SendSync(t.Context(), holdfast.Text, []byte("I am in")))
	}
	// Who has come first may hear the other's first message.
	hear := func(c *holdfast.Conn) string {
		for {
			if s := receive(t, c); s != "I am in" {
				return s
			}
		}
	}
	r.log.await(t, "/room/y")
	awaitRoom(t, a, b)
	send(t, a, "from a")
	assert.Equal(t, "from a", hear(b))
	send(t, b, "from b")
	assert.Equal(t, "from b", hear(a))
	assert.Zero(t, other.Stats().MessagesReceived)
	require.NoError(t, b.Close()) // Shutdown would wait for its next poll

	for _, name := range []string{"a%20b", strings.Repeat("x", 65), "%1b"} {
		resp, err := http.Get("http://" + r.addr + "/room/" + name)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.StatusNotFound, resp.StatusCode, name)
	}
}

// awaitRoom waits until a hears b: then both are in.
func awaitRoom(t *testing.T, a, b *holdfast.Conn) {
	for a.Stats().MessagesReceived == 0 {
		require.NoError(t, b.SendSync(t.Context(), holdfast.Text, []byte("I am in")))
	}
	for b.Stats().MessagesReceived == 0 {
		require.NoError(t, a.SendSync(t.Context(), holdfast.Text, []byte("I am in")))
	}
}

func TestTLS(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cert.pem")
	r := serving(t, "--tls", "--cert-file", name)
	assert.Contains(t, r.out.String(), "wss://"+r.addr+"/echo --insecure\n")
	pem, err := os.ReadFile(name)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	seen := make(chan *x509.Certificate, 9)
	o := polling()
	o.TLSConfig = &tls.Config{RootCAs: pool, VerifyConnection: func(s tls.ConnectionState) error {
		seen <- s.PeerCertificates[0]
		return nil
	}}
	for _, url := range []string{"wss://" + r.addr + "/echo", "https://" + r.addr + "/echo"} {
		c := dial(t, url, o)
		send(t, c, "hello")
		assert.Equal(t, "hello", receive(t, c))
		require.NoError(t, c.Close())
	}
	shown := (&certificate{der: (<-seen).Raw}).fingerprint()
	assert.Len(t, shown, 95)
	assert.Contains(t, r.out.String(), "SHA-256 "+shown)
	assert.NotContains(t, string(pem), "PRIVATE")

	_, err = holdfast.Dial(t.Context(), "wss://"+r.addr, &holdfast.Options{Retry: holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry}})
	var failed *holdfast.DialError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, holdfast.ClassTLSTrust, failed.Class)
	r.log.await(t, "TLS handshake error")
}

func TestOrigins(t *testing.T) {
	r := serving(t, "--origin", "good.example", "--origin", "https://*.example.com")
	for origin, ok := range map[string]bool{"": true, "http://" + r.addr: true, "http://good.example": true, "https://a.example.com": true,
		"http://a.example.com": false, "http://evil.example": false} {
		o := &holdfast.Options{Retry: holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry}, Header: http.Header{}}
		if origin != "" {
			o.Header.Set("Origin", origin)
		}
		c, err := holdfast.Dial(t.Context(), "ws://"+r.addr, o)
		assert.Equal(t, ok, err == nil, origin)
		if err == nil {
			require.NoError(t, c.Close())
		}
	}
	r.log.await(t, "origin https://a.example.com")
}

func TestShutdownIsARestart(t *testing.T) {
	r := serving(t)
	c := dial(t, "ws://"+r.addr, &holdfast.Options{Retry: holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry}})
	send(t, c, "x")
	receive(t, c)
	assert.Equal(t, 0, r.stop())
	<-c.Done()
	var end *holdfast.CloseError
	require.ErrorAs(t, c.Err(), &end)
	assert.Equal(t, holdfast.StatusServiceRestart, end.Code)
}

// TestTheLogIsOneLine: what a client sends can neither drive the terminal nor make
// a line of its own.
func TestTheLogIsOneLine(t *testing.T) {
	r := serving(t)
	c := dial(t, "ws://"+r.addr, nil)
	require.NoError(t, c.CloseWith(context.Background(), 4000, "bye\n\x1b[2J"))
	r.log.await(t, `bye\n\x1b[2J`)
	assert.NotContains(t, r.log.String(), "\x1b")
}
