package connect

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

func TestRecordAndReplay(t *testing.T) {
	t.Setenv("HOLDFAST_TEST_AUTH", "Bearer hunter2")
	w := newWorld(t, nil, nil)
	name := filepath.Join(t.TempDir(), "record")
	r := command(t, "00ff\n\nbase64:AQI=\n", w.url(), "--auth", "HOLDFAST_TEST_AUTH", "--binary", "--record", name, "--wait", "500ms")
	require.Equal(t, 0, r.code, r.errors)
	r = command(t, "", w.url(), "--send", "<text> \"\u2028", "--expect", "text", "--record", name+"2")
	require.Equal(t, 0, r.code, r.errors)
	w.awaitTexts("00ff", "", "0102", "<text> \"\u2028")

	var sentData, receivedData []string
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var e entry
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		m, err := e.message()
		require.NoError(t, err)
		if e.Direction == sent {
			sentData = append(sentData, plain(m))
		} else {
			receivedData = append(receivedData, plain(m))
		}
	}
	assert.Equal(t, []string{"00ff", "", "0102"}, sentData)
	assert.Equal(t, sentData, receivedData)
	assert.NotContains(t, string(data), "hunter2")
	if runtime.GOOS != "windows" {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}

	for _, name := range []string{name, name + "2"} {
		w2 := newWorld(t, nil, nil)
		r = command(t, "", w2.url(), "--replay", name, "--speed", "1000", "--wait", "0")
		assert.Equal(t, 0, r.code, r.errors)
		want := sentData
		if strings.HasSuffix(name, "2") {
			want = []string{"<text> \"\u2028"}
		}
		w2.awaitTexts(want...)
	}
}

func TestRecordOverwritesNothing(t *testing.T) {
	w := newWorld(t, nil, nil)
	name := filepath.Join(t.TempDir(), "record")
	require.NoError(t, os.WriteFile(name, []byte("precious"), 0o600))
	assert.Equal(t, 2, command(t, "x", w.url(), "--record", name).code)
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(data))
	assert.Empty(t, w.texts(), "nothing was sent")
}

// TestReplayKeepsTheGaps measures them in virtual time.
func TestReplayKeepsTheGaps(t *testing.T) {
	entries := []entry{newEntry(3*time.Second, sent, text1("a")), newEntry(3500*time.Millisecond, sent, text1("b")), newEntry(13*time.Second, sent, text1("c"))}
	for _, c := range []struct {
		speed float64
		want  []time.Duration
	}{
		{1, []time.Duration{0, 500 * time.Millisecond, 10 * time.Second}},
		{10, []time.Duration{0, 50 * time.Millisecond, time.Second}},
		{0.5, []time.Duration{0, time.Second, 20 * time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var at []time.Duration
			require.NoError(t, replay(t.Context(), entries, c.speed, func(holdfast.Message) error {
				at = append(at, time.Since(start))
				return nil
			}))
			assert.Equal(t, c.want, at)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTimeout)
		defer cancel()
		n := 0
		err := replay(ctx, entries, 1, func(holdfast.Message) error { n++; return nil })
		assert.ErrorIs(t, err, errTimeout)
		assert.Equal(t, 2, n)
	})
}

func TestWrongRecords(t *testing.T) {
	for line, want := range map[string]string{
		`{"time":0,"direction":"up","type":"text","data":""}`:                 "line 1: direction",
		`{"time":0,"direction":"sent","type":"json","data":""}`:               "line 1: type",
		`{"time":-1,"direction":"sent","type":"text","data":""}`:              "line 1: time",
		`{"time":1e300,"direction":"sent","type":"text","data":""}`:           "line 1: time",
		`{"time":0,"direction":"sent","type":"binary","base64":"*"}`:          "line 1: base64",
		`{"time":0,"direction":"sent","type":"text","base64":"/w=="}`:         "line 1: the text is not UTF-8",
		`{"time":0,"direction":"sent","type":"binary","base64":"","data":""}`: "line 1: one of",
		"\nnonsense": "line 2 is not JSON",
		`{"time":2,"direction":"sent","type":"text","data":""}` + "\n" + `{"time":1,"direction":"sent","type":"text","data":""}`: "line 2: time is before",
		"": "no sent message",
	} {
		name := filepath.Join(t.TempDir(), "record")
		require.NoError(t, os.WriteFile(name, []byte(line), 0o600))
		_, err := loadReplay(name)
		assert.ErrorContains(t, err, want, "%s", line)
	}
}

func text1(s string) holdfast.Message {
	return holdfast.Message{Type: holdfast.Text, Data: []byte(s)}
}
