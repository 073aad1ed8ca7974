package connect

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/server"
)

// enough is what no test waits for unless something is wrong.
const enough = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server on a loopback port, which can be killed and started again.
type world struct {
	t      *testing.T
	addr   string
	handle func(context.Context, *server.Session) error
	opts   *server.Options

	mu   sync.Mutex
	got  []holdfast.Message
	ends []error
	news chan struct{} // closed at each change
	http *http.Server
	srv  *server.Server
}

// newWorld serves echo, unless handle is another function.
func newWorld(t *testing.T, handle func(context.Context, *server.Session) error, opts *server.Options) *world {
	w := &world{t: t, handle: handle, opts: opts, news: make(chan struct{})}
	w.start()
	t.Cleanup(w.kill)
	return w
}

func (w *world) url() string { return "ws://" + w.addr + "/stream" }

func (w *world) start() {
	addr := w.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	require.NoError(w.t, err)
	w.addr = l.Addr().String()
	w.srv = server.New(func(ctx context.Context, s *server.Session) error {
		err := w.serve(ctx, s)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ends = append(w.ends, err)
		w.changed()
		return err
	}, w.opts)
	w.http = &http.Server{Handler: w.srv}
	go w.http.Serve(l)
}

// kill ends the server without a word.
func (w *world) kill() {
	w.http.Close()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.srv.Shutdown(over)
}

func (w *world) serve(ctx context.Context, s *server.Session) error {
	if w.handle != nil {
		return w.handle(ctx, s)
	}
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.got = append(w.got, m)
		w.changed()
		w.mu.Unlock()
		_ = s.Send(ctx, m.Type, m.Data) // a client that has closed may have sent more
	}
	return nil
}

func (w *world) changed() {
	close(w.news)
	w.news = make(chan struct{})
}

// awaitTexts waits until the server has got these, and checks that they are all.
func (w *world) awaitTexts(want ...string) {
	w.t.Helper()
	w.await("messages", func() bool { return len(w.texts()) >= len(want) })
	require.Equal(w.t, want, w.texts())
}

// texts is what the server has got.
func (w *world) texts() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.got {
		all = append(all, plain(m))
	}
	return all
}

// await waits until ok.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	late := time.NewTimer(enough)
	defer late.Stop()
	for {
		w.mu.Lock()
		news := w.news
		w.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-news:
		case <-late.C:
			require.Fail(w.t, "never: "+what, "%q", w.texts())
		}
	}
}

// ended is how the first session has.
func (w *world) ended() (err error) {
	w.await("the session's end", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.ends) == 0 {
			return false
		}
		err = w.ends[0]
		return true
	})
	return err
}

// result is a run of the command.
type result struct {
	code        int
	out, errors string
}

// command runs one to its end.
func command(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs paper
	set, err := parse(args)
	s := cli.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs}
	if err != nil {
		return result{cli.Usage("connect", help, err, s), out.String(), errs.String()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), enough)
	defer cancel()
	return result{run(ctx, set, s), out.String(), errs.String()}
}

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

// await waits until s is there, after what was there at from, and returns where it
// ends.
func (p *paper) await(t *testing.T, from int, s string) int {
	t.Helper()
	late := time.NewTimer(enough)
	defer late.Stop()
	for {
		p.mu.Lock()
		i := strings.Index(p.buf.String()[from:], s)
		if p.news == nil {
			p.news = make(chan struct{})
		}
		news := p.news
		p.mu.Unlock()
		if i >= 0 {
			return from + i + len(s)
		}
		select {
		case <-news:
		case <-late.C:
			require.Fail(t, "never written: "+s, "%q", p.String())
		}
	}
}
