package fallback

import (
	"errors"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// whole says how many bytes of b are whole frames, and whether one of them has
// a number of its own. short: b ends inside a frame. What is malformed is whole:
// the session says what is wrong with it.
func whole(b []byte) (n int, numbered, short bool) {
	for n < len(b) {
		f, size, err := wire.Parse(b[n:])
		switch {
		case errors.Is(err, wire.ErrShort):
			return n, numbered, true
		case err != nil:
			return len(b), numbered, false
		}
		numbered = numbered || f.Type.Numbered()
		n += size
	}
	return n, numbered, false
}

// fitting is the beginning of a batch, of at most limit bytes but one frame at
// least, and how many frames that is.
func fitting(batch []byte, limit int) (part []byte, frames int) {
	n := 0
	for n < len(batch) {
		_, size, err := wire.Parse(batch[n:])
		if err != nil {
			size = len(batch) - n // no frame, for the server to refuse
		}
		if frames > 0 && n+size > limit {
			break
		}
		n += size
		frames++
	}
	return batch[:n], frames
}

// attachmentOf is the number in the ATTACH that a batch begins with, 0 if it
// begins otherwise.
func attachmentOf(batch []byte) uint64 {
	f, _, err := wire.Parse(batch)
	if err != nil || f.Type != wire.Attach {
		return 0
	}
	p, err := wire.ParseAttach(f.Payload)
	if err != nil {
		return 0
	}
	return p.Attachment
}
