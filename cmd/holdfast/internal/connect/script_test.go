package connect

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/server"
)

func TestSendAndExpect(t *testing.T) {
	w := newWorld(t, nil, nil)
	r := command(t, "not read", w.url(), "--send", "one", "--send", "two", "--send", "three", "--expect", "ne", "--expect-re", "^th.*e$")
	assert.Equal(t, 0, r.code, r.errors)
	assert.Equal(t, "one\ntwo\nthree\n", r.out)
	w.awaitTexts("one", "two", "three")
	assert.Contains(t, r.errors, "connected over websocket\n")
	assert.Contains(t, r.errors, "closed; 3 messages sent, 3 received\n")
	var end *holdfast.CloseError
	require.ErrorAs(t, w.ended(), &end)
	assert.Equal(t, holdfast.StatusNormalClosure, end.Code)
}

func TestExpectationsAreInOrder(t *testing.T) {
	w := newWorld(t, nil, nil)
	r := command(t, "", w.url(), "--quiet", "--timeout", "300ms", "--send", "one", "--send", "two", "--expect", "two", "--expect", "one")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, `expectation 2 of 2 has not arrived: "one"`)
	assert.NotContains(t, r.errors, "connected")
}

func TestOneMessageMeetsOneExpectation(t *testing.T) {
	e := expecting([]want{{text: "a"}, {text: "a"}})
	e.arrived("a")
	require.ErrorContains(t, e.missing(), "expectation 2 of 2")
	e.arrived("b")
	e.arrived("aa")
	require.NoError(t, e.missing())
	<-e.met
}

func TestPipe(t *testing.T) {
	w := newWorld(t, nil, nil)
	r := command(t, "one\r\n\nlast", w.url(), "--wait", "0")
	assert.Equal(t, 0, r.code, r.errors)
	w.awaitTexts("one", "", "last")
}

func TestInteractiveGoesOn(t *testing.T) {
	w := newWorld(t, nil, nil)
	r := command(t, "then\n", w.url(), "--send", "first", "--interactive", "--wait", "0")
	assert.Equal(t, 0, r.code, r.errors)
	w.awaitTexts("first", "then")
}

func TestPipeOfBinary(t *testing.T) {
	w := newWorld(t, nil, nil)
	r := command(t, "00ff\nbase64:AQID\n", w.url(), "--binary", "--wait", "0")
	assert.Equal(t, 0, r.code, r.errors)
	w.awaitTexts("00ff", "010203")

	r = command(t, "00ff\nhunter2\n", w.url(), "--binary")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "line 2 of the standard input is not hex")
	assert.NotContains(t, r.errors, "hunter2")
}

func TestAnswersAreAwaited(t *testing.T) {
	w := newWorld(t, func(ctx context.Context, s *server.Session) error {
		if _, err := s.Receive(ctx); err != nil {
			return err
		}
		if err := s.Send(ctx, holdfast.Binary, []byte{1, 2}); err != nil {
			return err
		}
		return s.Send(ctx, holdfast.Text, []byte("raw \x1b[31m")) // and closes with 1000
	}, nil)
	r := command(t, "question", w.url(), "--wait", enough.String())
	assert.Equal(t, 0, r.code, r.errors)
	assert.Equal(t, "0102\nraw \x1b[31m\n", r.out, "a file gets what was sent")
	assert.Contains(t, r.errors, "closed by the peer: 1000 normal closure")
}

func TestHowItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  error
		args []string
		code int
		want string
	}{
		"by the server, with 1000": {nil, nil, 0, "1000 normal closure"},
		"before what is expected":  {nil, []string{"--expect", "never"}, 1, `expectation 1 of 1 has not arrived: "never"`},
		"with an error":            {&holdfast.CloseError{Code: 1008, Reason: "go \x1b[2Jaway"}, nil, 1, `1008 policy violation "go \x1b[2Jaway"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(ctx context.Context, s *server.Session) error {
				_, _ = s.Receive(ctx)
				return c.end
			}, nil)
			r := command(t, "", append(c.args, w.url(), "--send", "x", "--wait", enough.String())...)
			assert.Equal(t, c.code, r.code, r.errors)
			assert.Contains(t, r.errors, c.want)
			assert.NotContains(t, r.errors, "\x1b")
		})
	}
}

// TestEndBeforeTheInput: the standard input never ends, the server does.
func TestEndBeforeTheInput(t *testing.T) {
	w := newWorld(t, func(context.Context, *server.Session) error { return nil }, nil)
	typed := newTyping()
	defer typed.Close()
	var errs paper
	set, err := parse([]string{w.url()})
	require.NoError(t, err)
	assert.Equal(t, 1, run(t.Context(), set, cli.Streams{In: typed, Out: &paper{}, Err: &errs}))
	assert.Contains(t, errs.String(), "the connection has ended before the standard input")
}

func TestRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer s.Close()
	r := command(t, "x", strings.Replace(s.URL, "http", "ws", 1), "--no-fallback", "--retries", "0")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "unauthorized")
}

func TestNothingListens(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.kill()
	r := command(t, "", w.url(), "--retries", "0", "--send", "x", "--quiet")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "server down")
	r = command(t, "", w.url(), "--retries", "0", "--send", "x")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "gave up at failure 1 in a row")
	assert.Equal(t, 1, strings.Count(r.errors, "server down"), "it is told once")
}

func TestTimeout(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.kill()
	r := command(t, "", w.url(), "--retries", "unlimited", "--timeout", "50ms", "--send", "x")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "flag -timeout: not done in time")
}

func TestTimeoutNamesTheFailure(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.kill()
	set, err := parse([]string{w.url(), "--retries", "unlimited"})
	require.NoError(t, err)
	var errs paper
	c := newClient(set, cli.Streams{Out: &paper{}, Err: &errs})
	late, end := context.WithCancelCause(t.Context())
	code := c.run(t.Context(), true, func(context.Context) error {
		errs.await(t, 0, "waiting ")
		end(errTimeout)
		return c.why(late, late.Err())
	})
	assert.Equal(t, 1, code)
	assert.Contains(t, errs.String(), "flag -timeout: not done in time: not connected: dial")
}

func TestInterrupt(t *testing.T) {
	w := newWorld(t, nil, nil)
	set, err := parse([]string{w.url()})
	require.NoError(t, err)
	typed := newTyping()
	defer typed.Close()
	var out, errs paper
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { done <- run(ctx, set, cli.Streams{In: typed, Out: &out, Err: &errs}) }()
	typed.write("hello\n")
	out.await(t, 0, "hello\n")
	cancel()
	assert.Equal(t, 130, <-done)
	var end *holdfast.CloseError
	require.ErrorAs(t, w.ended(), &end)
	assert.Equal(t, holdfast.StatusNormalClosure, end.Code)
}

func TestTransports(t *testing.T) {
	w := newWorld(t, nil, nil)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{w.url()}, "connected over websocket\n"},
		{[]string{w.url(), "--no-fallback"}, "connected over websocket\n"},
		{[]string{w.url(), "--no-session"}, "connected over websocket\n"},
		{[]string{strings.Replace(w.url(), "ws", "http", 1)}, "connected over longpoll\n"},
	} {
		r := command(t, "", append(c.args, "--send", "x", "--expect", "x", "--proxy", "none", "--ping", "0")...)
		assert.Equal(t, 0, r.code, r.errors)
		assert.Contains(t, r.errors, c.want)
	}
}

func TestSubprotocolAndHeaders(t *testing.T) {
	t.Setenv("HOLDFAST_TEST_AUTH", "Bearer hunter2")
	heads := make(chan http.Header, 1)
	w := newWorld(t, func(ctx context.Context, s *server.Session) error {
		heads <- s.Request().Header
		_, err := s.Receive(ctx)
		return err
	}, &server.Options{Subprotocols: []string{"b"}})
	s := interactive(t, w.url(), "-H", "X-One: 1", "--auth", "HOLDFAST_TEST_AUTH", "--subprotocol", "a", "--subprotocol", "b")
	got := <-heads
	assert.Equal(t, "1", got.Get("X-One"))
	assert.Equal(t, "Bearer hunter2", got.Get("Authorization"))
	s.screen.await(t, 0, "connected over websocket, subprotocol b")
	s.keys.write("\x04")
	assert.Equal(t, 0, <-s.code)
	assert.NotContains(t, s.screen.String(), "hunter2")
}

func TestInsecure(t *testing.T) {
	srv := server.New(func(ctx context.Context, s *server.Session) error {
		return s.Send(ctx, holdfast.Text, []byte("welcome"))
	}, nil)
	s := httptest.NewUnstartedServer(srv)
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	defer srv.Shutdown(context.Background())
	url := strings.Replace(s.URL, "https", "wss", 1)
	r := command(t, "", url, "--retries", "0", "--send", "x", "--timeout", "10s")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "certificate")
	r = command(t, "", url, "--insecure", "--expect", "welcome")
	assert.Equal(t, 0, r.code, r.errors)
}

// TestRestartOfAScript: what is piped while the server is away arrives.
func TestRestartOfAScript(t *testing.T) {
	w := newWorld(t, nil, nil)
	set, err := parse([]string{w.url(), "--wait", "0"})
	require.NoError(t, err)
	typed := newTyping()
	var out, errs paper
	done := make(chan int)
	go func() { done <- run(t.Context(), set, cli.Streams{In: typed, Out: &out, Err: &errs}) }()
	typed.write("before\n")
	out.await(t, 0, "before\n")
	w.kill()
	errs.await(t, 0, "waiting ")
	typed.write("meanwhile\n")
	typed.Close()
	w.start()
	assert.Equal(t, 0, <-done, errs.String())
	w.awaitTexts("before", "meanwhile")
}

func TestStates(t *testing.T) {
	down := &holdfast.DialError{Class: holdfast.ClassServerDown, URL: "ws://h/"}
	for _, c := range []struct {
		event holdfast.Event
		want  string
	}{
		{holdfast.Event{Kind: holdfast.EventConnecting, Attempt: 1, Endpoint: "ws://h/"}, "connecting to ws://h/"},
		{holdfast.Event{Kind: holdfast.EventConnecting, Attempt: 2}, ""},
		{holdfast.Event{Kind: holdfast.EventConnected, Transport: "longpoll"}, "connected over longpoll"},
		{holdfast.Event{Kind: holdfast.EventConnected, Transport: "websocket", Resumed: true}, "resumed over websocket"},
		{holdfast.Event{Kind: holdfast.EventDisconnected, Err: &holdfast.CloseError{Code: 1006}, Count: 2}, "lost: 1006 abnormal closure; of 2 messages it is not known whether they arrived"},
		{holdfast.Event{Kind: holdfast.EventDisconnected, Err: &holdfast.CloseError{Code: 1012, Remote: true}}, "lost: closed by the peer: 1012 service restart"},
		{holdfast.Event{Kind: holdfast.EventAttemptFailed, Err: down}, "failed: dial ws://h/: server down"},
		{holdfast.Event{Kind: holdfast.EventWaiting, Delay: 1234 * time.Millisecond}, "waiting 1.2 s"},
		{holdfast.Event{Kind: holdfast.EventWaiting, Delay: 34 * time.Millisecond}, "waiting 34 ms"},
		{holdfast.Event{Kind: holdfast.EventOffline, Err: down}, "offline: dial ws://h/: server down"},
		{holdfast.Event{Kind: holdfast.EventOnline}, "online"},
		{holdfast.Event{Kind: holdfast.EventUpgraded, Transport: "websocket"}, "back on websocket"},
		{holdfast.Event{Kind: holdfast.EventFellBack, Transport: "longpoll", Err: down}, "fell back on longpoll: dial ws://h/: server down"},
		{holdfast.Event{Kind: holdfast.EventGap}, "gap: messages from the server may be missing here"},
		{holdfast.Event{Kind: holdfast.EventDropped, Count: 1, Err: holdfast.ErrDropped}, "dropped 1 message: "},
		{holdfast.Event{Kind: holdfast.EventClosed}, ""},
	} {
		if got := told(c.event); c.want == "" || !strings.HasPrefix(got, c.want) {
			assert.Equal(t, c.want, got)
		}
	}
}

// TestBlockedWebSocket: what stands before the server lets no upgrade through.
func TestBlockedWebSocket(t *testing.T) {
	w := newWorld(t, nil, nil)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(rw, "no WebSocket here", http.StatusForbidden)
			return
		}
		w.srv.ServeHTTP(rw, r)
	}))
	defer front.Close()
	url := strings.Replace(front.URL, "http", "ws", 1) + "/stream?token=hunter2"
	r := command(t, "", url, "--send", "x", "--expect", "x")
	assert.Equal(t, 0, r.code, r.errors)
	assert.Contains(t, r.errors, "connected over longpoll\n")
	assert.Contains(t, r.errors, "fell back on longpoll: ")
	assert.NotContains(t, r.errors, "hunter2")
	r = command(t, "", url, "--send", "x", "--expect", "x", "--no-fallback", "--retries", "0")
	assert.Equal(t, 1, r.code)
	assert.NotContains(t, r.errors, "hunter2")
}

func TestProxy(t *testing.T) {
	asked := make(chan *http.Request, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	r := command(t, "", "ws://elsewhere.test/?token=hunter2", "--proxy", strings.Replace(proxy.URL, "://", "://user:hunter2@", 1), "--retries", "0", "--no-fallback", "--send", "x")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errors, "proxy refused")
	assert.NotContains(t, r.errors, "hunter2")
	got := <-asked
	assert.Equal(t, http.MethodConnect, got.Method)
	assert.Equal(t, "elsewhere.test:80", got.Host)
}
