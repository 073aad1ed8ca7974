package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// appender is every payload.
type appender interface{ Append(dst []byte) []byte }

// parsers read each payload. A GAP is taken to begin at 1.
var parsers = map[Type]func(b []byte) (appender, error){
	Hello:   func(b []byte) (appender, error) { return ParseHello(b) },
	Welcome: func(b []byte) (appender, error) { return ParseWelcome(b) },
	Reject:  func(b []byte) (appender, error) { return ParseReject(b) },
	Attach:  func(b []byte) (appender, error) { return ParseAttach(b) },
	Ack:     func(b []byte) (appender, error) { return ParseAck(b) },
	Gap:     func(b []byte) (appender, error) { return ParseGap(1, b) },
	GoAway:  func(b []byte) (appender, error) { return ParseGoAway(b) },
	Close:   func(b []byte) (appender, error) { return ParseClose(b) },
}

// payloads draws payloads of each type, within the bounds.
func payloads(t *rapid.T) map[Type]appender {
	n := func(name string) uint64 { return numbers(0, MaxSeq).Draw(t, name) }
	text := func(name string, most int) string {
		return rapid.StringN(0, most, most).Draw(t, name)
	}
	hello := HelloPayload{SID: text("sid", MaxSID), RecvNext: n("next"), MaxMessage: n("max"), Capabilities: n("capabilities")}
	copy(hello.Secret[:], rapid.SliceOfN(rapid.Byte(), SecretLen, SecretLen).Draw(t, "secret"))
	ttl := time.Duration(numbers(0, uint64(MaxTTL.Milliseconds())).Draw(t, "ttl")) * time.Millisecond
	code := rapid.Uint16Range(0, 4999).Draw(t, "code")
	reason := text("reason", MaxReason)
	return map[Type]appender{
		Hello:   hello,
		Welcome: WelcomePayload{SID: hello.SID, RecvNext: n("next"), Window: n("window"), MaxMessage: n("max"), ResumeTTL: ttl, Capabilities: n("capabilities")},
		Reject:  RejectPayload{Status: rapid.IntRange(0, 999).Draw(t, "status"), Code: code, Reason: reason, RecvNext: n("next"), Attachment: n("attachment")},
		Attach:  AttachPayload{Attachment: n("attachment"), RecvNext: n("next"), Window: n("window")},
		Ack:     AckPayload{RecvNext: n("next"), Window: n("window")},
		Gap:     GapPayload{Count: numbers(1, MaxGap).Draw(t, "count")},
		GoAway:  GoAwayPayload{Reason: n("reason")},
		Close:   ClosePayload{Code: code, Reason: reason},
	}
}

func TestPayloadsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		later := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "later")
		for typ, want := range payloads(t) {
			b := want.Append(nil)
			require.LessOrEqual(t, len(b), MaxPayload)
			got, err := parsers[typ](b)
			require.NoError(t, err, "%v", typ)
			require.Equal(t, want, got)
			if typ == Close { // the reason goes to the end
				continue
			}
			got, err = parsers[typ](append(b, later...))
			require.NoError(t, err, "%v with a later version's fields", typ)
			require.Equal(t, want, got)
		}
	})
}

func TestPartsOfPayloadsAreMalformed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for typ, whole := range payloads(t) {
			b := whole.Append(nil)
			if typ == Close {
				b = binary.AppendUvarint(nil, uint64(whole.(ClosePayload).Code))
			}
			for n := range b {
				_, err := parsers[typ](b[:n])
				require.ErrorIs(t, err, ErrMalformed, "%d of %d bytes of %v", n, len(b), typ)
			}
		}
	})
}

func TestMalformedPayloads(t *testing.T) {
	secret := strings.Repeat("s", SecretLen)
	list := func(v ...uint64) string { return string(appendNumbers(nil, v...)) }
	text := func(s string) string { return string(appendString(nil, s)) }
	long, reason := strings.Repeat("a", MaxSID+1), strings.Repeat("a", MaxReason+1)
	for _, c := range []struct {
		name    string
		typ     Type
		payload string
	}{
		{"sid over the bound", Hello, secret + text(long) + list(1, 1, 1)},
		{"sid that is not UTF-8", Hello, secret + text("\xff") + list(1, 1, 1)},
		{"sid beyond the payload", Hello, secret + list(9) + "abc"},
		{"number over the bound", Hello, secret + text("a") + list(MaxSeq+1, 1, 1)},
		{"number that is not minimal", Hello, secret + text("a") + "\x81\x00" + list(1, 1)},
		{"sid over the bound", Welcome, text(long) + list(1, 1, 1, 1, 1)},
		{"ttl over the bound", Welcome, text("a") + list(1, 1, 1, uint64(MaxTTL.Milliseconds())+1, 1)},
		{"status over the bound", Reject, list(1000, 1) + text("") + list(1, 1)},
		{"code over the bound", Reject, list(410, 5000) + text("") + list(1, 1)},
		{"reason over the bound", Reject, list(410, 1000) + text(reason) + list(1, 1)},
		{"window over the bound", Attach, list(1, 1, MaxSeq+1)},
		{"window over the bound", Ack, list(1, MaxSeq+1)},
		{"no frame", Gap, list(0)},
		{"more frames than the bound", Gap, list(MaxGap + 1)},
		{"code over the bound", Close, list(5000)},
		{"reason over the bound", Close, list(1000) + reason},
		{"reason that is not UTF-8", Close, list(1000) + "\xff"},
	} {
		_, err := parsers[c.typ]([]byte(c.payload))
		require.ErrorIs(t, err, ErrMalformed, "%v: %s", c.typ, c.name)
	}
}

func TestGapEndsWithinTheNumbers(t *testing.T) {
	b := GapPayload{Count: 10}.Append(nil)
	p, err := ParseGap(MaxSeq-10, b)
	require.NoError(t, err)
	assert.Equal(t, uint64(10), p.Count)
	_, err = ParseGap(MaxSeq-9, b)
	require.ErrorIs(t, err, ErrMalformed)
}

func TestErrorsOfPayloadsDoNotQuoteThem(t *testing.T) {
	secret := strings.Repeat("s", SecretLen)
	for _, b := range []string{secret[1:], secret, secret + "\x85sss"} {
		_, err := ParseHello([]byte(b))
		require.ErrorIs(t, err, ErrMalformed)
		assert.NotContains(t, err.Error(), "sss")
	}
}

func FuzzParse(f *testing.F) {
	for typ := Hello; typ <= Close+1; typ++ {
		seq := uint64(0)
		if typ.Numbered() {
			seq = 1 << 20
		}
		f.Add(Append(nil, Frame{Type: typ, Flags: Text, Seq: seq, Ack: 300, Payload: []byte("payload")}))
	}
	f.Add([]byte{byte(Data), 0, 0x81, 0, 0, 0})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			frame, n, err := Parse(b)
			if err != nil {
				require.Zero(t, n)
				if err != ErrShort {
					require.ErrorIs(t, err, ErrMalformed)
					_, _, err = Parse(append(b[:len(b):len(b)], 0))
					require.ErrorIs(t, err, ErrMalformed, "what follows does not mend it")
				}
				return
			}
			require.Positive(t, n)
			require.LessOrEqual(t, n, len(b))
			require.LessOrEqual(t, len(frame.Payload), MaxPayload)
			require.LessOrEqual(t, max(frame.Seq, frame.Ack), uint64(MaxSeq))
			require.Equal(t, frame.Type.Numbered(), frame.Seq > 0)
			require.Equal(t, b[:n], Append(nil, frame), "one form only")
			_, _, err = Parse(b[:n-1])
			require.Equal(t, ErrShort, err)
			b = b[n:]
		}
	})
}

func FuzzPayloads(f *testing.F) {
	for _, p := range []appender{
		HelloPayload{SID: "node.random", RecvNext: 1, MaxMessage: 1 << 20},
		WelcomePayload{SID: "node.random", RecvNext: 1, Window: 1 << 20, MaxMessage: 1 << 20, ResumeTTL: time.Minute},
		RejectPayload{Status: 410, Code: 1000, Reason: "bye", RecvNext: 7},
		AttachPayload{Attachment: 1, RecvNext: 1, Window: 1 << 20},
		GapPayload{Count: MaxGap},
		GoAwayPayload{Reason: GoAwayRestart},
		ClosePayload{Code: 4999, Reason: "ende"},
	} {
		f.Add(p.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for typ, parse := range parsers {
			p, err := parse(b)
			if err != nil {
				require.ErrorIs(t, err, ErrMalformed)
				continue
			}
			require.True(t, bytes.HasPrefix(b, p.Append(nil)), "%v has one form only", typ)
			again, err := parse(p.Append(nil))
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
	})
}
