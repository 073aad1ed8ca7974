package doctor_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/server"
)

// patience bounds every wait; it is no measure of anything.
const patience = time.Hour

// A server of net/http waits half a second for what it has not read.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// options keep the environment out.
func options() *doctor.Options {
	return &doctor.Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
}

func run(t *testing.T, target string, o *doctor.Options) *doctor.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := doctor.Run(ctx, target, o)
	require.NoError(t, err)
	return r
}

// facts are those of a step.
func facts[T any](t *testing.T, r *doctor.Report, name string) *T {
	t.Helper()
	s := r.Step(name)
	require.NotNil(t, s, name)
	f, ok := s.Facts.(*T)
	require.True(t, ok, "%s: %s", s.Status, s.Summary)
	return f
}

// bubble runs f in a bubble with a network in memory and a server on it.
func bubble(t *testing.T, f func(t *testing.T, m *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options)) {
	synctest.Test(t, func(t *testing.T) {
		m := holdfasttest.NewMemory()
		s := m.NewServer("")
		defer s.Close()
		o := options()
		o.DialContext = m.DialContext
		f(t, m, s, o)
	})
}

// listening is package server with a handler that only listens.
func listening(t *testing.T, o *server.Options) *server.Server {
	s := server.New(func(ctx context.Context, s *server.Session) error {
		for _, err := range s.Messages(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return s
}

// serve serves h on a loopback port until the test ends.
func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return l.Addr().String()
}
