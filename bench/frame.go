package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Opcodes (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// readSize is how much is read at once.
const readSize = 256 << 10

// frameReader reads frames, in place, with as few reads as can be.
type frameReader struct {
	r          io.Reader
	buf        []byte // what has been read is in buf[start:end]
	start, end int
	message    []byte // of fragments
}

func newFrameReader(r io.Reader, size int) *frameReader {
	return &frameReader{r: r, buf: make([]byte, size)}
}

var errFrame = errors.New("a frame that does not belong here")

// fill reads until there are n bytes.
func (f *frameReader) fill(n int) error {
	if f.start == f.end {
		f.start, f.end = 0, 0
	}
	if f.start+n > len(f.buf) {
		if n > len(f.buf) {
			return fmt.Errorf("%w: %d bytes", errFrame, n)
		}
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	}
	for f.end-f.start < n {
		m, err := f.r.Read(f.buf[f.end:min(f.end+readSize, len(f.buf))])
		f.end += m
		if m == 0 && err != nil {
			return err
		}
	}
	return nil
}

// frame returns the next frame. Its payload is as it was sent, masked with key, and
// holds until the next call.
func (f *frameReader) frame() (head byte, payload []byte, key uint32, err error) {
	if f.end-f.start < 2 {
		if err := f.fill(2); err != nil {
			return 0, nil, 0, err
		}
	}
	head = f.buf[f.start]
	second := f.buf[f.start+1]
	header, n := 2, int(second&0x7f)
	switch n {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	lengthEnd := header
	if second&0x80 != 0 {
		header += 4
	}
	if f.end-f.start < header {
		if err := f.fill(header); err != nil {
			return 0, nil, 0, err
		}
	}
	switch lengthEnd {
	case 4:
		n = int(binary.BigEndian.Uint16(f.buf[f.start+2:]))
	case 10:
		n = int(binary.BigEndian.Uint64(f.buf[f.start+2:]) & 0x7fffffff)
	}
	if f.end-f.start < header+n {
		if err := f.fill(header + n); err != nil {
			return 0, nil, 0, err
		}
	}
	if header != lengthEnd {
		key = binary.LittleEndian.Uint32(f.buf[f.start+lengthEnd:])
	}
	payload = f.buf[f.start+header : f.start+header+n]
	f.start += header + n
	return head, payload, key, nil
}

// next returns the next message or control frame. A message in fragments, which
// control frames may stand between, is put together and unmasked, with key 0.
func (f *frameReader) next() (op byte, payload []byte, key uint32, err error) {
	for {
		head, payload, key, err := f.frame()
		if err != nil {
			return 0, nil, 0, err
		}
		switch op := head & 0x0f; {
		case head == 0x80|opBinary || op >= opClose:
			return op, payload, key, nil
		case op == opBinary:
			f.message = f.message[:0]
		case op != opContinuation:
			return 0, nil, 0, fmt.Errorf("%w: opcode %d", errFrame, op)
		}
		unmask(payload, key)
		f.message = append(f.message, payload...)
		if head&0x80 != 0 {
			return opBinary, f.message, 0, nil
		}
	}
}

// unmask unmasks in place.
func unmask(p []byte, key uint32) {
	if key == 0 {
		return
	}
	k := uint64(key)<<32 | uint64(key)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(key >> (8 * (i & 3)))
	}
}

// appendFrame appends an unmasked frame.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	return append(appendHeader(b, op, len(payload)), payload...)
}

func appendHeader(b []byte, op byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, 0x80|op, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0x80|op, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0x80|op, 127), uint64(n))
}
