//go:build !js

package wslink

import (
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowConn takes of each write as much as is planned, and then says that the
// time is up.
type slowConn struct {
	net.Conn
	plan  []int
	taken int
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(p []byte) (int, error) {
	n := min(c.plan[0], len(p))
	c.plan = c.plan[1:]
	c.taken += n
	if n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// Pieces of more than maxChunk do not make the timeout that of a piece.
func TestTimeoutOfLongPieces(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan []int
		sent int
		ok   bool
	}{
		{"fast", []int{maxPiece, maxPiece}, 100_000, true},
		{"slow", []int{20_000, maxChunk, maxPiece}, 100_000, true},
		{"too slow", []int{20_000, maxChunk - 1}, 20_000 + maxChunk - 1, false},
		{"not at all", []int{0}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &slowConn{plan: tt.plan}
			s := newStream(c, c, nil, time.Second)
			s.piece = maxPiece
			sent, err := s.send(make([]byte, 100_000))
			assert.Equal(t, tt.sent, sent)
			assert.Equal(t, tt.sent, c.taken)
			if tt.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			sent, err = s.send([]byte("x"))
			assert.Zero(t, sent)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		})
	}
}

func TestQuietLinksHoldNoLargeBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		l := newLink(clientSide, 0, nil)
		l.limit = -1
		l.begin(newStream(client, client, nil, 0))
		go func() {
			var frames []byte
			for range 100 {
				frames = append(frames, 0x82, 126, 3000>>8, 3000&0xff)
				frames = append(frames, make([]byte, 3000)...)
			}
			server.Write(frames)
			server.Write([]byte{0x82}) // the next one, in part
		}()
		var buf []byte
		held := false
		for range 100 {
			_, data, err := l.Read(buf[:0])
			require.NoError(t, err)
			assert.Len(t, data, 3000)
			held = held || l.reader.busy != nil
			buf = data
		}
		assert.True(t, held, "more came than the small buffer takes")
		read := make(chan error)
		go func() {
			_, _, err := l.Read(nil)
			read <- err
		}()
		synctest.Wait()
		assert.Nil(t, l.reader.busy)
		l.Abort()
		require.Error(t, <-read)
	})
}
