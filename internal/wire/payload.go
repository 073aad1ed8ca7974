package wire

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// The bounds of what payloads hold.
const (
	MaxSID    = 128                  // bytes of a session's id
	MaxReason = 123                  // bytes of a reason, as RFC 6455 section 5.5.1 has it
	MaxTTL    = 365 * 24 * time.Hour // of a Welcome
	SecretLen = 16
)

// HelloPayload opens a candidate link.
type HelloPayload struct {
	// Secret is drawn by the client, the same in every HELLO of a session.
	Secret [SecretLen]byte
	// SID is the session's id, "" before the first WELCOME.
	SID string
	// RecvNext is the number of the frame that the client wants next.
	RecvNext uint64
	// MaxMessage is the largest message, in bytes, that the client takes.
	MaxMessage uint64
	// Capabilities are bits; this version has none.
	Capabilities uint64
}

// WelcomePayload answers HELLO.
type WelcomePayload struct {
	SID string
	// RecvNext is the number of the frame that the server wants next, Window how
	// many bytes of frames it takes from there on.
	RecvNext, Window uint64
	// MaxMessage is the largest message, in bytes, that the server takes.
	MaxMessage uint64
	// ResumeTTL is how long the session outlives its link, in whole
	// milliseconds.
	ResumeTTL time.Duration
	// Capabilities are bits; this version has none.
	Capabilities uint64
}

// RejectPayload answers in place of WELCOME, or ends a link.
type RejectPayload struct {
	// Status is the HTTP status that says why: 400, 409, 410, 421.
	Status int
	// Code and Reason are the tombstone's: how the session was closed; 0 if
	// that is not known.
	Code   uint16
	Reason string
	// RecvNext is the number of the frame that the closed session wanted next,
	// with a tombstone.
	RecvNext uint64
	// Attachment is the present one's number, with 409.
	Attachment uint64
}

// AttachPayload makes a candidate the session's link.
type AttachPayload struct {
	// Attachment is the number of the link, from 1; only the client allocates
	// them, and they rise.
	Attachment uint64
	// RecvNext and Window are as in an ACK.
	RecvNext, Window uint64
}

// AckPayload says what is wanted.
type AckPayload struct {
	// RecvNext is the number of the frame that is wanted next, Window how many
	// bytes of frames are taken from there on, Overhead each included.
	RecvNext, Window uint64
}

// GapPayload follows the number of the first frame that will not come.
type GapPayload struct {
	// Count is how many frames, from 1 to MaxGap.
	Count uint64
}

// The reasons of a GoAwayPayload.
const (
	GoAwayReauthorize = 1 // attach again through Authorize
	GoAwayRestart     = 2 // attach again, here or at another node
)

// GoAwayPayload asks the client for another link.
type GoAwayPayload struct{ Reason uint64 }

// ClosePayload ends a direction of the session.
type ClosePayload struct {
	Code   uint16 // RFC 6455, section 7.4
	Reason string
}

// Append appends the payload to dst.
func (p HelloPayload) Append(dst []byte) []byte {
	dst = append(dst, p.Secret[:]...)
	dst = appendString(dst, p.SID)
	return appendNumbers(dst, p.RecvNext, p.MaxMessage, p.Capabilities)
}

// Append appends the payload to dst.
func (p WelcomePayload) Append(dst []byte) []byte {
	dst = appendString(dst, p.SID)
	return appendNumbers(dst, p.RecvNext, p.Window, p.MaxMessage, uint64(p.ResumeTTL.Milliseconds()), p.Capabilities)
}

// Append appends the payload to dst.
func (p RejectPayload) Append(dst []byte) []byte {
	dst = appendNumbers(dst, uint64(p.Status), uint64(p.Code))
	dst = appendString(dst, p.Reason)
	return appendNumbers(dst, p.RecvNext, p.Attachment)
}

// Append appends the payload to dst.
func (p AttachPayload) Append(dst []byte) []byte {
	return appendNumbers(dst, p.Attachment, p.RecvNext, p.Window)
}

// Append appends the payload to dst.
func (p AckPayload) Append(dst []byte) []byte { return appendNumbers(dst, p.RecvNext, p.Window) }

// Append appends the payload to dst.
func (p GapPayload) Append(dst []byte) []byte { return appendNumbers(dst, p.Count) }

// Append appends the payload to dst.
func (p GoAwayPayload) Append(dst []byte) []byte { return appendNumbers(dst, p.Reason) }

// Append appends the payload to dst.
func (p ClosePayload) Append(dst []byte) []byte {
	return append(appendNumbers(dst, uint64(p.Code)), p.Reason...)
}

// ParseHello reads the payload of a HELLO.
func ParseHello(b []byte) (p HelloPayload, err error) {
	if len(b) < SecretLen {
		return p, malformed("HELLO of %d bytes", len(b))
	}
	r := reader{b: b[copy(p.Secret[:], b):]}
	p.SID = r.string(MaxSID)
	p.RecvNext, p.MaxMessage, p.Capabilities = r.number(MaxSeq), r.number(MaxSeq), r.number(MaxSeq)
	return p, r.err("HELLO")
}

// ParseWelcome reads the payload of a WELCOME.
func ParseWelcome(b []byte) (p WelcomePayload, err error) {
	r := reader{b: b}
	p.SID = r.string(MaxSID)
	p.RecvNext, p.Window, p.MaxMessage = r.number(MaxSeq), r.number(MaxSeq), r.number(MaxSeq)
	p.ResumeTTL = time.Duration(r.number(uint64(MaxTTL.Milliseconds()))) * time.Millisecond
	p.Capabilities = r.number(MaxSeq)
	return p, r.err("WELCOME")
}

// ParseReject reads the payload of a REJECT.
func ParseReject(b []byte) (p RejectPayload, err error) {
	r := reader{b: b}
	p.Status, p.Code = int(r.number(999)), uint16(r.number(4999))
	p.Reason = r.string(MaxReason)
	p.RecvNext, p.Attachment = r.number(MaxSeq), r.number(MaxSeq)
	return p, r.err("REJECT")
}

// ParseAttach reads the payload of an ATTACH.
func ParseAttach(b []byte) (p AttachPayload, err error) {
	r := reader{b: b}
	p.Attachment, p.RecvNext, p.Window = r.number(MaxSeq), r.number(MaxSeq), r.number(MaxSeq)
	return p, r.err("ATTACH")
}

// ParseAck reads the payload of an ACK.
func ParseAck(b []byte) (p AckPayload, err error) {
	r := reader{b: b}
	p.RecvNext, p.Window = r.number(MaxSeq), r.number(MaxSeq)
	return p, r.err("ACK")
}

// ParseGap reads the payload of a GAP that begins at seq.
func ParseGap(seq uint64, b []byte) (p GapPayload, err error) {
	r := reader{b: b}
	p.Count = r.number(MaxGap)
	if p.Count == 0 || p.Count > MaxSeq-seq {
		r.bad = true
	}
	return p, r.err("GAP")
}

// ParseGoAway reads the payload of a GOAWAY.
func ParseGoAway(b []byte) (p GoAwayPayload, err error) {
	r := reader{b: b}
	p.Reason = r.number(MaxSeq)
	return p, r.err("GOAWAY")
}

// ParseClose reads the payload of a CLOSE.
func ParseClose(b []byte) (p ClosePayload, err error) {
	r := reader{b: b}
	p.Code = uint16(r.number(4999))
	if len(r.b) > MaxReason || !utf8.Valid(r.b) {
		r.bad = true
	} else {
		p.Reason = string(r.b)
	}
	return p, r.err("CLOSE")
}

func appendNumbers(dst []byte, list ...uint64) []byte {
	for _, v := range list {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// reader reads a payload. What follows the fields that this version knows is
// a later version's.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(max uint64) uint64 {
	v, n, err := uvarint(r.b, max)
	if err != nil {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string(max int) string {
	n := int(r.number(uint64(max)))
	if n > len(r.b) {
		r.bad, n = true, 0
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	if !utf8.ValidString(s) {
		r.bad = true
	}
	return s
}

func (r *reader) err(frame string) error {
	if r.bad {
		return malformed("the payload of %s", frame)
	}
	return nil
}
