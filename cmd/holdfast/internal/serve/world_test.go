package serve

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// enough is what no test waits for unless something is wrong.
const enough = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paper is what was written; a test can wait for something.
type paper struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	news chan struct{}
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.news != nil {
		close(p.news)
		p.news = nil
	}
	return p.buf.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

// await waits until s is there.
func (p *paper) await(t *testing.T, s string) {
	t.Helper()
	late := time.NewTimer(enough)
	defer late.Stop()
	for {
		p.mu.Lock()
		ok := strings.Contains(p.buf.String(), s)
		if p.news == nil {
			p.news = make(chan struct{})
		}
		news := p.news
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-late.C:
			require.Fail(t, "never written: "+s, "%q", p.String())
		}
	}
}

// running is the command.
type running struct {
	addr     string
	out, log paper
	stop     func() int
}

// serving runs it on a free port.
func serving(t *testing.T, args ...string) *running {
	set, err := parse(append([]string{"--addr", "127.0.0.1:0"}, args...))
	require.NoError(t, err)
	r := &running{}
	ctx, cancel := context.WithCancel(context.Background())
	addr, code := make(chan net.Addr, 1), make(chan int, 1)
	go func() {
		code <- run(ctx, set, cli.Streams{Out: &r.out, Err: &r.log}, func(a net.Addr) { addr <- a })
	}()
	r.stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { r.stop() })
	select {
	case a := <-addr:
		r.addr = a.String()
	case c := <-code:
		code <- c
		require.Fail(t, "it has ended", "%d: %s", c, r.log.String())
	}
	return r
}

func dial(t *testing.T, url string, o *holdfast.Options) *holdfast.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	c, err := holdfast.Dial(ctx, url, o)
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func send(t *testing.T, c *holdfast.Conn, s string) {
	t.Helper()
	require.NoError(t, c.Send(t.Context(), holdfast.Text, []byte(s)))
}

func receive(t *testing.T, c *holdfast.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	m, err := c.Receive(ctx)
	require.NoError(t, err)
	return string(m.Data)
}
