package connect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

func TestWrongFlags(t *testing.T) {
	t.Setenv("HOLDFAST_TEST_AUTH", "Bearer hunter2")
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(bad, []byte(`{"time":0,"direction":"sent","type":"text"}`), 0o600))
	received := filepath.Join(dir, "received")
	require.NoError(t, os.WriteFile(received, []byte(`{"time":0,"direction":"received","type":"text","data":"x"}`), 0o600))
	const url = "ws://127.0.0.1:1/"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "0 URLs given; one is needed"},
		{[]string{url, "ws://hunter2@b"}, "2 URLs given"},
		{[]string{""}, "URL: is empty"},
		{[]string{"localhost"}, "URL: has no scheme"},
		{[]string{"ftp://localhost"}, "URL: the scheme"},
		{[]string{"ws://u:hunter2@127.0.0.1/", "--auth", "HOLDFAST_TEST_AUTH"}, "URL: "},
		{[]string{"ws://192.0.2.1/", "--auth", "HOLDFAST_TEST_AUTH"}, "-allow-insecure-credentials"},
		{[]string{url, "--auth", "Bearer hunter2"}, "flag -auth"},
		{[]string{url, "-H", "hunter2"}, "flag -H"},
		{[]string{url, "--header", "hunter2"}, "flag -header"},
		{[]string{url, "--proxy", "u:hunter2@p"}, "flag -proxy: a proxy looks like"},
		{[]string{url, "--proxy", "ftp://u:hunter2@p"}, "flag -proxy"},
		{[]string{url, "--subprotocol", "a b"}, "flag -subprotocol"},
		{[]string{url, "--ping", "often"}, "flag -ping: a duration looks like"},
		{[]string{url, "--ping", "-1s"}, "flag -ping: too short"},
		{[]string{url, "--retries", "-1"}, "flag -retries"},
		{[]string{url, "--retries", "many"}, "flag -retries"},
		{[]string{url, "--text", "--json"}, "flags -text, -binary and -json: one of them"},
		{[]string{url, "--json=no"}, "-json"},
		{[]string{url, "--binary", "--send", "00", "--send", "hunter2"}, "flag -send: number 2: is not hex"},
		{[]string{url, "--send", "hunter2\xff"}, "flag -send: number 1: is not UTF-8"},
		{[]string{url, "--expect-re", "("}, "flag -expect-re"},
		{[]string{url, "--timeout", "0"}, "flag -timeout: too short"},
		{[]string{url, "--wait", "soon"}, "flag -wait"},
		{[]string{url, "--interactive", "--expect", "x"}, "flag -interactive"},
		{[]string{url, "--record", ""}, "flag -record"},
		{[]string{url, "--record", bad}, "flag -record: the file exists"},
		{[]string{url, "--record", filepath.Join(dir, "none", "x")}, "flag -record: "},
		{[]string{url, "--replay", filepath.Join(dir, "none")}, "flag -replay: "},
		{[]string{url, "--replay", bad}, "flag -replay: line 1: one of data and base64"},
		{[]string{url, "--replay", received}, "flag -replay: the record has no sent message"},
		{[]string{url, "--speed", "2"}, "flag -speed: is for -replay"},
		{[]string{url, "--speed", "0", "--replay", bad}, "flag -speed: a number above 0"},
		{[]string{url, "--speed", "NaN", "--replay", bad}, "flag -speed: a number above 0"},
		{[]string{"http://127.0.0.1:1/", "--no-fallback"}, "flags -no-fallback and -no-session"},
		{[]string{"https://127.0.0.1:1/", "--no-session"}, "flags -no-fallback and -no-session"},
		{[]string{url, "--colour"}, "-colour"},
	} {
		r := command(t, "", c.args...)
		assert.Equal(t, 2, r.code, "%q", c.args)
		assert.Contains(t, r.errors, c.want, "%q", c.args)
		assert.Contains(t, r.errors, "holdfast help connect", "%q", c.args)
		assert.NotContains(t, r.errors, "hunter2", "%q", c.args)
		assert.Empty(t, r.out, "%q", c.args)
	}
}

func TestNoRecordIsBegunForAWrongURL(t *testing.T) {
	name := filepath.Join(t.TempDir(), "record")
	assert.Equal(t, 2, command(t, "", "ftp://localhost", "--record", name).code)
	assert.NoFileExists(t, name)
}

func TestHelpNamesEveryFlag(t *testing.T) {
	assert.Equal(t, result{code: 0, out: help}, command(t, "", "-h"))
	for _, name := range []string{"-H", "--header", "--auth", "--subprotocol", "--proxy", "--insecure", "--allow-insecure-credentials",
		"--no-fallback", "--no-session", "--ping", "--retries", "--text", "--json", "--binary", "--send", "--expect", "--expect-re",
		"--timeout", "--wait", "--record", "--replay", "--speed", "--interactive", "--no-history", "--quiet"} {
		assert.Regexp(t, name+`[ \n)]`, help)
	}
	for line := range strings.Lines(help) {
		assert.LessOrEqual(t, len([]rune(line)), 90, "%s", line)
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct {
		form form
		line string
		typ  holdfast.MessageType
		data string
	}{
		{formText, "de ad", holdfast.Text, "de ad"},
		{formJSON, `{"a":1}`, holdfast.Text, `{"a":1}`},
		{formBinary, "de AD\tbe ef", holdfast.Binary, "\xde\xad\xbe\xef"},
		{formBinary, "base64:3q2+7w==", holdfast.Binary, "\xde\xad\xbe\xef"},
		{formBinary, "", holdfast.Binary, ""},
	} {
		m, err := c.form.message(c.line)
		require.NoError(t, err)
		assert.Equal(t, c.typ, m.Type)
		assert.Equal(t, c.data, string(m.Data))
	}
	for _, line := range []string{"xy", "abc", "base64:*", "0x00"} {
		_, err := formBinary.message(line)
		assert.Error(t, err, "%q", line)
	}
}
