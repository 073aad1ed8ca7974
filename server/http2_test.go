package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

func TestPollsOverHTTP2(t *testing.T) {
	s := New(echo, nil)
	ts := httptest.NewUnstartedServer(s)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	w := &world{Server: s, t: t, tr: ts.Client().Transport.(*http.Transport), url: ts.URL}
	defer w.tr.CloseIdleConnections()
	c := w.client()
	c.attachPoll()
	hanging := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
	a := c.send(1, c.data("over one connection"))
	require.Equal(t, 200, a.status)
	assert.Equal(t, []string{"over one connection"}, texts(hanging().frames))
	a = c.poll(1, time.Millisecond, ackFrame(1))
	assert.Equal(t, []wire.Type{wire.Ping}, types(a.frames))
	assert.Equal(t, 413, c.send(1, make([]byte, wire.MaxBatch+1)).status)
	require.Equal(t, 200, c.send(1, nil).status, "the session goes on")
	require.Equal(t, 200, c.send(1, c.closeFrame(1, 1000, "")).status)
	frameOf(t, c.poll(1, time.Minute, ackFrame(1)).frames, wire.Close)
	require.Equal(t, 200, c.send(1, ackFrame(2)).status)
	assert.Zero(t, s.count())
}
