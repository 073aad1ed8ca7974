package policy

import (
	"context"
	"net"
	"os"
	"regexp"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// waits are the delays that a Conn announces, and keeps, while its server refuses.
func waits(t *testing.T, r holdfast.RetryPolicy, n int) []time.Duration {
	t.Helper()
	r.MaxRetries = n
	var all []time.Duration
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	began := time.Now()
	_, err := holdfast.Dial(t.Context(), "ws://127.0.0.1:1/", &holdfast.Options{
		Retry:       r,
		Network:     holdfasttest.NewNetwork(),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused },
		OnEvent: func(e holdfast.Event) {
			if e.Kind == holdfast.EventWaiting {
				all = append(all, e.Delay)
			}
		},
	})
	took := time.Since(began) // virtual
	require.Error(t, err)
	synctest.Wait()
	require.Len(t, all, n)
	sum := time.Duration(0)
	for _, d := range all {
		sum += d
	}
	require.Equal(t, sum, took)
	return all
}

// The simulation is of the product only if the product draws its delays so.
func TestDefaultIsTheProducts(t *testing.T) {
	const conns, retries = 2000, 10
	var highest, sum [retries]time.Duration
	synctest.Test(t, func(t *testing.T) {
		for range conns {
			for n, d := range waits(t, holdfast.RetryPolicy{}, retries) {
				require.Less(t, d, Default.Bound(n), "delay %d", n)
				highest[n], sum[n] = max(highest[n], d), sum[n]+d
			}
		}
	})
	for n := range retries {
		bound := float64(Default.Bound(n))
		assert.Greater(t, float64(highest[n]), 0.98*bound, "delay %d", n)        // misses once in 10¹⁷
		assert.InDelta(t, 0.5, float64(sum[n])/conns/bound, 0.05, "delay %d", n) // 7 standard deviations
	}
}

func TestOthersGoThroughTheProductUnchanged(t *testing.T) {
	for _, p := range All {
		if p.Jitter {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			for n, d := range waits(t, p.Retry(), 8) {
				assert.Equal(t, p.Bound(n), d, "%s, delay %d", p.Name, n)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	s := time.Second
	for n, want := range []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s} {
		assert.Equal(t, want, Default.Bound(n))
		assert.Equal(t, want/2, Default.Delay(n, 0.5))
	}
	assert.Equal(t, 30*s, Default.Bound(1_000_000))
	assert.Equal(t, s, All[0].Bound(7))
	r := Default.Retry()
	assert.Nil(t, r.New, "the product's own")
	b := All[1].Retry().New()
	assert.Equal(t, []time.Duration{s, 2 * s}, []time.Duration{b.NextBackOff(), b.NextBackOff()})
	b.Reset()
	assert.Equal(t, s, b.NextBackOff())
}

// README.md says what the defaults are.
func TestDefaultIsTheReadmes(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	for option, want := range map[string]time.Duration{"InitialDelay": Default.Initial, "MaxDelay": Default.Max} {
		m := regexp.MustCompile(`(?m)^\| .Retry\.` + option + `. \| (\d+) s \|`).FindSubmatch(text)
		require.NotNil(t, m, option)
		got, err := time.ParseDuration(string(m[1]) + "s")
		require.NoError(t, err)
		assert.Equal(t, want, got, option)
	}
}
