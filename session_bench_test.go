package holdfast_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	framing "github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/server"
)

// sessionServer runs a session server in a process of its own and returns its
// address. What a session does is its path: /sink, /source, /clock.
func sessionServer(b *testing.B) (addr string) {
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestSessionServer$")
	cmd.Env = append(os.Environ(), "HOLDFAST_SESSION_SERVER=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(line)
}

// TestSessionServer is the server of sessionServer; it ends with its standard
// input.
func TestSessionServer(t *testing.T) {
	if os.Getenv("HOLDFAST_SESSION_SERVER") == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := server.New(benchSession, &server.Options{OpenRate: -1, MaxSessionsPerAddress: -1})
	mux := http.NewServeMux()
	mux.Handle("/", s)
	mux.HandleFunc("/memory", func(w http.ResponseWriter, _ *http.Request) {
		status, _ := os.ReadFile("/proc/self/status")
		_, _ = w.Write(status)
	})
	go func() { _ = http.Serve(l, mux) }()
	fmt.Println(l.Addr())
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func benchSession(ctx context.Context, s *server.Session) error {
	payload := make([]byte, 128)
	switch s.Request().URL.Path {
	case "/source":
		for s.Send(ctx, holdfast.Binary, payload) == nil {
		}
	case "/clock":
		for s.Send(ctx, holdfast.Binary, binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))) == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	for {
		if _, err := s.Receive(ctx); err != nil {
			return err
		}
	}
}

// ways are the ways to the server that are compared.
var ways = []struct {
	name, scheme string
	options      *holdfast.Options
}{
	{"plain", "ws", &holdfast.Options{Session: holdfast.SessionOff}},
	{"session", "ws", nil},
	{"longpoll", "http", &holdfast.Options{Fallback: []holdfast.Transport{fallback.LongPoll(nil)}}},
}

// BenchmarkSessionSend measures messages of 128 bytes up to the receipt of the
// last one.
func BenchmarkSessionSend(b *testing.B) {
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			c, err := holdfast.Dial(context.Background(), w.scheme+"://"+sessionServer(b)+"/sink", w.options)
			require.NoError(b, err)
			payload := make([]byte, 128)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Send(context.Background(), holdfast.Binary, payload); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, c.Flush(context.Background()))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			require.NoError(b, c.Close())
		})
	}
}

// BenchmarkSessionReceive measures messages of 128 bytes.
func BenchmarkSessionReceive(b *testing.B) {
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			c, err := holdfast.Dial(context.Background(), w.scheme+"://"+sessionServer(b)+"/source", w.options)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Receive(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			_ = c.CloseNow()
		})
	}
}

// BenchmarkDelivery measures from the server's Send to the client's Receive, one
// message at a time.
func BenchmarkDelivery(b *testing.B) {
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			c, err := holdfast.Dial(context.Background(), w.scheme+"://"+sessionServer(b)+"/clock", w.options)
			require.NoError(b, err)
			var took []time.Duration
			for b.Loop() {
				m, err := c.Receive(context.Background())
				require.NoError(b, err)
				took = append(took, time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(m.Data)))))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			_ = c.CloseNow()
		})
	}
}

// BenchmarkIdlePolls measures what a server holds for 10,000 sessions that hang
// in a poll, by its resident memory.
func BenchmarkIdlePolls(b *testing.B) {
	const n = 10_000
	addr := sessionServer(b)
	before := resident(b, addr)
	for i := range n {
		conn, err := net.Dial("tcp", addr)
		require.NoError(b, err)
		defer conn.Close()
		hangInPoll(b, conn, i)
	}
	for b.Loop() {
	}
	b.ReportMetric(float64(resident(b, addr))/1024, "MiB")
	b.ReportMetric(float64(resident(b, addr)-before)/n, "KiB/session")
}

// hangInPoll opens a session and leaves a poll hanging.
func hangInPoll(b *testing.B, conn net.Conn, i int) {
	hello := framing.HelloPayload{RecvNext: 1, MaxMessage: 1 << 20}
	binary.BigEndian.PutUint64(hello.Secret[:], uint64(i)+1)
	r := bufio.NewReader(conn)
	post := func(op, headers string, body []byte) []byte {
		_, err := fmt.Fprintf(conn, "POST /sink HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nHoldfast-Op: %s\r\n%sContent-Length: %d\r\n\r\n%s", framing.MediaType, op, headers, len(body), body)
		require.NoError(b, err)
		if strings.Contains(headers, "Holdfast-Hang: 60000\r\n") {
			return nil // not before a minute
		}
		resp, err := http.ReadResponse(r, nil)
		require.NoError(b, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(b, err)
		require.Equal(b, http.StatusOK, resp.StatusCode, "%q", answer)
		return answer
	}
	f, _, err := framing.Parse(post("open", "", framing.Append(nil, framing.Frame{Type: framing.Hello, Payload: hello.Append(nil)})))
	require.NoError(b, err)
	w, err := framing.ParseWelcome(f.Payload)
	require.NoError(b, err)
	session := fmt.Sprintf("Holdfast-Session: %s.%s\r\nHoldfast-Attachment: 1\r\n", w.SID, secretText(hello.Secret))
	attach := framing.Append(nil, framing.Frame{Type: framing.Attach, Payload: framing.AttachPayload{Attachment: 1, RecvNext: 1, Window: 1 << 20}.Append(nil)})
	post("poll", session+"Holdfast-Poll: 1\r\nHoldfast-Hang: 0\r\n", attach)
	post("poll", session+"Holdfast-Poll: 2\r\nHoldfast-Hang: 60000\r\n", framing.Append(nil, framing.Frame{Type: framing.Ack, Payload: framing.AckPayload{RecvNext: 1, Window: 1 << 20}.Append(nil)}))
}

// resident is the server's resident memory in KiB.
func resident(b *testing.B, addr string) (kib int) {
	resp, err := http.Get("http://" + addr + "/memory")
	require.NoError(b, err)
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if _, err := fmt.Sscanf(s.Text(), "VmRSS: %d kB", &kib); err == nil {
			return kib
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

func secretText(secret [framing.SecretLen]byte) string {
	return base64.RawURLEncoding.EncodeToString(secret[:])
}
