package doctor

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/netwatch"
)

// Each cause of failure is made for real, and the command has to name it. A Conn
// that meets the same has to say the same.

const (
	// patience bounds every wait; it is no measure of anything.
	patience = 30 * time.Second
	// short is the time-out where the cause is that nothing comes.
	short = 150 * time.Millisecond
)

var update = flag.Bool("update", false, "write the golden files anew")

const updateEnv = "HOLDFAST_UPDATE_GOLDEN" // for a test that runs itself in a namespace

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		os.Setenv(updateEnv, "1")
	}
	// A look-up that nobody waits for goes on in package net until it is answered.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func1"), goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("net.(*Resolver).tryOneName"))
}

// failure is one cause and what must be said of it.
type failure struct {
	cause string
	// make brings the cause about, changes options where it takes that, and
	// returns the URL.
	make func(t *testing.T, o *doctor.Options) (target string)

	class  holdfast.Class
	fine   bool   // it works all the same; then class says nothing
	code   int    // the exit code where it is not the class's
	advice string // a part of the summary or of the advice
	step   string // the step that fails; "" says nothing

	parallel bool // takes long
	loose    bool // one of two time-outs is seen first, and the words are its
}

func diagnose(t *testing.T, rows []failure) {
	t.Helper()
	for _, f := range rows {
		t.Run(f.cause, f.check)
	}
}

// Every secret has this word in it, and no other text has.
const planted = "planted"

var plantedBasic = base64.StdEncoding.EncodeToString([]byte(planted + "-user:" + planted + "-password"))

// plant puts user-info and a query value into a URL.
func plant(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	u.User = url.UserPassword(planted+"-user", planted+"-password")
	u.RawQuery = "token=" + planted + "-token"
	return u.String()
}

func (f failure) check(t *testing.T) {
	if f.parallel {
		t.Parallel()
	}
	c := &command{opts: doctor.Options{
		Header:                   http.Header{"Cookie": {"session=" + planted + "-cookie"}, "X-Key": {planted + "-key"}},
		Proxy:                    func(*http.Request) (*url.URL, error) { return nil, nil },
		AllowInsecureCredentials: true,
		Pings:                    3,
	}}
	c.url = plant(t, f.make(t, &c.opts))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var out bytes.Buffer
	v := newScreen(&out)
	c.show(v)
	report, err := doctor.Run(ctx, c.url, &c.opts)
	require.NoError(t, err)
	v.verdict(report, false)

	f.judge(t, report)
	if !f.loose {
		golden(t, f.cause, out.String())
	}
	asJSON, err := json.Marshal(report)
	require.NoError(t, err)
	for _, said := range []string{out.String(), string(asJSON)} {
		assert.NotContains(t, said, planted, "a secret is shown")
		assert.NotContains(t, said, plantedBasic, "a secret is shown")
	}
	f.compare(t, ctx, c, report)
}

func (f failure) judge(t *testing.T, report *doctor.Report) {
	t.Helper()
	v := report.Verdict
	assert.Equal(t, f.fine, v.OK)
	code := f.code
	if !f.fine && code == 0 {
		assert.Equal(t, f.class.String(), v.Class.String())
		code = doctor.ExitCodeOf(f.class)
	}
	assert.Equal(t, code, v.ExitCode)
	if f.advice != "" {
		assert.Contains(t, v.Summary+" "+strings.Join(v.Advice, "; "), f.advice)
	}
	for _, s := range report.Steps {
		if s.Status == doctor.Fail && f.step != "" {
			assert.Equal(t, f.step, s.Name, "the first step that fails")
			break
		}
	}
}

// compare has a Conn meet the same: one with long polling as its fallback where
// that was seen to work, and else one without.
func (f failure) compare(t *testing.T, ctx context.Context, c *command, report *doctor.Report) {
	t.Helper()
	d := &c.opts
	var network holdfast.Network = netwatch.System()
	if d.DialContext != nil {
		network = silent{}
	}
	o := &holdfast.Options{
		Header: d.Header, Authorize: d.Authorize, TLSConfig: d.TLSConfig, Proxy: d.Proxy, DialContext: d.DialContext,
		AllowInsecureCredentials: true, HandshakeTimeout: d.Timeout, Retry: holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry},
		Network: &eager{Network: network}, CloseTimeout: short, Subprotocols: d.Subprotocols,
	}
	if d.Resolver != nil {
		o.DialContext = (&net.Dialer{Resolver: d.Resolver}).DialContext
	}
	longpoll := report.Step(doctor.StepLongPoll)
	facts, _ := longpoll.Facts.(*doctor.LongPollFacts)
	polls := facts != nil && facts.Works
	if polls || strings.HasPrefix(c.url, "http") {
		o.Fallback = []holdfast.Transport{fallback.LongPoll(nil)}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed *holdfast.DialError
	told := make(chan struct{})
	o.OnEvent = func(e holdfast.Event) {
		mu.Lock()
		defer mu.Unlock()
		if (e.Kind == holdfast.EventAttemptFailed || e.Kind == holdfast.EventFellBack) && failed == nil && errors.As(e.Err, &failed) {
			close(told)
			if e.Kind == holdfast.EventAttemptFailed {
				cancel() // one that is offline would wait
			}
		}
	}
	conn, err := holdfast.Dial(ctx, c.url, o)
	if err == nil {
		defer conn.Close()
	}
	if f.fine || f.code != 0 { // a Conn is up, and no class is told
		require.NoError(t, err)
		return
	}
	select {
	case <-told:
	case <-time.After(patience):
		require.Fail(t, "the Conn has no failure to tell", "%v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	v := report.Verdict
	assert.Equal(t, failed.Class.String(), v.Class.String(), "the Conn says otherwise")
	if failed.Phase != 0 { // it has fallen back before WebSocket had failed
		assert.Equal(t, failed.Phase.String(), v.Phase.String(), "the Conn says otherwise")
	}
	assert.Equal(t, failed.StatusCode, v.StatusCode, "the Conn says otherwise")
	if f.loose {
		return
	}
	hint := regexp.MustCompile(planted+`-\w+`).ReplaceAllString(failed.Hint, "redacted")
	cause, cure, _ := strings.Cut(hint, ": ")
	assert.Equal(t, normal(strings.ToUpper(cause[:1])+cause[1:]+"."), normal(v.Summary))
	if cure != "" {
		require.NotEmpty(t, v.Advice)
		assert.Equal(t, normal(cure), normal(v.Advice[0]))
	}
}

// eager is a Network on which the first dial is made whatever it says.
type eager struct {
	holdfast.Network
	once sync.Once
}

func (e *eager) Check(ctx context.Context, host string) holdfast.Reachability {
	first := false
	e.once.Do(func() { first = true })
	if first {
		return holdfast.ReachUnknown
	}
	return e.Network.Check(ctx, host)
}

func (*eager) Changes(context.Context) <-chan struct{} { return nil }

// silent is a Network that knows nothing.
type silent struct{}

func (silent) Check(context.Context, string) holdfast.Reachability { return holdfast.ReachUnknown }
func (silent) Changes(context.Context) <-chan struct{}             { return nil }

var changing = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\b\d+(\.\d+)? (ms|s)\b`), "T"},
	{regexp.MustCompile(`(127\.0\.0\.\d|localhost|\[::1\]):\d+`), "$1:PORT"},
	{regexp.MustCompile(`server\.test:\d{5}`), "server.test:PORT"},
	{regexp.MustCompile(`port \d{4,5}\b`), "port PORT"},
	{regexp.MustCompile(`20[23]\d-\d\d-\d\d \d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`until \d{4}-\d\d-\d\d, \d+ days`), "until DATE, N days"},
	{regexp.MustCompile(`expired on 20[23]\d-\d\d-\d\d`), "expired on DATE"},
	{regexp.MustCompile(`current time \S+ is`), "current time NOW is"},
	{regexp.MustCompile(`NOW is (after|before) 202[5-9]\S+`), "NOW is $1 DATE"},
	{regexp.MustCompile(`fe80::[0-9a-f:]+/64`), "fe80::LINK/64"},
	{regexp.MustCompile(`the link ended: (EOF|connection reset by peer|broken pipe)`), "the link ended: IT BROKE"},
	{regexp.MustCompile(`key "[^"]+"`), `key "KEY"`},
	{regexp.MustCompile(`and the answer's Date differ by .*`), "and the answer's Date differ by D"},
	{regexp.MustCompile(`TLS_AES_\w+|TLS_CHACHA20_\w+|TLS_ECDHE_\w+`), "SUITE"},
}

// stepTime is how long a step took, in its column.
var stepTime = regexp.MustCompile(`(?m)^(\S \w+) +\d+(\.\d+)? m?s  `)

// normal is text without what is another one at each run.
func normal(text string) string {
	text = stepTime.ReplaceAllStringFunc(text, func(s string) string {
		name, took, _ := strings.Cut(s, "  ")
		if took == "" { // a long name
			return s
		}
		return name + strings.Repeat(" ", len(took)-1) + "T  "
	})
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.by)
	}
	return text
}

// hostsOwn is what step network says of this host.
var hostsOwn = regexp.MustCompile(`(?m)^. network .*\n( {26}.*\n)*`)

// golden compares with a file of testdata. What the system calls its interfaces,
// outside of a namespace, is not in it.
func golden(t *testing.T, name, text string) {
	t.Helper()
	text = normal(text)
	if os.Getenv("HOLDFAST_NETNS_TEST") == "" {
		text = hostsOwn.ReplaceAllString(text, "? network                 of this host\n")
	}
	path := filepath.Join("testdata", regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-")+".txt")
	if *update || os.Getenv(updateEnv) != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test -update . writes it")
	assert.Equal(t, string(want), text)
}
