//go:build !js

package wslink

import (
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/internal/frame"
)

// frameScanner follows the peer's frame headers (RFC 6455, section 5.2)
// through chunks of any size, to find what coder lets pass.
type frameScanner struct {
	masked bool // the peer is a client, and has to mask

	state   scanState
	payload uint64 // bytes of payload to come
	ext     int    // bytes of extended length to come
	least   uint64 // what its extended length has to be, in the shortest form
	close   bool   // it is a close frame
	key     []byte // what masks it, so far
	closing []byte // its payload so far, unmasked
}

type scanState uint8

const (
	scanFirst  scanState = iota // before the byte with FIN and opcode
	scanSecond                  // before the byte with MASK and length
	scanLength                  // in the extended length
	scanKey                     // in the masking key
	scanPayload
)

// scan returns how many bytes of p stand before an error; all without one.
func (f *frameScanner) scan(p []byte) (int, error) {
	for i := 0; i < len(p); {
		switch f.state {
		case scanFirst:
			f.state, f.close = scanSecond, p[i]&0x0f == frame.Close
			i++
		case scanSecond:
			b := p[i]
			switch masked := b&0x80 != 0; {
			case masked && !f.masked:
				return i, frame.ErrMasked
			case !masked && f.masked:
				return i, frame.ErrUnmasked
			}
			i++
			b &= 0x7f
			f.payload, f.ext = uint64(b), 0
			switch b {
			case 126:
				f.ext, f.least = 2, 126
			case 127:
				f.ext, f.least = 8, 1<<16
			}
			if f.ext > 0 {
				f.payload = 0
				f.state = scanLength
			} else {
				f.mask()
			}
		case scanLength:
			f.payload = f.payload<<8 | uint64(p[i])
			if f.ext--; f.ext == 0 {
				if f.payload>>63 != 0 {
					return i, frame.ErrLength
				}
				if f.payload < f.least {
					return i, frame.ErrNotShortest
				}
				f.mask()
			}
			i++
		case scanKey:
			f.key = append(f.key, p[i])
			i++
			if len(f.key) == 4 {
				f.body()
			}
		case scanPayload:
			n := min(f.payload, uint64(len(p)-i))
			f.payload -= n
			if f.close && len(f.closing)+int(n) <= frame.MaxControl {
				for _, b := range p[i : i+int(n)] {
					if f.masked {
						b ^= f.key[len(f.closing)%4]
					}
					f.closing = append(f.closing, b)
				}
				if f.payload == 0 && len(f.closing) > 2 && !utf8.Valid(f.closing[2:]) {
					return i, frame.ErrReason // before coder echoes it
				}
			}
			i += int(n)
			f.body()
		}
	}
	return len(p), nil
}

// mask goes on with the masking key where there is one.
func (f *frameScanner) mask() {
	if f.masked {
		f.state, f.key = scanKey, f.key[:0]
	} else {
		f.body()
	}
}

// body goes on with the payload, or with the next frame if none is left.
func (f *frameScanner) body() {
	f.state = scanPayload
	if f.payload == 0 {
		f.state = scanFirst
	}
}
