package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/holdfast-ws/holdfast/integration/internal/loopback"
	"github.com/holdfast-ws/holdfast/server"
)

// serverVariable in the environment makes this program the server, at the address
// that it holds.
const serverVariable = "HOLDFAST_HERD_SERVER"

// serve sends back what it gets, until its standard input ends.
func serve(addr string, in io.Reader, out, errs io.Writer) int {
	s, err := loopback.Listen(addr, echo, &server.Options{OpenRate: -1, MaxSessionsPerAddress: -1, MaxSessionsPerPrincipal: -1})
	if err != nil {
		fmt.Fprintf(errs, "the server: %v\n", err)
		return 1
	}
	fmt.Fprintln(out, s.Addr)
	_, _ = io.Copy(io.Discard, in)
	s.Close()
	return 0
}

func echo(ctx context.Context, s *server.Session) error {
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, m.Type, m.Data); err != nil {
			return err
		}
	}
	return nil
}

// child is the server's process.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer // it ends with this process
}

// start runs this program again, as the server, and waits until it listens.
func start(addr string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), serverVariable+"="+addr)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != addr {
		c.kill()
		return nil, fmt.Errorf("the server does not start at %s", addr)
	}
	return c, nil
}

// kill ends the server without a word to its clients.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	_ = c.stdin.Close()
}

// freeAddress is one whose port the system does not give to outgoing connections,
// so that no client can have it while the server is down.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", err
}
