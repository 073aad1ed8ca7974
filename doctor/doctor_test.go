package doctor_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/server"
)

func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		target string
		field  string
		change func(o *doctor.Options)
	}{
		{"", "url", nil},
		{"example.com/stream", "url", nil},
		{"ftp://example.com/", "url", nil},
		{"ws://", "url", nil},
		{"ws://example.com:0/", "url", nil},
		{"ws://user:secret@example.com/", "url", nil}, // without TLS
		{"ws://example.com/", "Header", func(o *doctor.Options) { o.Header = http.Header{"Upgrade": {"h2c"}} }},
		{"ws://example.com/", "Header", func(o *doctor.Options) { o.Header = http.Header{"X": {"a\nb"}} }},
		{"ws://example.com/", "Subprotocols", func(o *doctor.Options) { o.Subprotocols = []string{"a b"} }},
		{"ws://example.com/", "Timeout", func(o *doctor.Options) { o.Timeout = -1 }},
		{"ws://example.com/", "Pings", func(o *doctor.Options) { o.Pings = 1001 }},
		{"ws://example.com/", "Idle", func(o *doctor.Options) { o.Idle = time.Millisecond }},
		{"ws://example.com/", "Idle", func(o *doctor.Options) { o.Idle = 2 * time.Hour }},
	} {
		o := options()
		o.DialContext = func(context.Context, string, string) (net.Conn, error) {
			t.Error("something was dialled")
			return nil, errors.New("no")
		}
		o.OnStart = func(string) { t.Error("something was tried") }
		if c.change != nil {
			c.change(o)
		}
		r, err := doctor.Run(t.Context(), c.target, o)
		assert.Nil(t, r)
		var wrong *holdfast.OptionError
		if assert.ErrorAs(t, err, &wrong, c.target) {
			assert.Equal(t, c.field, wrong.Field)
			assert.NotContains(t, err.Error(), "secret")
		}
	}
	_, err := doctor.Run(nil, "ws://example.com/", nil) //nolint:staticcheck // that is the test
	require.Error(t, err)
}

func TestCalledOff(t *testing.T) {
	s := holdfasttest.NewServer(listener(t))
	t.Cleanup(s.Close)
	s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Hang{} })
	ctx, cancel := context.WithCancel(t.Context())
	o := options()
	o.OnStart = func(name string) {
		if name == doctor.StepUpgrade {
			cancel()
		}
	}
	r, err := doctor.Run(ctx, s.URL(), o)
	require.NoError(t, err)
	assert.False(t, r.Verdict.OK)
	assert.Equal(t, 1, r.Verdict.ExitCode)
	assert.Contains(t, r.Verdict.Summary, "called off")
	assert.NotNil(t, r.Step(doctor.StepTCP))
	assert.Nil(t, r.Step(doctor.StepPing))

	for _, scheme := range []string{"ws", "http"} { // before anything
		r, err = doctor.Run(ctx, scheme+s.URL()[len("ws"):], o)
		require.NoError(t, err)
		assert.Empty(t, r.Steps)
	}
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func TestStepsAreToldAsTheyAreDone(t *testing.T) {
	s := holdfasttest.NewServer(listener(t))
	t.Cleanup(s.Close)
	o := options()
	var started []string
	var done []doctor.Step
	o.OnStart = func(name string) { started = append(started, name) }
	o.OnStep = func(s doctor.Step) { done = append(done, s) }
	r := run(t, s.URL(), o)
	assert.Equal(t, r.Steps, done)
	for i, s := range r.Steps {
		assert.Equal(t, started[i], s.Name)
	}
	f := facts[doctor.PingFacts](t, r, doctor.StepPing)
	assert.Equal(t, 20, f.Sent)
	assert.Equal(t, 20, f.Received)
	assert.LessOrEqual(t, f.MinMS, f.MedianMS)
	assert.LessOrEqual(t, f.MedianMS, f.P99MS)
}

// The way has a latency of 40 ms in one direction, so each part of it has its time.
func TestTimes(t *testing.T) {
	bubble(t, func(t *testing.T, m *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		m.SetLatency(40 * time.Millisecond)
		r := run(t, s.URL(), o)
		for name, ms := range map[string]float64{doctor.StepTCP: 80, doctor.StepUpgrade: 80, doctor.StepPing: 80, doctor.StepClose: 80, doctor.StepURL: 0} {
			assert.InDelta(t, ms, r.Step(name).DurationMS, 0.001, name)
		}
		assert.InDelta(t, 80, facts[doctor.PingFacts](t, r, doctor.StepPing).P99MS, 0.001)
		assert.Contains(t, r.Verdict.Summary, "upgraded 80 ms after TCP, round trip 80 ms")
	})
}

// Pings may be lost, and pongs that repeat another payload are none.
func TestLoss(t *testing.T) {
	bubble(t, func(t *testing.T, _ *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		s.OnRequest(func(int, *http.Request) holdfasttest.Reply {
			return holdfasttest.Serve(func(p *holdfasttest.Peer) {
				n := 0
				p.OnPing(func(payload []byte) ([]byte, bool) {
					n++
					return payload, n%2 == 0
				})
				for {
					if _, _, err := p.Receive(); err != nil {
						return
					}
				}
			})
		})
		o.Pings, o.Timeout = 4, time.Minute
		r := run(t, s.URL(), o)
		f := facts[doctor.PingFacts](t, r, doctor.StepPing)
		assert.Equal(t, 4, f.Sent)
		assert.InDelta(t, 50, f.LossPercent, 0.001)
		assert.Equal(t, doctor.Warn, r.Step(doctor.StepPing).Status)
		assert.Equal(t, doctor.Warn, r.Verdict.Status)
		assert.True(t, r.Verdict.OK)
	})
}

// The handler of package server does not run for a WebSocket: the link is opened
// and not attached.
func TestNoHandlerRunsForPings(t *testing.T) {
	var runs atomic.Int32
	srv := server.New(func(ctx context.Context, s *server.Session) error {
		runs.Add(1)
		_, err := s.Receive(ctx)
		return err
	}, nil)
	s := holdfasttest.NewServer(listener(t))
	t.Cleanup(s.Close)
	s.Handle(srv)
	o := options()
	o.OnStart = func(name string) {
		if name == doctor.StepLongPoll {
			assert.Zero(t, runs.Load())
		}
	}
	r := run(t, s.URL(), o)
	assert.EqualValues(t, 1, runs.Load())
	assert.True(t, facts[doctor.UpgradeFacts](t, r, doctor.StepUpgrade).Session)
	assert.True(t, facts[doctor.LongPollFacts](t, r, doctor.StepLongPoll).Works)
	assert.Equal(t, "passed on", facts[doctor.BufferingFacts](t, r, doctor.StepBuffering).Requests)
}

// A proxy that reads requests to their end before it passes them on.
func TestBufferingIsSeen(t *testing.T) {
	origin := serve(t, listening(t, nil))
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin})
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		w.Header().Set("Via", "1.1 front")
		proxy.ServeHTTP(w, r)
	}))
	r := run(t, "ws://"+front+"/stream", options())
	assert.True(t, r.Verdict.OK)
	assert.Equal(t, "held", facts[doctor.BufferingFacts](t, r, doctor.StepBuffering).Requests)
	assert.Equal(t, doctor.Warn, r.Step(doctor.StepBuffering).Status)
	assert.Equal(t, doctor.OK, r.Verdict.Status, "it does no harm")
}

// WebSocket gets through, and requests do not.
func TestPollsAreBlocked(t *testing.T) {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: serve(t, listening(t, nil))})
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "no", http.StatusMethodNotAllowed)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	r := run(t, "ws://"+front+"/stream", options())
	assert.True(t, r.Verdict.OK)
	f := facts[doctor.LongPollFacts](t, r, doctor.StepLongPoll)
	assert.False(t, f.Works)
	assert.True(t, f.PlainHTTP)
	assert.Equal(t, http.StatusMethodNotAllowed, f.StatusCode)
	assert.Contains(t, strings.Join(r.Verdict.Advice, " "), "it would be no fallback here")
	assert.Equal(t, doctor.Skipped, r.Step(doctor.StepBuffering).Status)
}

func TestRedirectIsFollowedAndTold(t *testing.T) {
	s := holdfasttest.NewServer(listener(t))
	t.Cleanup(s.Close)
	s.OnRequest(func(_ int, r *http.Request) holdfasttest.Reply {
		if r.URL.Path == "/old" {
			return holdfasttest.Refuse{Status: 307, Header: http.Header{"Location": {"/new"}}}
		}
		return holdfasttest.Accept{}
	})
	r := run(t, s.URL()+"old", options())
	f := facts[doctor.UpgradeFacts](t, r, doctor.StepUpgrade)
	assert.True(t, f.Redirected)
	assert.Equal(t, s.URL()+"new", f.URL)
	assert.True(t, r.Verdict.OK)
	assert.Contains(t, strings.Join(r.Verdict.Advice, " "), "use the redirect's target")
}

func TestClockSkew(t *testing.T) {
	s := holdfasttest.NewServer(listener(t))
	t.Cleanup(s.Close)
	s.OnRequest(func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Accept{Header: http.Header{"Date": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}}
	})
	r := run(t, s.URL(), options())
	skew := facts[doctor.UpgradeFacts](t, r, doctor.StepUpgrade).ClockSkewMS
	require.NotNil(t, skew)
	assert.GreaterOrEqual(t, *skew, float64(time.Hour.Milliseconds()))
	assert.Contains(t, strings.Join(r.Verdict.Advice, " "), "set this host's clock")
}

// A look at a certificate that is not trusted sends nothing over TLS.
func TestNothingIsSentToTheUntrusted(t *testing.T) {
	s := holdfasttest.NewTLSServer(listener(t), nil)
	t.Cleanup(s.Close)
	o := options()
	o.Header = http.Header{"Authorization": {"Bearer secret-token"}}
	o.TLSConfig = &tls.Config{}
	r := run(t, s.URL(), o)
	f := facts[doctor.TLSFacts](t, r, doctor.StepTLS)
	assert.Equal(t, "TLS 1.3", f.Version)
	assert.NotEmpty(t, f.Chain)
	assert.True(t, f.NameMatch)
	assert.False(t, f.Verified)
	assert.Equal(t, holdfast.ClassTLSTrust, r.Verdict.Class)
	assert.Zero(t, s.Requests())
}

func TestExitCodes(t *testing.T) {
	seen := map[int]bool{0: true, 1: true, 2: true, 130: true}
	for class := holdfast.ClassUnknown; class <= holdfast.ClassNotSticky; class++ {
		code := doctor.ExitCodeOf(class)
		assert.False(t, seen[code], "%v has a code of its own", class)
		seen[code] = true
		assert.NotContains(t, class.String(), "Class(")
	}
	assert.Contains(t, (holdfast.ClassNotSticky + 1).String(), "Class(", "a new class needs an exit code")
	assert.Equal(t, doctor.ExitCodeOf(holdfast.ClassUnknown), doctor.ExitCodeOf(-1))
	assert.Equal(t, 27, doctor.ExitCodeOf(holdfast.ClassNotFound), "scripts know them")
}

// schemaFile has every key that a report can have.
const schemaFile = "testdata/schema.json"

func TestSchema(t *testing.T) {
	skew, day := -1500.0, time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	step := func(name string, facts any) doctor.Step {
		return doctor.Step{Name: name, Status: doctor.OK, DurationMS: 1.5, Summary: "summary", Details: []string{"detail"}, Facts: facts}
	}
	headers := map[string]string{"Server": "nginx"}
	r := doctor.Report{Schema: doctor.Schema, URL: "wss://example.com/stream?token=redacted", Started: day, DurationMS: 12.25,
		Steps: []doctor.Step{
			step(doctor.StepURL, &doctor.URLFacts{Scheme: "wss", Host: "example.com", Port: "443", TLS: true}),
			step(doctor.StepProxy, &doctor.ProxyFacts{URL: "http://proxy.example:3128", Source: "HTTPS_PROXY"}),
			step(doctor.StepNetwork, &doctor.NetworkFacts{Interfaces: []doctor.Interface{{Name: "eth0", Running: true, Addresses: []string{"192.0.2.1/24"}}},
				Target: "example.com:443", Reachability: "reachable"}),
			step(doctor.StepDNS, &doctor.DNSFacts{Name: "example.com", CNAME: "www.example.com",
				Lookups: []doctor.Lookup{{Type: "A", Addresses: []string{"192.0.2.2"}, DurationMS: 1.5, Error: "error"}}}),
			step(doctor.StepTCP, &doctor.TCPFacts{Connections: []doctor.Connection{{Address: "192.0.2.2:443", Local: "192.0.2.1", Interface: "eth0", DurationMS: 1.5, Error: "error"}}}),
			step(doctor.StepTunnel, &doctor.TunnelFacts{Protocol: "CONNECT", StatusCode: 403, Headers: headers}),
			step(doctor.StepTLS, &doctor.TLSFacts{ServerName: "example.com", Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", ALPN: "http/1.1", Verified: true,
				VerificationOff: true, Error: "error", NameMatch: true,
				Chain: []doctor.Certificate{{Subject: "example.com", Issuer: "CA", Names: []string{"example.com"}, NotBefore: day, NotAfter: day, ExpiresInDays: 30}}}),
			step(doctor.StepUpgrade, &doctor.UpgradeFacts{StatusCode: 101, Headers: headers, URL: "wss://example.com/stream", Redirected: true,
				Intermediaries: []string{"Via 1.1 squid"}, Session: true, ClockSkewMS: &skew}),
			step(doctor.StepSubprotocol, &doctor.SubprotocolFacts{Offered: 2, Chosen: "chat.v1"}),
			step(doctor.StepPing, &doctor.PingFacts{Sent: 20, Received: 19, LossPercent: 5, MinMS: 1, MedianMS: 2, P99MS: 3}),
			step(doctor.StepClose, &doctor.CloseFacts{Answered: true}),
			step(doctor.StepLongPoll, &doctor.LongPollFacts{Works: true, PlainHTTP: true, StatusCode: 404, OpenMS: 1, RoundTripMS: 1.5, CloseMS: 2}),
			step(doctor.StepBuffering, &doctor.BufferingFacts{Requests: "passed on", WithheldMS: 500}),
			step(doctor.StepIdle, &doctor.IdleFacts{Links: []doctor.IdleLink{{PlannedMS: 1000, LastedMS: 1000, SilenceMS: 1000, End: "alive", Error: "error"}},
				SurvivedMS: 1000, KeepaliveMS: 500, ServerPings: true}),
			{Name: doctor.StepIdle, Status: doctor.Skipped, Summary: "not asked for"},
		},
		Verdict: doctor.Verdict{Status: doctor.Fail, Class: holdfast.ClassTLSTrust, Phase: holdfast.PhaseTLS, StatusCode: 403,
			Decision: holdfast.DecisionRetrySlowly, Summary: "Summary.", Advice: []string{"advice"}, ExitCode: 19},
	}
	got, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	if os.Getenv("HOLDFAST_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(schemaFile, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(schemaFile)
	require.NoError(t, err, "HOLDFAST_UPDATE_GOLDEN=1 go test . writes it")
	assert.Equal(t, string(want), string(got)+"\n", "what a field means may not change within a schema, and none may go")

	fine, err := json.Marshal(doctor.Verdict{OK: true, Status: doctor.OK, Summary: "Fine."})
	require.NoError(t, err)
	assert.JSONEq(t, `{"ok":true,"status":"ok","summary":"Fine.","advice":[],"exit_code":0}`, string(fine))
}
