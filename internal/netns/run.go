//go:build linux

package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// childEnv holds, in a re-executed test, the test's name.
	childEnv = "HOLDFAST_NETNS_TEST"
	// requireEnv set to 1 makes a missing namespace a failure.
	requireEnv = "REQUIRE_NETNS"
)

// Run runs f in a fresh network and mount namespace: the test binary is executed
// again for this test alone, so what stands before Run in the test runs in
// both processes. In the namespace there is only a loopback interface, up, and new
// IPv6 addresses are usable at once.
//
// The test fails if f fails, or if it did not run. Where no namespace can be
// made the test is skipped, or fails if the environment has REQUIRE_NETNS=1.
// With -test.v the output of the re-executed test is logged.
func Run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		prepare(t)
		f(t)
		return
	}
	ctx, args := context.Background(), []string{"-test.run=" + pattern(t.Name()), "-test.v", "-test.count=1"}
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
		// The child ends first, so that its stacks are seen.
		args = append(args, fmt.Sprintf("-test.timeout=%s", time.Until(deadline)*9/10))
	}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	out, err := execute(ctx, t.Name(), args)
	output := strings.TrimSpace(string(out))
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		unavailable(t, err)
	case err != nil:
		t.Fatalf("in the namespace: %v\n%s", err, output)
	case strings.Contains(output, "--- SKIP: "+t.Name()+" ") && os.Getenv(requireEnv) != "1":
		t.Skipf("in the namespace: %s", output)
	case !strings.Contains(output, "--- PASS: "+t.Name()+" "):
		t.Fatalf("the test did not run in the namespace\n%s", output)
	case testing.Verbose():
		t.Logf("in the namespace:\n%s", output)
	}
}

// execute runs the test binary in new namespaces, with a user namespace where
// that is what it takes. An error that is no *exec.ExitError means that the
// process did not start.
func execute(ctx context.Context, name string, args []string) (out []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, user := range []bool{false, true} {
		cmd := exec.CommandContext(ctx, self, args...)
		cmd.Env = append(os.Environ(), childEnv+"="+name,
			// The race detector sleeps for a second at each exit otherwise.
			"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
		cmd.WaitDelay = time.Second
		var buf bytes.Buffer
		cmd.Stdout, cmd.Stderr = &buf, &buf
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
		if user {
			cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		if err = cmd.Start(); err != nil {
			continue
		}
		err = cmd.Wait()
		return buf.Bytes(), err
	}
	return nil, err
}

// pattern matches the test of this name alone, part by part.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// prepare makes the namespace usable.
func prepare(t *testing.T) {
	t.Helper()
	// Mounts made here must not reach the rest of the system.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		unavailable(t, err)
	}
	noDAD()
	if err := Here(t).setUp("lo", true); err != nil {
		// Some systems allow the namespace but nothing inside it.
		unavailable(t, err)
	}
}

// noDAD turns duplicate address detection off, which would hold new addresses
// back for a second. Where /proc/sys is read-only it stays on.
func noDAD() {
	for _, scope := range []string{"all", "default"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/accept_dad", []byte("0"), 0)
	}
}

func unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(requireEnv) == "1" {
		t.Fatalf("no namespace for the test: %v", err)
	}
	t.Skipf("no namespace for the test: %v", err)
}

// Resolvers makes the given addresses the name servers of the running test's
// mount namespace, in /etc/resolv.conf, until the test ends. That file must exist.
func Resolvers(t testing.TB, servers ...string) {
	t.Helper()
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	path := t.TempDir() + "/resolv.conf"
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(path, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("resolv.conf: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/etc/resolv.conf", unix.MNT_DETACH) })
}
