package holdfasttest

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFrameBytes(t *testing.T) {
	// RFC 6455, section 5.7.
	assert.Equal(t, []byte("\x81\x05Hello"), Frame{Fin: true, Opcode: OpText, Payload: []byte("Hello")}.Append(nil))
	assert.Equal(t, []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
		Frame{Fin: true, Opcode: OpText, Masked: true, Payload: []byte("Hello")}.Append(nil))
	assert.Equal(t, []byte("x\x01\x03Hel"), Frame{Opcode: OpText, Payload: []byte("Hel")}.Append([]byte("x")))
	assert.Equal(t, []byte("\x82\x7e\x01\x00"), Frame{Fin: true, Opcode: OpBinary, Payload: make([]byte, 256)}.Append(nil)[:4])
	assert.Equal(t, []byte("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
		Frame{Fin: true, Opcode: OpBinary, Payload: make([]byte, 65536)}.Append(nil)[:10])
}

func TestReadFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		for _, masked := range []bool{false, true} {
			f := Frame{Fin: n%2 == 0, RSV: 5, Opcode: OpPong, Masked: masked, Payload: bytes.Repeat([]byte{7}, n)}
			b := f.Append(nil)
			got, err := readFrame(bytes.NewReader(b), 1<<20)
			require.NoError(t, err)
			assert.Equal(t, f, got)
			for _, cut := range []int{1, 2, 3, len(b) - 1} {
				if cut < len(b) {
					_, err = readFrame(bytes.NewReader(b[:cut]), 1<<20)
					assert.Equal(t, io.ErrUnexpectedEOF, err)
				}
			}
		}
	}
	_, err := readFrame(bytes.NewReader(nil), 1)
	assert.Equal(t, io.EOF, err)
}
