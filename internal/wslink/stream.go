//go:build !js

package wslink

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

var (
	errMasked   = errors.New("a masked frame from the server")
	errNegative = errors.New("a frame longer than 2^63-1 bytes")
	errReason   = errors.New("a close reason that is not UTF-8")
)

// stream is the connection under coder. All bytes pass through it, so that it
// knows what coder's errors do not tell: what the network said first, and
// whether any byte of a message may have left.
type stream struct {
	conn   net.Conn // above TLS
	raw    net.Conn // below TLS: what is closed
	opened time.Time
	// timeout bounds each write to conn, 0 for not: a slow link that takes some
	// lives, one that takes nothing does not.
	timeout time.Duration
	// lastRead is when bytes last arrived, after opened.
	lastRead atomic.Int64

	// These belong to the one who reads.
	rest   []byte // arrived with the handshake's answer
	held   error  // came together with bytes, told next time
	bad    error  // the peer broke the framing behind the bytes given
	ended  error  // what Read returned first, and returns ever since
	frames frameScanner

	// armed is set once the handshake is done. Until then a Read finds the
	// end: coder reads the body of an answer that it rejects.
	armed bool
	// hush drops what coder writes: its answer to the peer's close, when this
	// side has sent its own already.
	hush     atomic.Bool
	writes   atomic.Uint64 // handed to conn
	writeErr atomic.Pointer[error]
}

func newStream(way *route, rest []byte, timeout time.Duration) *stream {
	return &stream{conn: way.Conn, raw: way.raw, opened: time.Now(), timeout: timeout, rest: append([]byte(nil), rest...)}
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

// send writes p. After an error nothing more leaves: a frame may be cut.
func (s *stream) send(p []byte) (int, error) {
	if err := s.writeErr.Load(); err != nil {
		return 0, *err
	}
	s.writes.Add(1)
	if s.timeout > 0 {
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
		defer s.conn.SetWriteDeadline(time.Time{}) // TLS may write on its own
	}
	n, err := s.conn.Write(p)
	if err != nil {
		s.writeErr.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Close closes the connection at once.
func (s *stream) Close() error { return s.raw.Close() }

// frameScanner follows the peer's frame headers (RFC 6455, section 5.2)
// through chunks of any size, to find what coder lets pass.
type frameScanner struct {
	state   scanState
	payload uint64 // bytes of payload to come
	ext     int    // bytes of extended length to come
	close   bool   // it is a close frame
	closing []byte // its payload so far
}

type scanState uint8

const (
	scanFirst  scanState = iota // before the byte with FIN and opcode
	scanSecond                  // before the byte with MASK and length
	scanLength                  // in the extended length
	scanPayload
)

// scan returns how many bytes of p stand before an error; all without one.
func (f *frameScanner) scan(p []byte) (int, error) {
	for i := 0; i < len(p); {
		switch f.state {
		case scanFirst:
			f.state, f.close = scanSecond, p[i]&0x0f == opClose
			i++
		case scanSecond:
			b := p[i]
			if b&0x80 != 0 {
				return i, errMasked
			}
			i++
			f.payload, f.ext = uint64(b&0x7f), 0
			switch b {
			case 126:
				f.ext = 2
			case 127:
				f.ext = 8
			}
			if f.ext > 0 {
				f.payload = 0
				f.state = scanLength
			} else {
				f.body()
			}
		case scanLength:
			f.payload = f.payload<<8 | uint64(p[i])
			if f.ext--; f.ext == 0 {
				if f.payload>>63 != 0 {
					return i, errNegative
				}
				f.body()
			}
			i++
		case scanPayload:
			n := min(f.payload, uint64(len(p)-i))
			f.payload -= n
			if f.close && len(f.closing)+int(n) <= maxControl {
				f.closing = append(f.closing, p[i:i+int(n)]...)
				if f.payload == 0 && len(f.closing) > 2 && !utf8.Valid(f.closing[2:]) {
					return i, errReason // before coder echoes it
				}
			}
			i += int(n)
			f.body()
		}
	}
	return len(p), nil
}

// body goes on with the payload, or with the next frame if none is left.
func (f *frameScanner) body() {
	f.state = scanPayload
	if f.payload == 0 {
		f.state = scanFirst
	}
}
