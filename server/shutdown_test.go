package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type result struct {
			got []string
			err error
		}
		results := make(chan result, 10)
		w := newWorld(t, New(func(ctx context.Context, s *Session) error {
			send(t, s, "first")
			var r result
			for {
				m, err := s.Receive(ctx)
				if err != nil {
					r.err = err
					results <- r
					return err
				}
				r.got = append(r.got, string(m.Data))
			}
		}, nil))
		defer w.stop()
		c := w.client()
		require.Equal(t, 200, c.open().status)
		for a := c.poll(1, time.Minute, attachFrame(1, 1)); len(texts(a.frames)) == 0; {
			a = c.poll(1, time.Minute, ackFrame(0))
		}
		plain := w.plain()
		assert.Equal(t, "first", readText(t, plain))
		lost := w.client()
		l := lost.attachWS(1)
		l.Abort()
		opened := w.client()
		opened.open()
		synctest.Wait()
		assert.Equal(t, 4, w.count())

		start := time.Now()
		down := later(func() error { return w.Shutdown(context.Background()) })
		synctest.Wait()
		assert.Equal(t, 503, w.client().open().status, "no new ones")
		assert.NotEmpty(t, w.client().open().header.Get("Retry-After"))
		assert.EqualValues(t, 1012, lost.tombstone().Code, "who has no link is told when it comes")
		assert.Equal(t, 410, opened.open().status)
		_, _, err := plain.Read(nil)
		assert.Equal(t, &transport.CloseError{Code: 1012}, err)
		a := c.poll(1, time.Minute, ackFrame(1))
		p, err := wire.ParseClose(frameOf(t, a.frames, wire.Close).Payload)
		require.NoError(t, err)
		assert.EqualValues(t, 1012, p.Code)
		c.send(1, c.data("still taken"))
		c.send(1, c.closeFrame(2, 1012, ""))
		assert.NoError(t, down())
		assert.Zero(t, time.Since(start))
		var all []string
		for range 3 {
			r := <-results
			all = append(all, r.got...)
			assert.ErrorIs(t, r.err, holdfast.ErrClosed)
			assert.Equal(t, holdfast.StatusServiceRestart, code(r.err))
		}
		assert.Equal(t, []string{"still taken"}, all)
		assert.Equal(t, 503, c.poll(1, 0, nil).status, "then nobody is served")
		assert.NoError(t, w.Shutdown(context.Background()), "again")
	})
}

func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		w := newWorld(t, New(func(ctx context.Context, s *Session) error {
			<-ctx.Done()
			<-stuck
			return nil
		}, nil))
		defer w.stop()
		defer close(stuck)
		c := w.client()
		c.attachPoll()
		hanging := later(func() reply { return c.poll(1, time.Minute, ackFrame(0)) })
		ws := w.client()
		l := ws.attachWS(1)
		candidate := ws.candidate()
		plain := w.plain()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		readOnLater(l)
		readOnLater(candidate)
		assert.Equal(t, context.DeadlineExceeded, w.Shutdown(ctx))
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, 200, hanging().status, "CLOSE")
		_, _, err := plain.Read(nil)
		assert.Error(t, err)
		synctest.Wait()
		assert.Zero(t, w.count())
	})
}

func TestShutdownOfAnIdleServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(idle, nil)
		assert.NoError(t, s.Shutdown(context.Background()))
	})
}

func TestShutdownDoesNotWaitForLostLinks(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		c := w.client()
		l := c.attachWS(1)
		poller := w.client()
		poller.attachPoll()
		down := later(func() error { return w.Shutdown(context.Background()) })
		synctest.Wait()
		l.Abort()
		start := time.Now()
		assert.NoError(t, down())
		assert.LessOrEqual(t, time.Since(start), time.Minute+10*time.Second+countEvery, "a client that polls may come back for a while")
	})
}
