package holdfast

import (
	"fmt"
	"os"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func docsPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path.Join("docs", name))
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(text)), " ") // wherever its lines end
}

// TestDocsDefaults holds the defaults that pages tell to those of Options.
func TestDocsDefaults(t *testing.T) {
	o := (*Options)(nil).withDefaults()
	word := func(name string, v any) string {
		text, ok := defaultInWords(name, reflect.ValueOf(v))
		require.True(t, ok)
		return text
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
	for page, wants := range map[string][]string{
		"delivery.md": {
			fmt.Sprintf("| `SendBuffer.MaxBytes`, `MaxMessages` | %s, %s |", word("SendBuffer.MaxBytes", o.SendBuffer.MaxBytes), word("SendBuffer.MaxMessages", o.SendBuffer.MaxMessages)),
			"| `ReceiveBuffer` | " + word("ReceiveBuffer", o.ReceiveBuffer) + " |",
			"| `MaxMessageSize` | " + word("MaxMessageSize", o.MaxMessageSize) + " (",
			fmt.Sprintf("| `Retry.MaxRetries` | %d |", o.Retry.MaxRetries),
			"| `CloseTimeout` | " + seconds(o.CloseTimeout) + " |",
			"and takes " + seconds(o.CloseTimeout) + " at most",
			"a proof is otherwise asked for every " + seconds(o.Keepalive.Interval),
		},
		"offline.md": {
			"a probe every " + seconds(probeInterval),
			fmt.Sprintf("at most %g s, %g s and %g s", afterOnline[0].Seconds(), afterOnline[1].Seconds(), afterOnline[2].Seconds()),
			fmt.Sprintf("none has come for %d ms, for %d ms at most", quietTime.Milliseconds(), maxQuietTime.Milliseconds()),
			"ping finds a dead link in " + seconds(o.Keepalive.Interval+o.Keepalive.Timeout),
		},
		"migrating.md": {
			seconds(o.Keepalive.Interval) + " of silence, then " + seconds(o.Keepalive.Timeout) + " for the pong",
			fmt.Sprintf("After %d failures in a row", o.Retry.MaxRetries+1),
			"the receive buffer holds " + word("ReceiveBuffer", o.ReceiveBuffer),
			"`MaxMessageSize` | " + word("MaxMessageSize", o.MaxMessageSize) + " by default, gorilla has no limit",
			"slows the server at " + word("ReceiveBuffer", o.ReceiveBuffer),
		},
		"operating/README.md": {"pings after " + seconds(o.Keepalive.Interval) + " of silence"},
	} {
		text := docsPage(t, page)
		for _, want := range wants {
			assert.True(t, strings.Contains(text, want), "docs/%s does not say %q", page, want)
		}
	}
}

// TestDocsFallbackNumbers holds fallback.md to the tables of protocol.md, which
// another test holds to the constants.
func TestDocsFallbackNumbers(t *testing.T) {
	protocol, page := docsPage(t, "protocol.md"), docsPage(t, "fallback.md")
	value := func(row string) string {
		m := regexp.MustCompile(`\| ` + regexp.QuoteMeta(row) + ` \| ([^|]+) \|`).FindStringSubmatch(protocol)
		require.NotNil(t, m, row)
		return m[1]
	}
	inSeconds := func(row string) string { // "1500 ms" as "1.5 s"
		d, err := time.ParseDuration(strings.ReplaceAll(value(row), " ", ""))
		require.NoError(t, err)
		return fmt.Sprintf("%g s", d.Seconds())
	}
	for _, want := range []string{
		"and " + value("added to twice the way") + " more, within " + inSeconds("D, at least") + " and " + inSeconds("D, at most"),
		"polling first for " + value("a hard verdict holds for"),
		"within " + value("strikes count together within") + " | polling first for " + value("a soft verdict holds for"),
		"three WebSockets in a row that died within " + value("an early death, or a proof of life, after"),
		"a WebSocket lived for " + value("an early death, or a proof of life, after"),
		"WebSocket follows " + value("WebSocket starts that is remembered as blocked") + " later",
		"a request every " + value("hang asked for"),
	} {
		assert.True(t, strings.Contains(page, want), "docs/fallback.md does not say %q", want)
	}
	require.Equal(t, "3", value("deaths that make a row"))
	const probes = "5 s, 30 s, 2 min, 10 min and then every 30 min"
	assert.Contains(t, protocol, probes)
	assert.Contains(t, page, probes)
	assert.Contains(t, docsPage(t, "troubleshooting.md"), "5 s, 30 s, 2 min, 10 min, then every 30 min")
}
