//go:build linux

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// pageConfig is the configuration of a page of docs that follows its mark.
func pageConfig(t *testing.T, page, mark string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", filepath.FromSlash(page)))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- run: "+mark+" -->\n```")
	require.True(t, found, "%s has no configuration marked %s", page, mark)
	_, rest, _ = strings.Cut(rest, "\n")
	block, _, found := strings.Cut(rest, "\n```\n")
	require.True(t, found)
	return block + "\n"
}

// change is a place of a page's configuration that a test changes: an address, a
// path, or a time-out.
type change struct{ from, to string }

// startPage runs a program with a page's configuration. Each change has to find its
// text there. "LISTEN" and "PORT" in a change stand for where the program listens.
func startPage(t *testing.T, name, config string, changes []change, argv func(dir, conf string) []string) *box {
	t.Helper()
	for _, c := range changes {
		require.Contains(t, config, c.from)
		config = strings.ReplaceAll(config, c.from, c.to)
	}
	b := &box{t: t, dir: t.TempDir(), argv: []string{program(t, name)}}
	conf := filepath.Join(b.dir, "page.conf")
	b.argv = append(b.argv, argv(b.dir, conf)...)
	b.log = filepath.Join(b.dir, "output")
	t.Cleanup(b.kill)
	for tries := 1; ; tries++ {
		b.addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
		text := strings.NewReplacer("LISTEN", b.addr, "TMP", b.dir).Replace(config)
		require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
		err := b.run()
		if err == nil {
			return b
		}
		// Another process may have taken the port.
		require.Less(t, tries, 3, "%s does not start: %v\n%s", name, err, b.output())
	}
}

func nginxPage(t *testing.T, mark string, pair certificate, changes ...change) *box {
	t.Helper()
	changes = append(changes,
		change{"listen 443 ssl;", "listen LISTEN ssl;"},
		change{"/etc/nginx/stream.pem", pair.cert}, change{"/etc/nginx/stream.key", pair.key},
		change{"http {\n", "http {\n\taccess_log off;\n\tclient_body_temp_path TMP/body;\n\tproxy_temp_path TMP/proxy;\n" +
			"\tfastcgi_temp_path TMP/fastcgi;\n\tuwsgi_temp_path TMP/uwsgi;\n\tscgi_temp_path TMP/scgi;\n"})
	globals := "daemon off; pid nginx.pid;"
	if os.Geteuid() == 0 {
		globals += " user root;"
	}
	return startPage(t, "nginx", pageConfig(t, "operating/nginx.md", mark), changes, func(dir, conf string) []string {
		return []string{"-p", dir, "-c", conf, "-e", "stderr", "-g", globals}
	})
}

func haproxyPage(t *testing.T, pair certificate, changes ...change) *box {
	t.Helper()
	var both []byte
	for _, name := range []string{pair.cert, pair.key} {
		part, err := os.ReadFile(name)
		require.NoError(t, err)
		both = append(both, part...)
	}
	pem := filepath.Join(t.TempDir(), "stream.pem")
	require.NoError(t, os.WriteFile(pem, both, 0o600))
	changes = append(changes, change{"bind :443", "bind LISTEN"}, change{"/etc/haproxy/stream.pem", pem}, change{"maxconn 20000", "maxconn 256"})
	return startPage(t, "haproxy", pageConfig(t, "operating/haproxy.md", "haproxy"), changes, func(_, conf string) []string {
		return []string{"-db", "-f", conf}
	})
}

func squidPage(t *testing.T, changes ...change) *box {
	t.Helper()
	name := fmt.Sprintf("holdfast%d", rand.Uint32())
	changes = append(changes, change{"http_port 3128", "http_port LISTEN\ncache deny all\naccess_log none\ncache_log /dev/null\n" +
		"pid_filename none\ncoredump_dir none\nnetdb_filename none\npinger_enable off\nshutdown_lifetime 0 seconds"})
	return startPage(t, "squid", pageConfig(t, "operating/squid.md", "squid"), changes, func(_, conf string) []string {
		return []string{"-N", "-n", name, "-f", conf}
	})
}

// idle requires that a middlebox that waits for a few seconds leaves a link with pings alone,
// and ends one without.
func idle(t *testing.T, endpoint string, l *ledger, change func(*holdfast.Options)) {
	t.Helper()
	pings := dial(t, endpoint, func(o *holdfast.Options) {
		change(o)
		o.Keepalive.Interval = 500 * time.Millisecond
	})
	silent := dial(t, endpoint, func(o *holdfast.Options) {
		change(o)
		o.Keepalive.Interval = -1
	})
	lost := silent.events.await(t, "the idle link is lost", func(e holdfast.Event) bool { return e.Kind == holdfast.EventDisconnected })
	var why *holdfast.CloseError
	require.ErrorAs(t, lost.Err, &why)
	assert.Equal(t, holdfast.StatusAbnormalClosure, why.Code)
	assert.Empty(t, pings.events.of(holdfast.EventDisconnected), "the link with pings began before the other one")
	pings.direct()
	pings.exchange(l, nil)
}
