//go:build linux

package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/integration/internal/chaos"
)

// What a Conn may say of harm by toxiproxy. Nothing here is terminal.
var reports = map[string]bool{
	"lost, 1006 abnormal closure": true,
	"failed, transient":           true, // broken off during the handshake
	"failed, timeout":             true, // no answer within HandshakeTimeout
	"failed, server down":         true, // while toxiproxy starts anew
}

func TestChaos(t *testing.T) {
	for _, s := range chaos.Scenarios {
		for _, transport := range chaos.Transports {
			t.Run(s.Name+"/"+transport, func(t *testing.T) {
				r := chaos.Run(t.Context(), s, transport, 900, 1)
				t.Logf("%s: %d links over %d TCP connections, %d lost, harm for %v, first message %v after it, all in %v; reported: %s",
					s.Meaning, r.Links, r.Connections, r.Losses, r.Harmed, r.First, r.Took, r.Reported())

				require.NoError(t, r.Err)
				assert.Equal(t, 1800, r.Messages)
				assert.Zero(t, r.Lost, "lost")
				assert.Zero(t, r.Doubled, "doubled")
				assert.Zero(t, r.Disordered, "out of order")
				assert.Zero(t, r.Damaged, "damaged")
				assert.Zero(t, r.Gaps, "after a gap")
				assert.True(t, r.OK())
				assert.Equal(t, r.Losses+1, r.Links, "each loss was made good")
				if s.Lives {
					assert.Equal(t, 1, r.Links)
					assert.Empty(t, r.Reports, "the user hears nothing of it")
					return
				}
				for what := range r.Reports {
					assert.Contains(t, reports, what)
				}
				if transport == "websocket" {
					assert.NotZero(t, r.Reports["lost, 1006 abnormal closure"], "one connection is one link")
				}
				switch s.Name {
				case "reset", "timeout":
					assert.NotZero(t, r.Failures)
				}
				switch s.Name {
				case "reset", "timeout", "silence":
					assert.NotZero(t, r.Losses, "polling does not get through either")
				}
			})
		}
	}
}
