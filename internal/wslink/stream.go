//go:build !js

package wslink

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// maxChunk bounds what is written at once, so that each piece of a long frame
// has a timeout of its own. It is the longest record of TLS.
const maxChunk = 16 << 10

// maxPiece is the same for TCP, where a write that was cut says how far it came.
const maxPiece = 64 << 10

// tcpUncertain says that a write that was cut may have left whole.
const tcpUncertain = runtime.GOOS == "windows"

// stream is the connection under the frames. All bytes pass through it, so that it
// knows what coder's errors do not tell: what the network said first, and
// whether any byte of a message may have left.
type stream struct {
	conn   net.Conn // above TLS
	raw    net.Conn // below TLS: what is closed
	opened time.Time
	// timeout bounds each write to conn, 0 for not: a slow link that takes some
	// lives, one that takes nothing does not.
	timeout time.Duration
	// piece is what is written at once: maxChunk or more. Of more, maxChunk has
	// to leave within the timeout.
	piece int
	// lastRead is when bytes last arrived, after opened.
	lastRead atomic.Int64
	// interrupted says that a timeout of a read is none.
	interrupted atomic.Bool

	// These belong to the one who reads.
	rest   []byte // arrived with the handshake's answer
	held   error  // came together with bytes, told next time
	bad    error  // the peer broke the framing behind the bytes given
	ended  error  // what Read returned first, and returns ever since
	frames frameScanner

	// armed is set once the handshake is done. Until then a Read finds the
	// end: coder reads the body of an answer that it rejects.
	armed bool
	// kept says that coder's end is not the connection's.
	kept bool
	// hush drops what coder writes: its answer to the peer's close, when this
	// side has sent its own already.
	hush     atomic.Bool
	writes   atomic.Uint64 // handed to conn
	writeErr atomic.Pointer[error]

	// These belong to the one who writes.
	direct *direct // nil where there is none
	soon   bool    // send waits for nothing, and keeps the rest
	tail   []byte  // which goes before what comes next
}

func newStream(conn, raw net.Conn, rest []byte, timeout time.Duration) *stream {
	s := &stream{conn: conn, raw: raw, opened: time.Now(), timeout: timeout, piece: maxChunk, rest: append([]byte(nil), rest...)}
	if _, ok := conn.(*net.TCPConn); ok && !tcpUncertain {
		s.piece = maxPiece
	}
	s.direct = newDirect(conn)
	return s
}

// Read implements io.Reader for coder.
func (s *stream) Read(p []byte) (int, error) {
	if !s.armed {
		return 0, io.EOF
	}
	if s.ended != nil {
		return 0, s.ended
	}
	n, err := 0, s.bad
	if err == nil {
		n, err = s.fetch(p)
	}
	if n > 0 {
		s.held = err
		n, s.bad = s.frames.scan(p[:n])
		err = s.bad
	}
	if n > 0 {
		return n, nil
	}
	s.ended = err
	return 0, err
}

// fill is Read for the frames that are read here.
func (s *stream) fill(p []byte) (int, error) {
	if s.ended != nil {
		return 0, s.ended
	}
	n, err := s.fetch(p)
	if n > 0 {
		if !s.interruptedBy(err) {
			s.held = err
		}
		return n, nil
	}
	if s.interruptedBy(err) {
		return 0, errInterrupted
	}
	s.ended = err
	return 0, err
}

// fetch reads from what is at hand, then from the connection.
func (s *stream) fetch(p []byte) (int, error) {
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		if s.rest = s.rest[n:]; len(s.rest) == 0 {
			s.rest = nil
		}
		return n, nil
	}
	if s.held != nil {
		return 0, s.held
	}
	n, err := s.conn.Read(p)
	if n > 0 {
		s.lastRead.Store(int64(time.Since(s.opened)))
	}
	return n, err
}

// Write implements io.Writer for coder.
func (s *stream) Write(p []byte) (int, error) {
	if s.hush.Load() {
		return len(p), nil
	}
	return s.send(p)
}

// send writes p and returns how much of it has left. After an error nothing
// more leaves: a frame may be cut.
func (s *stream) send(p []byte) (int, error) {
	if err := s.writeErr.Load(); err != nil {
		return 0, *err
	}
	if s.soon {
		return s.sendSoon(p)
	}
	if tail := s.tail; len(tail) > 0 {
		s.tail = nil
		if _, err := s.sendAll(tail); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return s.sendAll(p)
}

// sendSoon is send that waits for nothing: what it keeps counts as having left.
func (s *stream) sendSoon(p []byte) (int, error) {
	n := 0
	if len(s.tail) == 0 {
		s.writes.Add(1)
		var err error
		if n, err = s.direct.try(p); err != nil {
			s.writeErr.CompareAndSwap(nil, &err)
			return n, err
		}
	}
	s.tail = append(s.tail, p[n:]...)
	return len(p), nil
}

// sendAll waits until p has left.
func (s *stream) sendAll(p []byte) (int, error) {
	s.writes.Add(1)
	if s.timeout > 0 {
		defer s.conn.SetWriteDeadline(time.Time{}) // TLS may write on its own
	}
	sent := 0
	for {
		if s.timeout > 0 {
			_ = s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
		}
		end := min(len(p), sent+s.piece)
		n, err := s.conn.Write(p[sent:end])
		if sent += n; err != nil {
			if n >= maxChunk && s.piece > maxChunk && errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			if tcpUncertain {
				sent = end
			}
			first := err // err itself would be allocated each time
			s.writeErr.CompareAndSwap(nil, &first)
			return sent, err
		}
		if sent >= len(p) {
			return sent, nil
		}
	}
}

// Close implements io.Closer for coder.
func (s *stream) Close() error {
	if s.kept {
		return nil
	}
	return s.raw.Close()
}

// cut closes the connection at once.
func (s *stream) cut() { s.raw.Close() }
