package connect

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// form says how messages are written.
type form int

const (
	formText form = iota
	formJSON
	formBinary
)

// register makes the flags that choose; count tells how many of them were given.
func (f *form) register(flags *cli.Flags) (count func() int) {
	names := map[string]form{"text": formText, "json": formJSON, "binary": formBinary}
	for name, value := range names {
		flags.BoolFunc(name, "", func(v string) error {
			if v != "true" {
				return errors.New("takes no value")
			}
			*f = value
			return nil
		})
	}
	return func() (n int) {
		for name := range names {
			if flags.Given(name) {
				n++
			}
		}
		return n
	}
}

// message is what a line means. The error does not quote it.
func (f form) message(line string) (holdfast.Message, error) {
	if f != formBinary {
		if !utf8.ValidString(line) {
			return holdfast.Message{}, errors.New("is not UTF-8, as text must be; use -binary")
		}
		return holdfast.Message{Type: holdfast.Text, Data: []byte(line)}, nil
	}
	if encoded, ok := strings.CutPrefix(strings.TrimSpace(line), "base64:"); ok {
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil {
			return holdfast.Message{}, errors.New("is not base64 (RFC 4648, section 4)")
		}
		return holdfast.Message{Type: holdfast.Binary, Data: data}, nil
	}
	line = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, line)
	data, err := hex.DecodeString(line)
	if err != nil {
		return holdfast.Message{}, errors.New("is not hex, such as de ad be ef, nor base64:…")
	}
	return holdfast.Message{Type: holdfast.Binary, Data: data}, nil
}

// plain is a message as a script sees it.
func plain(m holdfast.Message) string {
	if m.Type == holdfast.Binary {
		return hex.EncodeToString(m.Data)
	}
	return string(m.Data)
}
