package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// child is the server's process.
type child struct {
	addresses
	tls   *tls.Config
	cmd   *exec.Cmd
	stdin io.Closer
}

// startServer runs this program again, as the server.
func startServer(ctx context.Context, stderr io.Writer) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	cmd.Stderr = stderr
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
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.addresses)
	}
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM([]byte(c.CA)) {
		err = errors.New("its certificate is none")
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("the server does not start: %w", err)
	}
	c.tls = &tls.Config{RootCAs: roots}
	return c, nil
}

func (c *child) stop() {
	_ = c.stdin.Close() // it ends with its standard input
	_ = c.cmd.Wait()
}
