package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// cancelling is a writer that ends the program once it has printed something.
type cancelling struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (c *cancelling) Write(b []byte) (int, error) {
	defer c.cancel()
	return c.Buffer.Write(b)
}

// TestRun runs the whole program, over a loopback port.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out := &cancelling{cancel: cancel}
	if err := run(ctx, out, "", []string{"ACME"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "ACME 1") {
		t.Errorf("printed %q", out.String())
	}
}

func TestRunComplainsOfItsURL(t *testing.T) {
	err := run(t.Context(), &bytes.Buffer{}, "ftp://prices.example", nil)
	if err == nil || !strings.Contains(err.Error(), "ftp") {
		t.Errorf("%v", err)
	}
}
