package doctor

import (
	"crypto/tls"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/credential"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

const (
	// withheldBytes is the length of a request whose body waits: more than
	// anybody reads before he answers what he refuses anyway.
	withheldBytes = 300 << 10
	// An answer to the head of it is waited for that many round trips, within
	// the bounds.
	withheldTrips = 4
	withheldLeast = 500 * time.Millisecond
	withheldMost  = 2 * time.Second
)

// checkBuffering asks whether a request is passed on as it comes. Package server
// refuses a request of a wrong media type by its head alone, so an answer that
// comes only after the body means that somebody on the way waited for that.
// Whether answers are held cannot be told: those of package server are whole, and
// lose nothing by it.
func (x *exam) checkBuffering(s *Step) {
	ours := x.poll != nil && (x.poll.works() || x.poll.ours())
	switch {
	case inBrowser:
		s.skip(notInBrowser)
		return
	case x.poll == nil && x.attempt.failure() != nil:
		s.skip("not reached")
		return
	case !ours:
		s.skip("cannot tell: that takes package server at the other end")
		return
	}
	f := &BufferingFacts{Requests: "cannot tell"}
	s.Facts = f
	wait := min(max(withheldTrips*x.poll.opened, withheldLeast), withheldMost, x.opts.Timeout)
	f.WithheldMS = millis(wait)
	start := time.Now()
	early, answered := x.withhold(wait)
	s.took(time.Since(start))
	switch {
	case !answered:
		s.Summary = "cannot tell: the request was not answered by the server"
	case early:
		f.Requests = "passed on"
		s.Summary = "requests are passed on as they come"
	default:
		f.Requests = "held"
		s.warn()
		s.Summary = "requests are held until they are whole: something on the way buffers"
		s.detail("the head of a request was not answered for %s, and the whole of it at once", inWords(wait))
		s.detail("it does polls no harm, as each is whole, nor a WebSocket once it is open")
	}
}

// withhold posts a request whose body waits for an answer, for so long at most.
func (x *exam) withhold(wait time.Duration) (early, answered bool) {
	ctx, cancel := x.within()
	defer cancel()
	body := &withheld{left: withheldBytes, release: make(chan struct{}), closed: make(chan struct{})}
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.web().String(), body)
	if err != nil {
		return false, false
	}
	req.ContentLength = withheldBytes
	for name, values := range x.header {
		req.Header[name] = append([]string(nil), values...)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if x.opts.Host != "" {
		req.Host = x.opts.Host
	}
	r := x.request(nil)
	if credential.Authorize(ctx, r, req) != nil {
		return false, false
	}
	cfg := x.opts.TLSConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.NextProtos = []string{"http/1.1"}
	t := &http.Transport{Proxy: r.Proxy, DialContext: x.dial, TLSClientConfig: cfg, DisableKeepAlives: true,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	defer t.CloseIdleConnections()
	type reply struct{ any, ours bool }
	answer := make(chan reply, 1)
	go func() {
		resp, err := t.RoundTrip(req)
		var a reply
		if err == nil {
			a = reply{true, resp.Header.Get("Holdfast-Version") == wire.Version}
			_, _ = io.CopyN(io.Discard, resp.Body, withheldBytes)
			resp.Body.Close()
		}
		answer <- a
	}()
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case a := <-answer:
		return true, a.ours
	case <-late.C:
	}
	close(body.release)
	// Whoever answers now has waited for the whole. The server refuses it before it
	// has read it, which some take for its failure and answer themselves.
	a := <-answer // it ends with ctx
	return false, a.any
}

// withheld is a body that comes when it is told to.
type withheld struct {
	release chan struct{}
	closed  chan struct{}
	once    sync.Once
	left    int // the reader's
}

func (w *withheld) Read(p []byte) (int, error) {
	select {
	case <-w.release:
	case <-w.closed:
		return 0, io.ErrClosedPipe
	}
	if w.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), w.left)
	clear(p[:n])
	w.left -= n
	return n, nil
}

func (w *withheld) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}
