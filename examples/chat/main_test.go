package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

const asProgram = "HOLDFAST_EXAMPLE_CHAT"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, demo(t.Context(), log.New(&out, "", 0)))
	assert.Equal(t, `ann | * here: ann
bob | * here: ann, bob
ann | * bob has come
bob | ann: hello bob
ann | bob: hello ann, no WebSocket where I am
    (ann's link is cut)
ann | bob: still there?
bob | ann: I was never away
    (ann goes)
bob | * ann has left
    (the server restarts)
bob | (holdfast: closed by the peer: 1012 service restart)
bob | * here: bob
`, out.String())
}

// lines passes on what a program prints.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- strings.TrimSuffix(string(p), "\n")
	return len(p), nil
}

// until returns the next line that begins so.
func (l lines) until(ctx context.Context, t *testing.T, prefix string) string {
	t.Helper()
	for {
		select {
		case line := <-l:
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-ctx.Done():
			require.FailNow(t, "no line begins with "+prefix)
		}
	}
}

// terminal is a client that runs.
type terminal struct {
	keys  io.WriteCloser
	out   lines
	ctrlC context.CancelFunc
	ended chan error
}

func open(ctx context.Context, t *testing.T, url, name string) *terminal {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	p := &terminal{w, make(lines, 1000), cancel, make(chan error, 1)}
	go func() { p.ended <- client(ctx, r, log.New(p.out, "", 0), url, name) }()
	t.Cleanup(func() {
		cancel()
		w.Close()
	})
	return p
}

func (p *terminal) types(line string) { _, _ = fmt.Fprintln(p.keys, line) }

func TestClientsAndServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := start("127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.stop()) }()

	ann := open(ctx, t, s.url(), "ann")
	ann.out.until(ctx, t, "* here: ann")
	bob := open(ctx, t, pollingURL(s.url()), "bob")
	assert.Equal(t, "(connected by longpoll)", bob.out.until(ctx, t, "(connected"))
	ann.out.until(ctx, t, "* bob has come")

	bob.types("hello")
	ann.out.until(ctx, t, "bob: hello")
	bob.ctrlC()
	ann.out.until(ctx, t, "* bob has left")
	require.NoError(t, <-bob.ended)

	kim := open(ctx, t, s.url(), "kim")
	ann.out.until(ctx, t, "* kim has come")
	kim.types("and goodbye")
	kim.keys.Close()
	require.NoError(t, <-kim.ended, "the end of its input ends the client")
	ann.out.until(ctx, t, "kim: and goodbye")
	ann.out.until(ctx, t, "* kim has left")
	ann.ctrlC()
	require.NoError(t, <-ann.ended)
}

func TestServerEndsOnInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		t.Skip("a signal cannot be sent to another process here")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-serve", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asProgram+"=1",
		"GORACE=atexit_sleep_ms=0") // the race detector sleeps for a second otherwise
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	printed := bufio.NewReader(stdout)
	line, err := printed.ReadString('\n')
	require.NoError(t, err)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	require.True(t, found, line)

	ann, bob := open(ctx, t, url, "ann"), open(ctx, t, pollingURL(url), "bob")
	ann.out.until(ctx, t, "* ")
	bob.out.until(ctx, t, "* ")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(printed)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), string(rest))
	assert.Equal(t, "closing\n", string(rest))
	for _, p := range []*terminal{ann, bob} {
		assert.Contains(t, p.out.until(ctx, t, "(disconnected"), "1012 service restart")
		p.ctrlC() // while it tries again
		require.NoError(t, <-p.ended)
	}
}

// TestSlowReaderHoldsUpNobody has a member that reads nothing until it has
// missed lines.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.stop()) }) // after the clients
	read := func(conn *holdfast.Conn) string {
		msg, err := conn.Receive(ctx)
		require.NoError(t, err)
		return string(msg.Data)
	}
	enter := func(name string) *holdfast.Conn {
		conn, err := holdfast.Dial(ctx, s.url()+"?name="+name, &holdfast.Options{ReceiveBuffer: 10_000})
		require.NoError(t, err)
		t.Cleanup(func() { conn.CloseNow() })
		require.Contains(t, read(conn), "* here: ")
		return conn
	}
	slow, quick, speaker := enter("slow"), enter("quick"), enter("speaker")
	require.Equal(t, "* speaker has come", read(quick))
	n := 0
	// Each line has arrived before the next one is said. The two speak in turn, so
	// that each tells the server what it has: else its send buffer might fill.
	speak := func() {
		n++
		from, name, to := speaker, "speaker", quick
		if n%2 == 0 {
			from, name, to = quick, "quick", speaker
		}
		text := fmt.Sprintf("%d %s", n, strings.Repeat("x", 100))
		require.NoError(t, from.Send(ctx, holdfast.Text, []byte(text)))
		require.True(t, read(to) == name+": "+text, "line %d", n)
	}
	for range 500 { // more than fits into the buffers on the way to slow
		speak()
	}

	lines := make(chan string)
	go func() {
		defer close(lines)
		for msg, err := range slow.Messages(ctx) {
			if err != nil {
				return
			}
			select {
			case lines <- string(msg.Data):
			case <-ctx.Done():
			}
		}
	}()
	for last, next := 0, 0; next == 0; {
		select {
		case line, ok := <-lines:
			require.True(t, ok)
			var missed int
			var who string
			if _, err := fmt.Sscanf(line, "* you have missed %d lines\n%s %d", &missed, &who, &next); err == nil {
				assert.Positive(t, missed)
				assert.Equal(t, last+missed+1, next)
			}
			_, _ = fmt.Sscanf(line, "%s %d", &who, &last)
		default:
			speak() // what slow is told next, once there is room
		}
	}
}
