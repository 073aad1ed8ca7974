//go:build !js

package fallback_test

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/transport"
)

const text = transport.Text

// plainWorld is a bubble with a server in memory, at server.test.
type plainWorld struct {
	net   *memnet.Network
	start time.Time

	mu   sync.Mutex
	seen []seenRequest
}

type seenRequest struct {
	at     time.Duration // since start
	method string
	uri    string
	host   string
	header http.Header
	body   string
}

// plainBubble notes each request, then serves it with h.
func plainBubble(t *testing.T, h http.HandlerFunc, f func(t *testing.T, w *plainWorld)) {
	t.Helper()
	inBubble(t, func(w *plainWorld, rw http.ResponseWriter, r *http.Request) {
		at := time.Since(w.start)
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen = append(w.seen, seenRequest{at, r.Method, r.RequestURI, r.Host, r.Header.Clone(), string(body)})
		w.mu.Unlock()
		h(rw, r)
	}, f)
}

// streamingBubble serves POSTs with h, which reads the body itself.
func streamingBubble(t *testing.T, h http.HandlerFunc, f func(t *testing.T, w *plainWorld)) {
	t.Helper()
	serve := posting(h)
	inBubble(t, func(_ *plainWorld, rw http.ResponseWriter, r *http.Request) { serve(rw, r) }, f)
}

func inBubble(t *testing.T, h func(*plainWorld, http.ResponseWriter, *http.Request), f func(t *testing.T, w *plainWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &plainWorld{net: memnet.New(), start: time.Now()}
		l, err := w.net.Listen("server.test:80")
		require.NoError(t, err)
		srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), IdleTimeout: time.Hour, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			h(w, rw, r)
		})}
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		defer func() {
			synctest.Wait()
			srv.Close()
			<-done
			time.Sleep(time.Second) // the server lingers over what it has not read
			assert.Zero(t, w.net.Conns(), "connections that are left")
		}()
		f(t, w)
	})
}

func (w *plainWorld) requests() []seenRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]seenRequest(nil), w.seen...)
}

// times are when requests of a method came.
func (w *plainWorld) times(method string) (list []time.Duration) {
	for _, s := range w.requests() {
		if s.method == method {
			list = append(list, s.at)
		}
	}
	return list
}

func (w *plainWorld) request() *transport.Request {
	return &transport.Request{
		URL: &url.URL{Scheme: "ws", Host: "server.test", Path: "/chat", RawQuery: "token=SECRET"}, DialContext: w.net.DialContext,
		MaxMessageSize: 1 << 10, WriteTimeout: 10 * time.Second,
	}
}

// dial makes a link that ends with the test.
func (w *plainWorld) dial(t *testing.T, opts fallback.PlainPollOptions) transport.Link {
	t.Helper()
	l, err := fallback.PlainPoll(opts).Dial(t.Context(), w.request())
	require.NoError(t, err)
	t.Cleanup(l.Abort)
	return l
}

// plainDialError dials, expects a failure, and checks that no secret shows.
func plainDialError(t *testing.T, opts fallback.PlainPollOptions, r *transport.Request) *transport.Error {
	t.Helper()
	l, err := fallback.PlainPoll(opts).Dial(t.Context(), r)
	if err == nil {
		l.Abort()
	}
	var te *transport.Error
	require.ErrorAs(t, err, &te)
	for _, s := range texts(err) {
		assert.NotContains(t, s, "SECRET")
	}
	return te
}

// texts lists the text of err and of all that it wraps.
func texts(err error) []string {
	list := []string{err.Error()}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if e := x.Unwrap(); e != nil {
			list = append(list, texts(e)...)
		}
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			list = append(list, texts(e)...)
		}
	}
	return list
}

func read(t *testing.T, l transport.Link) string {
	t.Helper()
	_, data, err := l.Read(nil)
	require.NoError(t, err)
	return string(data)
}

func readError(t *testing.T, l transport.Link) error {
	t.Helper()
	dst := []byte("mine")
	_, data, err := l.Read(dst)
	require.Error(t, err)
	assert.Equal(t, "mine", string(data))
	_, _, again := l.Read(nil)
	assert.Equal(t, err, again, "it stays")
	for _, s := range texts(err) {
		assert.NotContains(t, s, "SECRET")
	}
	return err
}

func answer(rw http.ResponseWriter, status int, body string) {
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, body)
}

// script answers the GETs with one function after the other, the last one for ever.
func script(steps ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	next := 0
	return func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		step := steps[min(next, len(steps)-1)]
		next++
		mu.Unlock()
		step(rw, r)
	}
}

// says answers with a message, after a wait.
func says(body string, after ...time.Duration) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		for _, d := range after {
			time.Sleep(d)
		}
		answer(rw, http.StatusOK, body)
	}
}

func status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
}

// hold never answers.
func hold(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
