package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
)

// natsConn publishes. nats-server hands what is measured to no subscriber, and
// counts it; that nothing is changed on the way is checked before, with a
// subscriber. Its Publish is a queue, flushed when full and by Flush, which waits
// for a pong.
type natsConn struct {
	c       *nats.Conn
	control string
	before  natsCounts
}

func dialNATS(ctx context.Context, to target) (conn, error) {
	c, err := nats.Connect(to.child.NATS)
	if err != nil {
		return nil, err
	}
	n := &natsConn{c: c, control: "http://" + to.child.Control}
	if err := n.check(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return n, nil
}

// check publishes some messages to the subscriber and compares.
func (c *natsConn) check(ctx context.Context) error {
	before, err := c.counts(ctx)
	if err != nil {
		return err
	}
	all := payloads(128)
	const n = 1000
	for i := range n {
		if err := c.c.Publish(natsChecked, all[i%len(all)]); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		c.before, err = c.counts(ctx)
		if err != nil {
			return err
		}
		if count := c.before.Checked.Count - before.Checked.Count; count < n {
			continue
		} else if sum := c.before.Checked.Sum - before.Checked.Sum; count != n || sum != expect(all, 0, n).Sum {
			return fmt.Errorf("%d of %d messages, or others, have arrived", count, n)
		}
		return nil
	}
}

func (c *natsConn) counts(ctx context.Context) (n natsCounts, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.control, nil)
	if err != nil {
		return n, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return n, err
	}
	defer resp.Body.Close()
	return n, json.NewDecoder(resp.Body).Decode(&n)
}

func (c *natsConn) Send(p []byte) error { return c.c.Publish(natsMeasured, p) }
func (c *natsConn) Flush() error        { return c.c.Flush() }
func (c *natsConn) Close()              { c.c.Close() }

// Counted implements counter. The server's counters may lag behind its pong.
func (c *natsConn) Counted(ctx context.Context, want uint64) (count uint64, err error) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		n, err := c.counts(ctx)
		if err != nil {
			return 0, err
		}
		if count = n.Messages - c.before.Messages; count >= want {
			c.before = n
			break
		}
	}
	return count, nil
}

func (c *natsConn) Each(bool, func([]byte) bool) error {
	return errors.New("nats.go is measured sending alone")
}
