package holdfasttest_test

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func TestComesBackAfterADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := holdfasttest.NewMemory()
		srv := network.NewServer("")
		defer srv.Close()
		srv.Script(
			holdfasttest.Refuse{Status: 503, RetryAfter: 7 * time.Second}, // the first handshake
			holdfasttest.AfterSent(1).Drop(),                              // the second
		)
		rec := holdfasttest.NewRecorder(t)
		options := network.Options()
		options.OnEvent = rec.OnEvent

		// In place of the program: Dial, and a message that comes back.
		conn, err := holdfast.Dial(t.Context(), srv.URL(), &options)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.Send(t.Context(), holdfast.Text, []byte("hello")); err != nil {
			t.Fatal(err)
		}

		rec.Wait(time.Minute, holdfast.EventGap) // follows the second connection
		rec.AssertKinds(
			holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
			holdfast.EventConnecting, holdfast.EventConnected, holdfast.EventDisconnected,
			holdfasttest.Ellipsis, holdfast.EventConnected, holdfast.EventGap,
		)
		rec.AssertRetries(2)
	})
}

// TestTourIsTheTestAbove keeps the package documentation to what was run.
func TestTourIsTheTestAbove(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	file, err := os.ReadFile("tour_test.go")
	require.NoError(t, err)
	tour, _, found := strings.Cut(strings.ReplaceAll(string(doc), "\r\n", "\n"), "//\t}\n//\n")
	require.True(t, found)
	var code strings.Builder
	for line := range strings.Lines(tour) {
		if rest, ok := strings.CutPrefix(line, "//\t"); ok {
			code.WriteString(rest)
		} else if code.Len() > 0 {
			code.WriteString("\n")
		}
	}
	require.Greater(t, code.Len(), 500)
	assert.Contains(t, strings.ReplaceAll(string(file), "\r\n", "\n"), code.String()+"}\n")
}
