package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// counter is a sink that takes everything at once.
type counter struct {
	messages int
	acked    uint64
}

func (c *counter) Message(transport.MessageType, []byte) { c.messages++ }
func (c *counter) Gap(uint64, uint64)                    {}
func (c *counter) Acked(id uint64)                       { c.acked = id }
func (c *counter) Pong(uint64)                           {}
func (c *counter) GoAway(uint64)                         {}
func (c *counter) Closed(uint16, string)                 {}

// attachedPair returns a client and a server with a link between them.
func attachedPair(t require.TestingT, c Config) (client, server *Session) {
	client, server = New(c), New(c)
	_, err := client.Attach(wire.WelcomePayload{RecvNext: server.RecvNext(), Window: server.Window()})
	require.NoError(t, err)
	f, n, err := wire.Parse(client.Next(nil, wire.MaxBatch))
	require.NoError(t, err)
	require.NotZero(t, n)
	p, err := wire.ParseAttach(f.Payload)
	require.NoError(t, err)
	require.NoError(t, server.Attached(p))
	return client, server
}

// pass hands what from has to send to to.
func pass(t require.TestingT, buf []byte, from, to *Session, sink Sink) []byte {
	buf = from.Next(buf[:0], wire.MaxBatch)
	for b := buf; len(b) > 0; {
		f, n, err := wire.Parse(b)
		if err == nil {
			err = to.Receive(to.Attachment(), f, sink)
		}
		if err != nil {
			require.NoError(t, err)
		}
		b = b[n:]
	}
	return buf
}

// BenchmarkOneWay sends messages of 128 bytes through a pair, in batches of
// what the window takes.
func BenchmarkOneWay(b *testing.B) {
	client, server := attachedPair(b, Config{MaxMessage: 1 << 20, Window: 1 << 20})
	var toServer, toClient counter
	msg := make([]byte, 128)
	var buf []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for i := 0; i < b.N; {
		buf = pass(b, buf, server, client, &toClient)
		for i < b.N && client.Ready(len(msg)) {
			i++
			client.Send(uint64(i), transport.Binary, msg)
			buf = pass(b, buf, client, server, &toServer)
			if server.SetHeld(0); i%64 == 0 {
				break
			}
		}
	}
	require.Equal(b, b.N, toServer.messages)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
