package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// The protocol's own headers.
const (
	headerVersion     = "Holdfast-Version"
	headerHello       = "Holdfast-Hello"
	headerOp          = "Holdfast-Op"
	headerSession     = "Holdfast-Session"
	headerAttachment  = "Holdfast-Attachment"
	headerPoll        = "Holdfast-Poll"
	headerHang        = "Holdfast-Hang"
	headerSubprotocol = "Holdfast-Subprotocol"
	headerDiag        = "Holdfast-Diag"

	versionNumber = wire.Version
)

// writeTimeout is how long a client may take for an answer, or a link nothing
// of what is written.
const writeTimeout = 10 * time.Second

// refusal is an answer other than 200. Those of the session (400, 409, 410 and
// 421) have a REJECT as their body, and go over WebSocket as that frame.
type refusal struct {
	status     int
	text       string
	diag       string             // Holdfast-Diag
	retryAfter time.Duration      // whole seconds
	reject     wire.RejectPayload // Status is set by frame
}

func refuse(status int, text string) *refusal { return &refusal{status: status, text: text} }

// hasFrame says that the refusal is the session's.
func (f *refusal) hasFrame() bool {
	switch f.status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// frame is the refusal as a REJECT.
func (f *refusal) frame() []byte {
	p := f.reject
	p.Status = f.status
	if f.status == http.StatusBadRequest {
		p.Reason = f.text
	}
	return wire.Append(nil, wire.Frame{Type: wire.Reject, Payload: p.Append(nil)})
}

// write answers a request with the refusal.
func (f *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if f.diag != "" {
		h.Set(headerDiag, f.diag)
	}
	if f.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.retryAfter+time.Second-1)/time.Second)))
	}
	if f.reject.Attachment > 0 {
		h.Set(headerAttachment, strconv.FormatUint(f.reject.Attachment, 10))
	}
	if f.hasFrame() {
		answer(w, f.status, wire.MediaType, f.frame())
		return
	}
	answer(w, f.status, "text/plain; charset=utf-8", []byte(f.text+"\n"))
}

// answer writes a whole answer, in bounded time. No cache or proxy may keep
// it, change it or wait for more of it.
func answer(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	h.Set(headerVersion, versionNumber)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// net/http reads what is left of a body before it answers.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(bodyTimeout + writeTimeout)) // where it can be set
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone asks again
}

// answerFrames answers with frames.
func answerFrames(w http.ResponseWriter, frames []byte) {
	answer(w, http.StatusOK, wire.MediaType, frames)
}
