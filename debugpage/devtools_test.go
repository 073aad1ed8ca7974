package debugpage

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// browser is a headless Chromium, which a Conn drives through its DevTools
// protocol.
type browser struct {
	t    *testing.T
	conn *holdfast.Conn

	mu       sync.Mutex
	lastID   int
	answers  map[int]chan json.RawMessage
	loads    chan struct{} // of the page
	problems []string      // that the page has had
	requests []string      // that it has made
	session  string
}

// startBrowser starts Chromium, or skips the test where there is none.
func startBrowser(t *testing.T) *browser {
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("REQUIRE_CHROMIUM") != "" {
			require.NoError(t, err, "Debian has it in the package chromium")
		}
		t.Skip("there is no chromium: ", err)
	}
	profile, err := os.MkdirTemp("", "holdfast-chromium-*")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--user-data-dir="+profile, "--no-first-run",
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-extensions",
		"--disable-sync", "--no-proxy-server", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile, "XDG_CONFIG_HOME="+filepath.Join(profile, "config"), "XDG_CACHE_HOME="+filepath.Join(profile, "cache"))
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var reading sync.WaitGroup
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
	})
	found := make(chan string, 1)
	reading.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), "DevTools listening on "); ok {
				found <- url
			}
		}
		close(found)
	})
	var url string
	select {
	case url = <-found:
	case <-time.After(30 * time.Second):
	}
	require.NotEmpty(t, url, "Chromium has not said where its DevTools are")

	b := &browser{t: t, answers: map[int]chan json.RawMessage{}, loads: make(chan struct{}, 100)}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b.conn, err = holdfast.Dial(ctx, url, &holdfast.Options{MaxMessageSize: 256 << 20, ReceiveBuffer: 256 << 20, Session: holdfast.SessionOff})
	require.NoError(t, err)
	var listening sync.WaitGroup
	t.Cleanup(func() {
		_ = b.conn.CloseNow()
		<-b.conn.Done()
		listening.Wait()
	})
	listening.Go(b.listen)

	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Audits"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// listen takes what the browser says.
func (b *browser) listen() {
	for m, err := range b.conn.Messages(context.Background()) {
		if err != nil {
			return
		}
		var said struct {
			ID     int
			Method string
			Error  *struct{ Message string }
			Result json.RawMessage
			Params json.RawMessage
		}
		if json.Unmarshal(m.Data, &said) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case said.ID != 0:
			if said.Error != nil {
				b.problems = append(b.problems, said.Error.Message)
			}
			b.answers[said.ID] <- said.Result
			delete(b.answers, said.ID)
		case said.Method == "Page.loadEventFired":
			b.loads <- struct{}{}
		case said.Method == "Log.entryAdded", said.Method == "Runtime.exceptionThrown", said.Method == "Audits.issueAdded":
			if p := string(said.Params); !strings.Contains(p, "NavigationEntryMarkedSkippable") /* a click without a hand */ {
				b.problems = append(b.problems, said.Method+" "+p)
			}
		case said.Method == "Network.requestWillBeSent":
			var sent struct{ Request struct{ URL string } }
			_ = json.Unmarshal(said.Params, &sent)
			b.requests = append(b.requests, sent.Request.URL)
		}
		b.mu.Unlock()
	}
}

// call calls a method of DevTools.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.lastID++
	id := b.lastID
	answer := make(chan json.RawMessage, 1)
	b.answers[id] = answer
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		message["params"] = map[string]any{}
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	data, err := json.Marshal(message)
	require.NoError(b.t, err)
	require.NoError(b.t, b.conn.Send(context.Background(), holdfast.Text, data))
	select {
	case raw := <-answer:
		if result != nil {
			require.NoError(b.t, json.Unmarshal(raw, result))
		}
	case <-time.After(20 * time.Second):
		require.Failf(b.t, "no answer", "to %s", method)
	}
}

// open loads a page.
func (b *browser) open(url string) {
	b.t.Helper()
	for len(b.loads) > 0 {
		<-b.loads
	}
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.loaded()
}

func (b *browser) loaded() {
	b.t.Helper()
	select {
	case <-b.loads:
	case <-time.After(20 * time.Second):
		require.Fail(b.t, "the page does not load")
	}
}

// eval evaluates an expression of JavaScript in the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	require.Empty(b.t, string(got.ExceptionDetails), expression)
	return got.Result.Value
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.eval(expression) == true }, 10*time.Second, 20*time.Millisecond, expression)
}

// style sets the width of the screen, and light or dark.
func (b *browser) style(width int, scheme string) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// faults returns what has gone wrong on the pages since the last call.
func (b *browser) faults() []string {
	b.eval("1") // what came before has been heard
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.problems
	b.problems = nil
	return list
}

// shoot takes a picture of the screen, or of its first height pixels, if
// HOLDFAST_SCREENSHOTS names a folder.
func (b *browser) shoot(name string, height int) {
	folder := os.Getenv("HOLDFAST_SCREENSHOTS")
	params := map[string]any{"format": "png"}
	if height > 0 {
		params["captureBeyondViewport"] = true
		width := b.eval("innerWidth").(float64)
		params["clip"] = map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
	}
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", params, &shot)
	image, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.Equal(b.t, "\x89PNG", string(image[:4]))
	if folder != "" {
		require.NoError(b.t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s.png", name)), image, 0o644))
	}
}
