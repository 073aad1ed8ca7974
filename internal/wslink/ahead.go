//go:build !js

package wslink

import "encoding/binary"

// Peek returns how many bytes of payload the next message has at least, 0 while
// no header of it is at hand. whole says that Read will not wait for it. It
// belongs to who reads, between two calls of Read.
func (l *link) Peek() (size int, whole bool) {
	if l.readErr != nil {
		return 0, true
	}
	if l.ws != nil || !l.reader.dec.Between() {
		return 0, false
	}
	for p := l.reader.data; ; {
		header, n := frameLength(p)
		if header == 0 {
			return 0, false
		}
		complete := uint64(len(p)-header) >= n
		if p[0]&0x08 == 0 { // of a message
			return int(min(n, 1<<30)), complete && p[0]&0x80 != 0
		}
		if !complete {
			return 0, false
		}
		p = p[header+int(n):]
	}
}

// frameLength returns the lengths of a frame's header and payload (RFC 6455,
// section 5.2); 0 for a header that is not all there.
func frameLength(p []byte) (header int, payload uint64) {
	if len(p) < 2 {
		return 0, 0
	}
	header, payload = 2, uint64(p[1]&0x7f)
	switch {
	case payload == 126 && len(p) >= 4:
		header, payload = 4, uint64(binary.BigEndian.Uint16(p[2:]))
	case payload == 127 && len(p) >= 10:
		header, payload = 10, binary.BigEndian.Uint64(p[2:])
	case payload >= 126:
		return 0, 0
	}
	if p[1]&0x80 != 0 {
		header += 4
	}
	if len(p) < header {
		return 0, 0
	}
	return header, payload
}

// Await waits until bytes are at hand for Read, or what it will fail with, or until
// it is interrupted. false says that this link cannot tell, and has not waited.
func (l *link) Await() bool {
	if l.ws != nil {
		return false
	}
	if l.readErr != nil || l.freed() || len(l.reader.data) > 0 || !l.reader.dec.Between() {
		return true
	}
	if err := l.fetch(); err != nil && !l.Interrupted(err) {
		l.readErr = err
		close(l.readDone)
	}
	return true
}
