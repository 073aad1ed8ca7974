package holdfast_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// Each cause of failure is made for real, over sockets, and Dial must explain
// it. The rows are in files by the part that fails.

const (
	// patience bounds every wait; it is no measure of anything.
	patience = 30 * time.Second
	// short is HandshakeTimeout where the cause is that nothing comes.
	short = 150 * time.Millisecond
)

// failure is one cause of a failed attempt and what must be said of it.
type failure struct {
	cause string
	// make brings the cause about, changes options where it takes that, and
	// returns the URL to dial.
	make func(t *testing.T, o *holdfast.Options) (target string)

	phase      holdfast.Phase
	class      holdfast.Class
	status     int
	decision   holdfast.Decision
	retryAfter time.Duration
	hint       []string // parts of it; what to do is one of them
	is         error    // in the chain; nil says nothing

	parallel bool // runs beside others that take long
}

// explain dials for each row and checks what comes of it.
func explain(t *testing.T, rows []failure) {
	t.Helper()
	for _, f := range rows {
		t.Run(f.cause, f.check)
	}
}

func (f failure) check(t *testing.T) {
	if f.parallel {
		t.Parallel()
	}
	o := failureOptions()
	target := f.make(t, o)
	r := record(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := holdfast.Dial(ctx, plant(t, target), o)
	require.Error(t, err)
	r.await(holdfast.EventClosed, 1)
	r.hidesSecrets(err)

	var de *holdfast.DialError
	require.ErrorAs(t, err, &de)
	f.describes(t, de)
	assert.Equal(t, 1, de.Attempt)
	assert.Len(t, r.of(holdfast.EventConnecting), 1, "dials")
	assert.Equal(t, []holdfast.Decision{f.decision}, r.decided())
	assert.Equal(t, f.decision != holdfast.DecisionStop, errors.Is(err, holdfast.ErrRetriesExhausted),
		"what a retry cannot cure ends the Conn at once, the rest at the cap: %v", err)
	failed := r.of(holdfast.EventAttemptFailed)
	require.Len(t, failed, 1)
	assert.Same(t, de, failed[0].Err)
}

// describes holds a DialError to the row.
func (f failure) describes(t *testing.T, de *holdfast.DialError) {
	t.Helper()
	assert.Equal(t, f.phase.String(), de.Phase.String(), "phase")
	assert.Equal(t, f.class.String(), de.Class.String(), "class")
	assert.Equal(t, f.status, de.StatusCode, "status")
	assert.Equal(t, f.decision.String(), de.Decision.String(), "decision")
	assert.Equal(t, f.retryAfter, de.RetryAfter, "Retry-After")
	require.NotEmpty(t, f.hint, "the row says nothing of the hint")
	for _, part := range f.hint {
		assert.Contains(t, de.Hint, part)
	}
	assert.Contains(t, de.Error(), de.Hint)
	assert.Less(t, len(de.Error()), 1000, "longer than a person wants to read")
	assert.Equal(t, "websocket", de.Transport)
	require.Error(t, de.Err, "the cause")
	if f.is != nil {
		require.ErrorIs(t, de, f.is)
	}
}

// failureOptions make one attempt without an environment's proxy.
func failureOptions() *holdfast.Options {
	return &holdfast.Options{
		Retry:                    holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry},
		Proxy:                    func(*http.Request) (*url.URL, error) { return nil, nil },
		AllowInsecureCredentials: true,
	}
}

// Every secret has this word in it, and no other text has.
const planted = "planted"

// plantedBasic is the user-info below as a header carries it.
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

// recorder is what a Conn said of itself.
type recorder struct {
	t *testing.T

	mu        sync.Mutex
	events    []holdfast.Event
	decisions []holdfast.Decision
	log       bytes.Buffer
	changed   chan struct{} // closed and replaced with each event
}

// record sets the options by which a Conn says what it does.
func record(t *testing.T, o *holdfast.Options) *recorder {
	r := &recorder{t: t, changed: make(chan struct{})}
	o.Logger = slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.OnEvent = func(e holdfast.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
		close(r.changed)
		r.changed = make(chan struct{})
	}
	o.Retry.Decide = func(_ error, d holdfast.Decision) holdfast.Decision {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.decisions = append(r.decisions, d)
		return d
	}
	return r
}

// Write takes the log.
func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// of returns the events of a kind so far.
func (r *recorder) of(kind holdfast.EventKind) []holdfast.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.events), func(e holdfast.Event) bool { return e.Kind != kind })
}

func (r *recorder) decided() []holdfast.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.decisions)
}

// await returns the n-th event of a kind, from 1, once it is there.
func (r *recorder) await(kind holdfast.EventKind, n int) holdfast.Event {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if found := r.of(kind); len(found) >= n {
			return found[n-1]
		}
		select {
		case <-changed:
		case <-timeout:
			r.t.Fatalf("event %d of %q did not come; there were:\n%s", n, kind, r.text())
		}
	}
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// hidesSecrets checks all that was said, in errors, events and the log.
func (r *recorder) hidesSecrets(errs ...error) {
	r.t.Helper()
	said := []string{r.text()}
	require.Contains(r.t, said[0], "holdfast: ", "the log is empty")
	r.mu.Lock()
	for _, e := range r.events {
		said = append(said, fmt.Sprintf("%+v", e))
		errs = append(errs, e.Err)
	}
	r.mu.Unlock()
	for _, err := range errs {
		for _, link := range chain(err) {
			said = append(said, link.Error(), fmt.Sprintf("%+v", link))
			if de, ok := link.(*holdfast.DialError); ok {
				said = append(said, de.Hint, de.URL)
			}
		}
	}
	for _, s := range said {
		assert.NotContains(r.t, s, planted, "a secret is shown")
		assert.NotContains(r.t, s, plantedBasic, "a secret is shown")
	}
}

// chain returns err and all that it wraps.
func chain(err error) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		all = append(all, chain(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = append(all, chain(inner)...)
		}
	}
	return all
}

func TestChainSeesWhatIsWrapped(t *testing.T) {
	inner := errors.New("inner")
	assert.Contains(t, chain(fmt.Errorf("%w, %w", io.EOF, fmt.Errorf("twice: %w", inner))), inner)
}

// Servers.

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// answering is a server that answers every handshake alike.
func answering(reply holdfasttest.Reply) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, _ *holdfast.Options) string {
		s := holdfasttest.NewServer(listen(t))
		t.Cleanup(s.Close)
		s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return reply })
		return s.URL() + "stream"
	}
}

// serveTCP hands each connection to f, which ends when the connection does, and
// then closes it. It returns the listener's address.
func serveTCP(t *testing.T, f func(net.Conn)) (addr string) {
	t.Helper()
	l := listen(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// hang answers nothing until the client leaves.
func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// readHead reads a request's head and returns it.
func readHead(c net.Conn) string {
	var head strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := c.Read(b); err != nil {
			break
		}
		head.Write(b)
	}
	return head.String()
}

// portOf is the port that a server listens on.
func portOf(s *holdfasttest.Server) string {
	u, err := url.Parse(s.URL())
	if err != nil {
		panic(err)
	}
	return u.Port()
}
