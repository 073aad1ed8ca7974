package holdfast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// secretsOf keeps what a server was told of a session's.
type secretsOf struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (s *secretsOf) see(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	if hello := r.Header.Get("Holdfast-Hello"); hello != "" {
		s.seen[hello] = true
	}
	if _, secret, ok := strings.Cut(r.Header.Get("Holdfast-Session"), "."); ok {
		_, secret, _ = strings.Cut(secret, ".")
		s.seen[secret] = true
		s.seen[r.Header.Get("Holdfast-Session")] = true
	}
}

func (s *secretsOf) in(text string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.seen {
		if strings.Contains(text, secret) {
			found = append(found, secret)
		}
	}
	return found
}

// Neither errors nor events, logs, statistics or responses have a session's
// secret, whatever the server makes of it.
func TestSecretsStayOutOfWhatIsTold(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter, r *http.Request){
		"an echo in the header": func(w http.ResponseWriter, r *http.Request) {
			for _, key := range []string{"Holdfast-Hello", "Holdfast-Session"} {
				w.Header().Set(key, r.Header.Get(key))
			}
			http.Error(w, "no", http.StatusBadGateway)
		},
		"an echo in the body": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Holdfast-Hello")+r.Header.Get("Holdfast-Session"), http.StatusInternalServerError)
		},
		"an echo that is not HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn := hijack(w)
			_, _ = fmt.Fprintf(conn, "HELLO %s %s\r\n\r\n", r.Header.Get("Holdfast-Hello"), r.Header.Get("Holdfast-Session"))
			_ = conn.Close()
		},
		"an echo in a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.test/?"+r.Header.Get("Holdfast-Hello")+r.Header.Get("Holdfast-Session"), http.StatusFound)
		},
		"an echo in a malformed header": func(w http.ResponseWriter, r *http.Request) {
			conn := hijack(w)
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: %[1]s\r\nSec-WebSocket-Accept: %[1]s\r\n\r\n",
				r.Header.Get("Holdfast-Hello")+r.Header.Get("Holdfast-Session"))
			_ = conn.Close()
		},
		"a reset": func(w http.ResponseWriter, _ *http.Request) { reset(hijack(w)) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			session(t, func(p *scene) {
				var secrets secretsOf
				var told, logged bytes.Buffer // logged is the Logger's until Done
				var bad atomic.Bool
				p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					secrets.see(r)
					if bad.Load() || r.Header.Get("Upgrade") != "" {
						answer(w, r)
						return
					}
					next.ServeHTTP(w, r)
				})
				c := p.dial(func(o *holdfast.Options) {
					o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
					o.Retry.MaxRetries = 5
				})
				p.roundTrip(c, "hello")
				require.NotNil(p, c.Response())
				fmt.Fprintf(&told, "%+v %+v\n", c.Response(), c.Response().Request)
				fmt.Fprintf(&told, "%+v\n", c.Stats())
				bad.Store(true)
				_ = c.Send(p.Context(), holdfast.Text, []byte("x"))
				ctx, cancel := context.WithTimeout(p.Context(), time.Second)
				fmt.Fprintf(&told, "%v\n", c.Flush(ctx))
				cancel()
				time.Sleep(30 * time.Second)
				fmt.Fprintf(&told, "%v %+v\n", c.Err(), c.Stats())
				var de *holdfast.DialError
				if errors.As(c.Err(), &de) {
					fmt.Fprintf(&told, "%+v\n", *de)
				}
				err := c.Close()
				fmt.Fprintf(&told, "%v %+v\n", err, err)
				<-c.Done()
				told.Write(logged.Bytes())
				for _, e := range p.events {
					for err := e.Err; err != nil; err = errors.Unwrap(err) {
						fmt.Fprintf(&told, "%v %+v %#v\n", err, err, err)
					}
				}
				require.Greater(p, len(secrets.seen), 2)
				assert.Empty(p, secrets.in(told.String()), "%s", told.String())
			})
		})
	}
}

// A session's secret and id go to no other endpoint than the one that made it.
func TestSecretsGoToTheirEndpointAlone(t *testing.T) {
	session(t, func(p *scene) {
		var first, second secretsOf
		var down atomic.Bool
		p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			first.see(r)
			if down.Load() || r.Header.Get("Upgrade") != "" {
				http.Error(w, "no", http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		})
		others := &scene{T: p.T, url: "ws://other.test/stream", net: p.net, options: &server.Options{OpenRate: -1}, echo: p.echo}
		others.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			second.see(r)
			next.ServeHTTP(w, r)
		})
		c := p.dial(func(o *holdfast.Options) { o.Endpoints = []string{others.url} })
		assert.EqualValues(p, 1, p.roundTrip(c, "one").Epoch)
		down.Store(true)
		p.net.Reset()
		time.Sleep(5 * time.Second)
		assert.EqualValues(p, 2, p.roundTrip(c, "two").Epoch)
		require.NotEmpty(p, second.seen)
		for secret := range second.seen {
			assert.NotContains(p, first.seen, secret)
		}
		require.NoError(p, c.Close())
		others.stop()
	})
}
