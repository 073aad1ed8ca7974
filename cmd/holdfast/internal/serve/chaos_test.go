package serve

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

func TestChaosIsRepeatable(t *testing.T) {
	draw := func(list string) (lives []time.Duration, blocks []bool) {
		c, err := parseChaos(list)
		require.NoError(t, err)
		again, err := parseChaos(c.String())
		require.NoError(t, err)
		assert.Equal(t, c, again)
		d := newDice(c)
		for range 100 {
			lives, blocks = append(lives, d.life()), append(blocks, d.blocked())
		}
		return lives, blocks
	}
	lives, blocks := draw("drop=30s,block=0.5,seed=7")
	sameLives, none := draw("drop=30s,seed=7")
	assert.Equal(t, lives, sameLives, "whatever else is asked for")
	assert.NotContains(t, none, true)
	_, sameBlocks := draw("delay=1ms, block=0.5, seed=7")
	assert.Equal(t, blocks, sameBlocks)
	otherLives, _ := draw("drop=30s,seed=8")
	assert.NotEqual(t, lives, otherLives)

	var sum time.Duration
	n := 0
	for i := range lives {
		assert.Positive(t, lives[i])
		assert.LessOrEqual(t, lives[i], time.Minute)
		sum += lives[i]
		if blocks[i] {
			n++
		}
	}
	assert.InDelta(t, 30, sum.Seconds()/100, 6)
	assert.InDelta(t, 50, n, 15)
}

// TestDrops: the session outlives its connections.
func TestDrops(t *testing.T) {
	r := serving(t, "--chaos", "drop=20ms,seed=1")
	assert.Contains(t, r.log.String(), "chaos: drop=20ms,seed=1\n")
	c := dial(t, "ws://"+r.addr, &holdfast.Options{Retry: holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, InitialDelay: time.Millisecond}})
	for i := 0; c.Stats().Connects < 4; i++ {
		send(t, c, "x")
		assert.Equal(t, "x", receive(t, c))
	}
	r.log.await(t, "chaos: cut the connection of 127.0.0.1:")
	r.log.await(t, "resumed over websocket (link 2)")
	r.log.await(t, "lost its link")
}

func TestBlocks(t *testing.T) {
	r := serving(t, "--chaos", "block=1,seed=1")
	c := dial(t, "ws://"+r.addr, polling())
	send(t, c, "x")
	assert.Equal(t, "x", receive(t, c))
	assert.Equal(t, "longpoll", c.Stats().Transport)
	require.NoError(t, c.Close()) // Shutdown would wait for its next poll
	r.log.await(t, "chaos: blocked the WebSocket handshake of 127.0.0.1:")

	_, err := holdfast.Dial(t.Context(), "ws://"+r.addr, &holdfast.Options{Retry: holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry}})
	var failed *holdfast.DialError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 403, failed.StatusCode)
}

func TestDelayed(t *testing.T) {
	r := serving(t, "--chaos", "delay=5ms,seed=1")
	for _, url := range []string{"ws://" + r.addr, "http://" + r.addr} {
		c := dial(t, url, polling())
		send(t, c, "x")
		assert.Equal(t, "x", receive(t, c))
		require.NoError(t, c.Close())
	}
}

// sink is a connection that notes when something arrives.
type sink struct {
	net.Conn
	mu     sync.Mutex
	start  time.Time
	at     []time.Duration
	bytes  int
	closed time.Duration
	fail   error
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Since(s.start))
	s.bytes += len(p)
	return len(p), s.fail
}

func (s *sink) SetDeadline(time.Time) error { return nil }

func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = time.Since(s.start)
	return nil
}

func TestDelayIsThatOfEachWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{start: time.Now()}
		c := newSlowConn(s, time.Second)
		for range 3 {
			_, err := c.Write([]byte("x"))
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		require.NoError(t, c.Close())
		_, err := c.Write([]byte("x"))
		assert.ErrorIs(t, err, net.ErrClosed)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []time.Duration{time.Second, 1100 * time.Millisecond, 1200 * time.Millisecond}, s.at)
		assert.Equal(t, 1200*time.Millisecond, s.closed, "what was held went out first")
		assert.ErrorIs(t, c.Close(), net.ErrClosed)
	})
}

func TestDelayHoldsNoMoreThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{start: time.Now()}
		c := newSlowConn(s, time.Second)
		_, err := c.Write(make([]byte, maxHeld))
		require.NoError(t, err)
		_, err = c.Write([]byte("x")) // waits
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(s.start))
		require.NoError(t, c.Close())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, maxHeld+1, s.bytes)
	})
}

func TestDelayedFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSlowConn(&sink{start: time.Now(), fail: io.ErrClosedPipe}, time.Second)
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_, err = c.Write([]byte("x"))
		assert.ErrorIs(t, err, io.ErrClosedPipe)
	})
}
