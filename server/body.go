package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// bodyTimeout is how long a request's body may take to arrive.
const bodyTimeout = 10 * time.Second

// firstRead is how much is made ready for a body before any of it has come.
const firstRead = 4 << 10

// checkType refuses a body that is not ours to read.
func checkType(w http.ResponseWriter, r *http.Request) *refusal {
	typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	if err != nil || typ != wire.MediaType || encoding != "" && encoding != "identity" {
		w.Header().Set("Accept-Post", wire.MediaType)
		w.Header().Set("Accept-Encoding", "identity")
		return refuse(http.StatusUnsupportedMediaType, "the body must be "+wire.MediaType+", without a content encoding")
	}
	if r.ContentLength > wire.MaxBatch {
		return tooLarge(w)
	}
	return nil
}

func tooLarge(w http.ResponseWriter) *refusal {
	w.Header().Set("Connection", "close") // what is left of it is not read
	return refuse(http.StatusRequestEntityTooLarge, "the body is over 256 KiB")
}

// boundBody makes the body of a request arrive in time, whoever reads it: after
// a refusal net/http does.
func boundBody(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // where it can be set
}

// readBody reads a whole body. Memory grows as it arrives.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	size := int64(firstRead)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength+1)
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Body.Read(buf[len(buf):min(cap(buf), wire.MaxBatch+1)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > wire.MaxBatch:
			return nil, tooLarge(w)
		case err == io.EOF:
			// A hanging poll watches its connection, and that has no deadline.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			return buf, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.Header().Set("Connection", "close")
			return nil, refuse(http.StatusRequestTimeout, "the body did not arrive in time")
		case err != nil:
			w.Header().Set("Connection", "close")
			return nil, refuse(http.StatusBadRequest, "the body is cut")
		}
	}
}
