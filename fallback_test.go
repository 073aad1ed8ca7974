package holdfast_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

func TestPromise10FallsBackWhereWebSocketIsBlocked(t *testing.T) {
	for name, block := range blockades {
		t.Run(name, func(t *testing.T) {
			session(t, func(p *scene) {
				p.start()
				p.blockBy(block)
				began := time.Now()
				c := p.dial(nil)
				m := p.roundTrip(c, "hello")
				limit := 50 * time.Millisecond
				if name == "no answer" || name == "101 then silence" {
					limit = 350 * time.Millisecond
				}
				assert.LessOrEqual(t, time.Since(began), limit)
				assert.EqualValues(t, 1, m.Epoch)
				assert.Equal(t, "longpoll", c.Stats().Transport)
				require.Len(t, p.seen(holdfast.EventFellBack), 1)
				assert.Empty(t, p.seen(holdfast.EventAttemptFailed))
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestPromise10StrippedUpgradeIsNamed(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		p.blockBy(p.strip)
		c := p.dial(nil)
		p.roundTrip(c, "hello")
		fell := p.seen(holdfast.EventFellBack)
		require.Len(t, fell, 1)
		e := dialError(t, fell[0])
		assert.Equal(t, holdfast.ClassBlocked, e.Class)
		assert.Equal(t, http.StatusUpgradeRequired, e.StatusCode)
		assert.Contains(t, e.Hint, "removes the Upgrade header")
		require.NoError(t, c.Close())

		opens := p.opens.Load()
		c = p.dial(nil) // the verdict is remembered, and the poll comes first
		p.roundTrip(c, "again")
		assert.Equal(t, opens, p.opens.Load())
		assert.Equal(t, "longpoll", c.Stats().Transport)
		require.NoError(t, c.Close())
	})
}

func TestPromise10FastOverDistance(t *testing.T) {
	session(t, func(p *scene) {
		p.net.SetLatency(50 * time.Millisecond)
		p.start()
		p.blockBy(blockades["no answer"])
		began := time.Now()
		c := p.dial(nil)
		p.roundTrip(c, "hello")
		assert.LessOrEqual(t, time.Since(began), 650*time.Millisecond)
		require.NoError(t, c.Close())
	})
}

// Over TLS the polls share one connection (HTTP/2), and so one handshake.
func TestPromise10FastOverDistanceWithTLS(t *testing.T) {
	session(t, func(p *scene) {
		ca := newAuthority(t, time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC))
		p.tls = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
			c.DNSNames = []string{strings.TrimSuffix(p.host(), ":80")}
		})}}
		p.net.SetLatency(50 * time.Millisecond)
		p.start()
		p.blockBy(blockades["no answer"])
		p.url = "wss://" + p.host() + "/stream"
		began := time.Now()
		c := p.dial(func(o *holdfast.Options) { o.TLSConfig = trust(ca) })
		p.roundTrip(c, "hello")
		assert.LessOrEqual(t, time.Since(began), 950*time.Millisecond)
		t.Log(time.Since(began))
		require.NoError(t, c.Close())
	})
}

func TestPromise10ClimbsBack(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		p.blockBy(blockades["403"])
		c := p.dial(nil)
		p.number(c, 200, 100*time.Millisecond, func() {
			time.Sleep(2 * time.Second)
			p.blockBy(nil)
		})
		up := p.seen(holdfast.EventUpgraded)
		require.Len(t, up, 1)
		assert.True(t, up[0].Resumed)
		assert.Equal(t, "websocket", c.Stats().Transport)
		assert.EqualValues(t, 1, c.Stats().Epoch)
		assert.Empty(t, p.seen(holdfast.EventDisconnected))
		require.NoError(t, c.Close())
	})
}

func TestPromise10ProbesGrowRarer(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		p.blockBy(blockades["403"])
		c := p.dial(nil)
		time.Sleep(time.Hour)
		failed := p.seen(holdfast.EventAttemptFailed)
		// After about 5 s, 35 s, 2.5 min, 12.5 min, 42.5 min.
		assert.Len(t, failed, 5)
		for _, e := range failed {
			assert.Equal(t, holdfast.StateConnected, e.State)
			assert.Equal(t, "websocket", e.Transport)
			assert.Equal(t, holdfast.ClassBlocked, dialError(t, e).Class)
		}
		p.roundTrip(c, "still here")
		require.NoError(t, c.Close())
	})
}

func TestPromise10GoesOnOverPollingWhenWebSocketDies(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		c := p.dial(nil)
		p.roundTrip(c, "hello")
		require.Equal(t, "websocket", c.Stats().Transport)
		time.Sleep(time.Minute) // it was stable
		p.number(c, 100, 100*time.Millisecond, func() {
			time.Sleep(time.Second)
			p.blockBy(blockades["no answer"])
			p.net.Reset()
		})
		assert.Equal(t, "longpoll", c.Stats().Transport)
		assert.EqualValues(t, 1, c.Stats().Epoch)
		fell := p.seen(holdfast.EventFellBack)
		require.Len(t, fell, 1)
		assert.True(t, fell[0].Resumed)
		require.NoError(t, c.Close())
	})
}

func TestPromise10NotWhenTheServerIsDown(t *testing.T) {
	session(t, func(p *scene) {
		_, err := p.tryDial(func(o *holdfast.Options) { o.Retry.MaxRetries = 2 })
		var de *holdfast.DialError
		require.ErrorAs(t, err, &de)
		assert.Equal(t, holdfast.ClassServerDown, de.Class)
		assert.Empty(t, p.seen(holdfast.EventFellBack))
		assert.Len(t, p.seen(holdfast.EventAttemptFailed), 3)
	})
}

func TestPromise10NotWhenOffline(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		p.net.SetDown(syscall.ENETUNREACH)
		p.network.SetOnline(false)
		ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
		defer cancel()
		_, err := holdfast.Dial(ctx, p.url, p.dialOptions())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, p.seen(holdfast.EventFellBack))
		assert.NotEmpty(t, p.seen(holdfast.EventOffline))
	})
}

func TestPromise10NotForWrongCredentials(t *testing.T) {
	session(t, func(p *scene) {
		p.options = &server.Options{OpenRate: -1, Authenticate: func(*http.Request) (string, error) { return "", fmt.Errorf("no") }}
		p.start()
		_, err := p.tryDial(nil)
		var de *holdfast.DialError
		require.ErrorAs(t, err, &de)
		assert.Equal(t, holdfast.ClassUnauthorized, de.Class)
		assert.Equal(t, http.StatusUnauthorized, de.StatusCode)
		assert.Empty(t, p.seen(holdfast.EventFellBack))
		assert.Len(t, p.seen(holdfast.EventAttemptFailed), 1)
	})
}

func TestPromise10FlakyWebSocketGivesWay(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		c := p.dial(nil)
		for range 3 {
			p.roundTrip(c, "hello")
			require.Equal(t, "websocket", c.Stats().Transport)
			time.Sleep(2 * time.Second)
			p.net.Reset()
			time.Sleep(1500 * time.Millisecond)
		}
		p.roundTrip(c, "hello")
		assert.Equal(t, "longpoll", c.Stats().Transport)
		require.NoError(t, c.Close())
		synctest.Wait()
	})
}
