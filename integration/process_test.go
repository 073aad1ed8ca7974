//go:build linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startTimeout bounds the start of a middlebox.
const startTimeout = 15 * time.Second

// box is a middlebox that runs as a child of this process, in a process group of
// its own.
type box struct {
	t    *testing.T
	argv []string
	dir  string
	addr string // where it listens
	log  string // the file that its output goes to

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has been waited for
}

// program returns the path of a middlebox's program. Without it the test is
// skipped, or fails where REQUIRE_MIDDLEBOXES is 1.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	if os.Getenv("REQUIRE_MIDDLEBOXES") == "1" {
		t.Fatalf("%s is not installed, and REQUIRE_MIDDLEBOXES is 1: run install.sh", name)
	}
	t.Skipf("%s is not installed: run install.sh", name)
	return ""
}

// startBox runs a program with a configuration of testdata, whose values are
// completed by Listen and Port. args get its folder and configuration. The test
// ends it.
func startBox(t *testing.T, name, config string, values map[string]any, args func(dir, conf string) []string) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir(), argv: []string{program(t, name)}}
	conf := filepath.Join(b.dir, config)
	b.argv = append(b.argv, args(b.dir, conf)...)
	b.log = filepath.Join(b.dir, "output")
	t.Cleanup(b.kill)
	for tries := 1; ; tries++ {
		port := freePort(t)
		b.addr = fmt.Sprintf("127.0.0.1:%d", port)
		all := map[string]any{"Listen": b.addr, "Port": port}
		for key, v := range values {
			all[key] = v
		}
		b.configure(config, conf, all)
		err := b.run()
		if err == nil {
			return b
		}
		// Another process may have taken the port.
		require.Less(t, tries, 3, "%s does not start: %v\n%s", name, err, b.output())
	}
}

func (b *box) configure(name, path string, values map[string]any) {
	b.t.Helper()
	tmpl, err := template.New(name).Option("missingkey=error").ParseFiles(filepath.Join("testdata", name))
	require.NoError(b.t, err)
	var text bytes.Buffer
	require.NoError(b.t, tmpl.Execute(&text, values))
	require.NoError(b.t, os.WriteFile(path, text.Bytes(), 0o600))
}

// run starts the process and waits until it listens.
func (b *box) run() error {
	out, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	b.cmd = exec.Command(b.argv[0], b.argv[1:]...)
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = b.dir, out, out
	// The signal is for when this process dies first.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := b.cmd.Start(); err != nil {
		b.cmd = nil
		return err
	}
	b.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(b.cmd, b.exited)
	return b.listens()
}

func (b *box) listens() error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		if conn, err := net.Dial("tcp", b.addr); err == nil {
			return conn.Close()
		}
		select {
		case <-b.exited:
			return errors.New("it has ended")
		case <-deadline.C:
			b.kill()
			return errors.New("it does not listen")
		case <-again.C:
		}
	}
}

// restart kills the middlebox, and with it every connection, and starts it again
// at the same address.
func (b *box) restart() {
	b.kill()
	assert.NoError(b.t, b.run(), "restart: %s", b.output())
}

// kill ends the middlebox with all its processes.
func (b *box) kill() {
	if b.cmd == nil {
		return
	}
	group := b.cmd.Process.Pid
	b.cmd = nil
	_ = syscall.Kill(-group, syscall.SIGKILL)
	<-b.exited
	deadline := time.Now().Add(startTimeout)
	for alive(group) {
		if time.Now().After(deadline) {
			b.t.Errorf("a process of %s outlives it", b.argv[0])
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// alive says whether a process group has a process that has not ended.
func alive(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent, of int
		if _, err := fmt.Sscan(rest, &state, &parent, &of); err == nil && of == group && state != "Z" {
			return true
		}
	}
	return false
}

func (b *box) output() string {
	text, _ := os.ReadFile(b.log)
	return string(text)
}

// freePort is a port that nothing listens on, below those that the system gives
// to outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func nginx(t *testing.T, config string, values map[string]any) *box {
	t.Helper()
	return startBox(t, "nginx", config, values, func(dir, conf string) []string {
		return []string{"-p", dir, "-c", conf, "-e", "stderr", "-g", "daemon off;"}
	})
}

func haproxy(t *testing.T, values map[string]any) *box {
	t.Helper()
	return startBox(t, "haproxy", "haproxy.conf", values, func(_, conf string) []string {
		return []string{"-db", "-f", conf}
	})
}

func squid(t *testing.T, values map[string]any) *box {
	t.Helper()
	// As root it drops to a user of its own, which needs no file then.
	name := fmt.Sprintf("holdfast%d", rand.Uint32())
	return startBox(t, "squid", "squid.conf", values, func(_, conf string) []string {
		return []string{"-N", "-n", name, "-f", conf}
	})
}

func tinyproxy(t *testing.T, values map[string]any) *box {
	t.Helper()
	return startBox(t, "tinyproxy", "tinyproxy.conf", values, func(_, conf string) []string {
		return []string{"-d", "-c", conf}
	})
}
