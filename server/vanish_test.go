package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast"
)

// A client that vanishes in the middle of a burst costs its session's buffers, and
// those until it expires.
func TestVanishedClientHoldsNoMoreThanItsBuffers(t *testing.T) {
	for name, attach := range map[string]func(c *client){
		"websocket": func(c *client) { c.attachWS(1) }, // and never reads
		"longpoll":  func(c *client) { c.attachPoll() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sessions, ended := make(chan *Session, 1), make(chan error, 1)
				w := newWorld(t, New(func(ctx context.Context, s *Session) error {
					sessions <- s
					for {
						if err := s.Send(ctx, holdfast.Binary, make([]byte, 3000)); err != nil {
							ended <- err
							return err
						}
					}
				}, &Options{OpenRate: -1}))
				defer w.stop()
				attach(w.client())
				s := <-sessions
				time.Sleep(10 * time.Second)
				synctest.Wait()
				st := s.out.Stats()
				assert.LessOrEqual(t, s.held(), int64(s.srv.opts.SendBuffer.MaxBytes))
				assert.LessOrEqual(t, st.Queued+st.Unacknowledged, s.srv.opts.SendBuffer.MaxMessages)
				assert.Greater(t, st.Queued+st.Unacknowledged, 300, "the burst has filled it")
				w.net.Freeze(true)
				time.Sleep(10 * time.Minute)
				assert.Error(t, <-ended)
				assert.Zero(t, s.held())
			})
		})
	}
}
