package connect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast"
)

func shown(s *screen, m holdfast.Message) string {
	var p paper
	s.out = &p
	_ = s.message(m)
	return p.String()
}

// TestNothingDrivesTheTerminal: whatever arrives, no control character comes
// through but those of this program.
func TestNothingDrivesTheTerminal(t *testing.T) {
	const evil = "\x1b]0;title\x07\x1b[2J\u009b31m\x7f\x08\r\u202e"
	for _, s := range []*screen{{terminal: true}, {terminal: true, json: true}} {
		for _, data := range []string{evil, `"` + "\u009b31m\x7f\u202e" + `"`, `{"` + "\u009b\x7f" + `":"` + "\u2066" + `"}`} {
			for _, typ := range []holdfast.MessageType{holdfast.Text, holdfast.Binary} {
				got := shown(s, holdfast.Message{Type: typ, Data: []byte(data)})
				assert.NotContains(t, strings.TrimSuffix(got, "\n"), "\x1b")
				assert.NotRegexp(t, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u202e\u2066]", got)
			}
		}
	}
	var p paper
	s := &screen{err: &p}
	s.state("%s", evil+"\nfake line")
	assert.Equal(t, `\x1b]0;title\x07\x1b[2J\u009b31m\x7f\x08\r\u202e\nfake line`+"\n", p.String())
}

func TestMessagesInATerminal(t *testing.T) {
	s := &screen{terminal: true}
	assert.Equal(t, "< one\n  two\n", shown(s, text1("one\ntwo")))
	assert.Equal(t, "< binary, 0 bytes\n", shown(s, holdfast.Message{Type: holdfast.Binary}))
	assert.Equal(t, "< binary, 3 bytes\n  00000000  00 41 ff                                          |.A.|\n",
		shown(s, holdfast.Message{Type: holdfast.Binary, Data: []byte{0, 'A', 255}}))
	assert.Contains(t, shown(s, holdfast.Message{Type: holdfast.Binary, Data: make([]byte, 5000)}), "… 904 bytes more")
	long := shown(s, text1(strings.Repeat("ü", maxShownText)))
	assert.Contains(t, long, "bytes more")
	assert.NotContains(t, long, `\x`)
}

func TestMessagesInAFile(t *testing.T) {
	s := &screen{}
	assert.Equal(t, "a\x1bb\n", shown(s, text1("a\x1bb")))
	assert.Equal(t, "00ff\n", shown(s, holdfast.Message{Type: holdfast.Binary, Data: []byte{0, 255}}))
	s.json = true
	assert.Equal(t, "{\n  \"a\": 1\n}\n", shown(s, text1(`{"a":1}`)))
	assert.Equal(t, "no json\n", shown(s, text1(`no json`)))
}

func TestJSONInColour(t *testing.T) {
	const in = `{"key \" : ,":["v",-1.5e3,0,true,null,{},[]]}`
	got := shown(&screen{terminal: true, json: true, colors: true}, text1(in))
	for _, part := range []string{"\x1b[34m\"key \\\" : ,\"\x1b[0m: ", "\x1b[32m\"v\"\x1b[0m", "\x1b[33m-1.5e3\x1b[0m", "\x1b[33m0\x1b[0m",
		"\x1b[35mtrue\x1b[0m", "\x1b[35mnull\x1b[0m", "{}", "[]"} {
		assert.Contains(t, got, part)
	}
	plain := shown(&screen{terminal: true, json: true}, text1(in))
	assert.Equal(t, "< {\n    \"key \\\" : ,\": [\n      \"v\",\n      -1.5e3,\n      0,\n      true,\n      null,\n      {},\n      []\n    ]\n  }\n", plain)
}

func FuzzColorJSON(f *testing.F) {
	f.Add(`{"a\\":[1,"\u001b",{}]}`)
	f.Add("0\r") // white space, which the indented JSON kept
	f.Fuzz(func(t *testing.T, s string) {
		got := shown(&screen{terminal: true, json: true}, text1(s))
		assert.NotRegexp(t, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f]", got)
	})
}
