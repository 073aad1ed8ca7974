package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/server"
)

// Clients that know nothing of sessions are served as plain ones, whatever
// library they are written with, gorilla's split messages included.
func TestPackageServerServesPlainClients(t *testing.T) {
	s := server.New(func(ctx context.Context, s *server.Session) error {
		for m, err := range s.Messages(ctx) {
			if err != nil {
				return nil // the client has gone
			}
			if err := s.Send(ctx, m.Type, m.Data); err != nil {
				return err
			}
		}
		return nil
	}, &server.Options{OpenRate: -1})
	h := httptest.NewServer(s)
	defer h.Close()
	for name, dial := range map[string]func(context.Context, target) (conn, error){
		"coder": dialCoder, "gorilla": dialGorilla, "gws": dialGWS, "gobwas": dialGobwas,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dial(t.Context(), target{url: "ws" + strings.TrimPrefix(h.URL, "http")})
			require.NoError(t, err)
			defer c.Close()
			for _, n := range []int{0, 1, 125, 126, 65535, 65536, 300_000} {
				want := bytes.Repeat([]byte{byte(n)}, n)
				require.NoError(t, c.Send(want))
				require.NoError(t, c.Each(true, func(p []byte) bool {
					assert.True(t, bytes.Equal(want, p), "%d bytes", n)
					return false
				}))
			}
		})
	}
}
