//go:build linux

package integration

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
)

// examine runs the doctor without the environment's proxy.
func examine(t *testing.T, endpoint string, change func(o *doctor.Options)) *doctor.Report {
	t.Helper()
	o := &doctor.Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	if change != nil {
		change(o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := doctor.Run(ctx, endpoint, o)
	require.NoError(t, err)
	if t.Failed() {
		t.Logf("%+v", r)
	}
	return r
}

func factsOf[T any](t *testing.T, r *doctor.Report, step string) *T {
	t.Helper()
	s := r.Step(step)
	require.NotNil(t, s, step)
	f, ok := s.Facts.(*T)
	require.True(t, ok, "%s: %s", s.Status, s.Summary)
	return f
}

// nginx by its defaults removes the Upgrade header and holds requests until they are
// whole. Both are seen, and who does it.
func TestDoctorNginxByItsDefaults(t *testing.T) {
	u := startUpstream(t, &ledger{}, nil)
	front := nginx(t, "nginx-plain.conf", map[string]any{"Upstream": u.addr})
	r := examine(t, "ws://"+front.addr+"/stream", nil)

	assert.Equal(t, holdfast.ClassBlocked, r.Verdict.Class)
	assert.Contains(t, r.Verdict.Summary, "removes the Upgrade header, as the server itself says")
	f := factsOf[doctor.UpgradeFacts](t, r, doctor.StepUpgrade)
	assert.Equal(t, http.StatusUpgradeRequired, f.StatusCode)
	assert.Contains(t, f.Headers["Server"], "nginx")
	assert.Equal(t, "upgrade-stripped", f.Headers["Holdfast-Diag"])
	assert.True(t, factsOf[doctor.LongPollFacts](t, r, doctor.StepLongPoll).Works)
	assert.Equal(t, "held", factsOf[doctor.BufferingFacts](t, r, doctor.StepBuffering).Requests)
}

// Set up for WebSocket it still buffers requests, which does a WebSocket no harm.
func TestDoctorNginxForWebSocket(t *testing.T) {
	u := startUpstream(t, &ledger{}, nil)
	front := nginx(t, "nginx-upgrade.conf", map[string]any{"Upstream": u.addr})
	r := examine(t, "ws://"+front.addr+"/stream", nil)

	assert.True(t, r.Verdict.OK, r.Verdict.Summary)
	f := factsOf[doctor.UpgradeFacts](t, r, doctor.StepUpgrade)
	assert.True(t, f.Session)
	assert.Contains(t, f.Headers["Server"], "nginx")
	assert.Zero(t, factsOf[doctor.PingFacts](t, r, doctor.StepPing).LossPercent)
	assert.True(t, factsOf[doctor.CloseFacts](t, r, doctor.StepClose).Answered)
	assert.Equal(t, "held", factsOf[doctor.BufferingFacts](t, r, doctor.StepBuffering).Requests)
}

// Told not to, it does not buffer.
func TestDoctorNginxWithoutBuffering(t *testing.T) {
	u := startUpstream(t, &ledger{}, nil)
	front := nginx(t, "nginx-upgrade.conf", map[string]any{"Upstream": u.addr + ";\n\t\t\tproxy_request_buffering off"})
	r := examine(t, "ws://"+front.addr+"/stream", nil)
	assert.True(t, r.Verdict.OK, r.Verdict.Summary)
	assert.Equal(t, "passed on", factsOf[doctor.BufferingFacts](t, r, doctor.StepBuffering).Requests)
}

func TestDoctorNginxOverTLS(t *testing.T) {
	u := startUpstream(t, &ledger{}, nil)
	pair := newCertificate(t)
	front := nginx(t, "nginx-http2.conf", map[string]any{"Upstream": u.addr, "Cert": pair.cert, "Key": pair.key})
	r := examine(t, "wss://"+front.addr+"/stream", func(o *doctor.Options) { o.TLSConfig = pair.client })
	assert.Equal(t, holdfast.ClassBlocked, r.Verdict.Class)
	assert.True(t, factsOf[doctor.TLSFacts](t, r, doctor.StepTLS).Verified)
	assert.True(t, factsOf[doctor.LongPollFacts](t, r, doctor.StepLongPoll).Works)

	r = examine(t, "wss://"+front.addr+"/stream", nil)
	assert.Equal(t, holdfast.ClassTLSTrust, r.Verdict.Class)
	f := factsOf[doctor.TLSFacts](t, r, doctor.StepTLS)
	assert.False(t, f.Verified)
	assert.NotEmpty(t, f.Chain)
}

// A server that is down behind a front that is up.
func TestDoctorNginxWithoutItsServer(t *testing.T) {
	u := startUpstream(t, &ledger{}, nil)
	front := nginx(t, "nginx-upgrade.conf", map[string]any{"Upstream": u.addr})
	u.kill()
	r := examine(t, "ws://"+front.addr+"/stream", nil)
	assert.Equal(t, holdfast.ClassOverloaded, r.Verdict.Class)
	assert.Equal(t, http.StatusBadGateway, r.Verdict.StatusCode)
	assert.Contains(t, r.Verdict.Summary, "nginx")
	assert.Contains(t, r.Verdict.Advice[0], "the application behind it does not answer")
}

// HAProxy passes requests on as they come.
func TestDoctorHAProxy(t *testing.T) {
	p := startPair(t, true)
	r := examine(t, "ws://"+p.front.addr+"/stream", nil)
	assert.True(t, r.Verdict.OK, r.Verdict.Summary)
	assert.True(t, factsOf[doctor.UpgradeFacts](t, r, doctor.StepUpgrade).Session)
	assert.True(t, factsOf[doctor.LongPollFacts](t, r, doctor.StepLongPoll).Works)
	assert.Equal(t, "passed on", factsOf[doctor.BufferingFacts](t, r, doctor.StepBuffering).Requests)
}

// Without a cookie polls reach servers that do not know the session.
func TestDoctorHAProxyNotSticky(t *testing.T) {
	p := startPair(t, false)
	r := examine(t, "http://"+p.front.addr+"/stream", nil)
	assert.Equal(t, holdfast.ClassNotSticky, r.Verdict.Class, r.Verdict.Summary)
	assert.Contains(t, r.Verdict.Summary, "reach servers that do not know the session")
}

func TestDoctorForwardProxy(t *testing.T) {
	for _, test := range forwardProxies {
		t.Run(test.name, func(t *testing.T) {
			u := startUpstream(t, &ledger{}, nil)
			open := test.start(t, map[string]any{"ConnectAnywhere": true})
			r := examine(t, "ws://"+u.addr+"/stream", func(o *doctor.Options) { o.Proxy = through(open) })
			assert.True(t, r.Verdict.OK, r.Verdict.Summary)
			assert.Equal(t, doctor.OK, r.Step(doctor.StepTunnel).Status)
			assert.Equal(t, "http://"+open.addr, factsOf[doctor.ProxyFacts](t, r, doctor.StepProxy).URL)

			strict := test.start(t, map[string]any{"ConnectAnywhere": false})
			r = examine(t, "ws://"+u.addr+"/stream", func(o *doctor.Options) { o.Proxy = through(strict) })
			assert.Equal(t, doctor.Fail, r.Step(doctor.StepTunnel).Status)
			assert.Equal(t, http.StatusForbidden, factsOf[doctor.TunnelFacts](t, r, doctor.StepTunnel).StatusCode)
			assert.Equal(t, holdfast.ClassBlocked, r.Verdict.Class, "plain HTTP gets through, as a Conn with a fallback finds")
			assert.True(t, factsOf[doctor.LongPollFacts](t, r, doctor.StepLongPoll).Works)

			r = examine(t, "http://"+u.addr+"/stream", func(o *doctor.Options) { o.Proxy = through(strict) })
			assert.True(t, r.Verdict.OK, r.Verdict.Summary)
			assert.Equal(t, doctor.Skipped, r.Step(doctor.StepTunnel).Status, "an http URL needs none")

			// Over TLS there is no way but a tunnel.
			r = examine(t, "wss://"+u.addr+"/stream", func(o *doctor.Options) { o.Proxy = through(strict) })
			assert.Equal(t, holdfast.ClassProxyRefused, r.Verdict.Class)
			assert.Contains(t, r.Verdict.Advice[0], "its rules do not allow "+u.addr)
		})
	}
}
