package connect

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/server"
)

// session is an interactive run whose terminal is in memory.
type session struct {
	t      *testing.T
	keys   *typing
	screen paper
	code   chan int
}

func interactive(t *testing.T, args ...string) *session {
	set, err := parse(args)
	require.NoError(t, err)
	s := &session{t: t, keys: newTyping(), code: make(chan int, 1)}
	c := newClient(set, cli.Streams{Out: &s.screen, Err: &s.screen})
	c.screen.terminal = true
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.code <- c.run(t.Context(), false, func(alive context.Context) error {
			e := newEditor(s.keys, &s.screen, &history{})
			c.screen.redirect(e, e, nil)
			defer c.screen.redirect(&s.screen, &s.screen, nil)
			return c.edit(alive, e, func() {})
		})
	}()
	t.Cleanup(func() {
		s.keys.PipeReader.Close()
		s.keys.Close()
		<-over
	})
	s.screen.await(t, 0, "connected over")
	return s
}

func TestTypedMessages(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url())
	s.keys.write("hellow\x7f wörld\r")
	at := s.screen.await(t, 0, "< hello wörld\r\n")
	s.keys.write("\x1b[A!\r") // the line before, and more
	s.screen.await(t, at, "< hello wörld!\r\n")
	s.keys.write("\r//slash\r")
	w.awaitTexts("hello wörld", "hello wörld!", "/slash")
	s.keys.write("\x04")
	assert.Equal(t, 0, <-s.code)
	var end *holdfast.CloseError
	require.ErrorAs(t, w.ended(), &end)
	assert.Equal(t, holdfast.StatusNormalClosure, end.Code)
}

func TestCtrlC(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url())
	s.keys.write("half a line\x03")
	assert.Equal(t, 130, <-s.code)
	var end *holdfast.CloseError
	require.ErrorAs(t, w.ended(), &end)
	assert.Equal(t, holdfast.StatusNormalClosure, end.Code)
	assert.Empty(t, w.texts())
}

// TestRestartWhileTyping: the server is killed in the middle of a line, and comes
// back after the next one.
func TestRestartWhileTyping(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url())
	s.keys.write("before\r")
	s.screen.await(t, 0, "< before")
	s.keys.write("half of")
	at := s.screen.await(t, 0, "f") // of "> half of", typed
	w.kill()
	at = s.screen.await(t, at, "waiting ")
	at = s.screen.await(t, at, "> half of") // again, below the state
	s.keys.write(" a line\rsecond\rthi")
	w.start()
	at = s.screen.await(t, at, "< half of a line")
	s.screen.await(t, at, "< second")
	s.keys.write("rd\r")
	s.screen.await(t, at, "< third")
	w.awaitTexts("before", "half of a line", "second", "third")
	s.keys.write("\x04")
	assert.Equal(t, 0, <-s.code)
}

func TestCommands(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url())
	s.keys.write("/help\r")
	s.screen.await(t, 0, "/close [CODE [REASON]]")
	s.keys.write("x\r")
	s.screen.await(t, 0, "< x")
	s.keys.write("/stats\r")
	s.screen.await(t, 0, "sent 1 message, 1 bytes · received 1 message, 1 bytes")
	s.keys.write("/dance\r")
	s.screen.await(t, 0, "there is no command /dance; /help lists them, and //dance sends the line")
	s.keys.write("/stats now\r")
	s.screen.await(t, 0, "/stats takes nothing after it")
	s.keys.write("/close 1005\r")
	s.screen.await(t, 0, "/close: code 1005 cannot be sent")
	s.keys.write("/close soon\r")
	s.screen.await(t, 0, `/close: "soon" is not a close code`)
	at := len(s.screen.String())
	s.keys.write("/reconnect\r")
	s.screen.await(t, at, "resumed over websocket")
	s.keys.write("/close 4001 good bye\r")
	assert.Equal(t, 0, <-s.code)
	var end *holdfast.CloseError
	require.ErrorAs(t, w.ended(), &end)
	assert.Equal(t, holdfast.StatusCode(4001), end.Code)
	assert.Equal(t, "good bye", end.Reason)
	w.awaitTexts("x")
}

func TestTheServerEndsIt(t *testing.T) {
	for _, c := range []struct {
		end  error
		code int
		want string
	}{
		{nil, 0, "closed by the peer: 1000"},
		{&holdfast.CloseError{Code: 1008, Reason: "\x1b[2J"}, 1, `1008 policy violation "\x1b[2J"`},
	} {
		w := newWorld(t, func(ctx context.Context, s *server.Session) error {
			_, _ = s.Receive(ctx)
			return c.end
		}, nil)
		s := interactive(t, w.url())
		s.keys.write("x\rhalf")
		assert.Equal(t, c.code, <-s.code)
		assert.Contains(t, s.screen.String(), c.want)
	}
}

func TestPaste(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url())
	s.keys.write("\x1b[200~one\ttab\r/close\r\nevil\x1b[31m\x03\x04\r\x1b[201~typed\r")
	w.awaitTexts("one\ttab", "/close", "evil[31m", "typed")
	s.keys.write("\x04")
	assert.Equal(t, 0, <-s.code)
	assert.Contains(t, s.screen.String(), "> one tab\r\n")
	assert.NotContains(t, s.screen.String(), string(tabRune))
}

func TestJSONOverSeveralLines(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url(), "--json")
	s.keys.write("{\"a\":\r[1,\r2]}\rplain\r{ [\r[1\r\r")
	w.awaitTexts("{\"a\":\n[1,\n2]}", "plain", "{ [", "[1")
	assert.Contains(t, s.screen.String(), promptMore)
	s.keys.write("\x04")
	assert.Equal(t, 0, <-s.code)
}

func TestWrongHexIsNotSent(t *testing.T) {
	w := newWorld(t, nil, nil)
	s := interactive(t, w.url(), "--binary")
	s.keys.write("zz\r")
	s.screen.await(t, 0, "not sent: what was entered is not hex")
	s.keys.write("00\r")
	s.screen.await(t, 0, "< binary, 1 bytes")
	s.keys.write("\x04")
	assert.Equal(t, 0, <-s.code)
}

// TestKeysInPieces: however the terminal's bytes come, they mean the same.
func TestKeysInPieces(t *testing.T) {
	const in = "a\x1b[A\x1b\x1b[200~\x1b[20\t\x1b[201\x1b[201~\x03\x1b[2"
	want := "a\x1b[A\x1b\x1b[200~[20" + string(tabRune) + "[201\x1b[201~\x03\x1b[2"
	for size := 1; size <= len(in); size++ {
		k := &keys{in: &pieces{in, size}}
		var got strings.Builder
		buf := make([]byte, 5)
		for {
			n, err := k.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				break
			}
		}
		assert.Equal(t, want, got.String(), "in pieces of %d", size)
		assert.True(t, k.interrupted.Load())
	}
}

type pieces struct {
	left string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left == "" {
		return 0, fmt.Errorf("over")
	}
	n := copy(b, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

// TestCharactersOfTwoColumns are edited as one.
func TestCharactersOfTwoColumns(t *testing.T) {
	for keys, want := range map[string]string{
		"日本語\x7f\r":                  "日本",
		"日本語\x1b[D\x1b[Dx\r":         "日x本語",
		"日本語\x02\x02\x06x\r":         "日本x語",
		"日本語\x01\x1b[Cx\x1b[3~y\r":   "日xy語",
		"日a\x01\x04b\r":              "ba",
		"a日\x08\x7f\x7fb\r":          "b",
		"日 本語\x17x\r":                "日 x",
		"日本\x15x\r":                  "x",
		"日本\x01\x1b[C\x0bx\r":        "日x",
		"日b\x1b[1~a\x1b[4~c\r":       "a日bc",
		"日\x14本\r":                   "日本",
		"日\tx\x7f\x7f\x7fy\r":        "y",
		"\xff\xe6日\uFFFD\ue00ax\r":   "日x",
		"\x1b[A\x7f!\r":              "before 日!",
		"\x1b[200~日本\x1b[201~\x7f\r": "日",
	} {
		h := &history{}
		h.Add(edited("before 日本"))
		e := newEditor(strings.NewReader(keys), &paper{}, h)
		line, pasted, err := e.line()
		require.NoError(t, err, "%q", keys)
		assert.False(t, pasted)
		assert.Equal(t, want, line, "%q", keys)
	}
	assert.Equal(t, "a\tb日", entered(edited("a\tb日")))
}

func TestPictureHidesC1(t *testing.T) {
	var p paper
	n, err := picture{&p}.Write([]byte("a\u009bbü\ue009日\ue00a\x1b[12D\x1b[K"))
	require.NoError(t, err)
	assert.Equal(t, len("a\u009bbü\ue009日\ue00a\x1b[12D\x1b[K"), n)
	assert.Equal(t, "a?bü 日\r\x1b[K", p.String())
}
