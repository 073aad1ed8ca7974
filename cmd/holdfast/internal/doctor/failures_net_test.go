package doctor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

const hung dnsmessage.RCode = 0xfff

// nameServer answers every question on c with rcode, or not at all if that is
// hung, and questions for addresses with those given of their kind.
func nameServer(t *testing.T, c net.PacketConn, rcode dnsmessage.RCode, addrs ...netip.Addr) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || rcode == hung {
				continue
			}
			answer := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: rcode},
				Questions: m.Questions,
			}
			for _, q := range m.Questions {
				for _, a := range addrs {
					header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
					switch {
					case q.Type == dnsmessage.TypeA && a.Is4():
						answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
					case q.Type == dnsmessage.TypeAAAA && a.Is6():
						answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
					}
				}
			}
			if packed, err := answer.Pack(); err == nil {
				_, _ = c.WriteTo(packed, from)
			}
		}
	})
	t.Cleanup(func() {
		c.Close()
		wg.Wait()
	})
}

// resolver asks a name server of its own. impatient shortens its time-out, of 5 s
// and more.
func resolver(t *testing.T, rcode dnsmessage.RCode, impatient bool, addrs ...netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	nameServer(t, server, rcode, addrs...)
	// A look-up that nobody waits for any more goes on: the test ends it.
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { c.Close() })
		if impatient {
			c = impatientConn{c.(*net.UDPConn)}
		}
		return c, nil
	}}
}

// impatientConn cuts deadlines to a tenth of short.
type impatientConn struct{ *net.UDPConn }

func (c impatientConn) SetDeadline(time.Time) error {
	return c.UDPConn.SetDeadline(time.Now().Add(short / 10))
}

func lookUp(rcode dnsmessage.RCode, impatient bool) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, o *doctor.Options) string {
		o.Resolver = resolver(t, rcode, impatient)
		return "ws://server.test/stream"
	}
}

func TestDNS(t *testing.T) {
	const dns = doctor.StepDNS
	diagnose(t, []failure{
		{cause: "NXDOMAIN", make: lookUp(dnsmessage.RCodeNameError, false), class: holdfast.ClassName, step: dns, advice: "check the spelling"},
		{cause: "no data", make: lookUp(dnsmessage.RCodeSuccess, false), class: holdfast.ClassName, step: dns, advice: "inside a VPN"},
		{cause: "SERVFAIL", make: lookUp(dnsmessage.RCodeServerFailure, false), class: holdfast.ClassDNS, step: dns, advice: "look at the resolver"},
		{cause: "REFUSED", make: lookUp(dnsmessage.RCodeRefused, false), class: holdfast.ClassDNS, step: dns, advice: "look at the resolver"},
		{cause: "DNS hangs until the resolver gives up", make: lookUp(hung, true), class: holdfast.ClassDNS, step: dns, advice: "check this host's DNS settings"},
		{cause: "DNS hangs until the attempt is over", parallel: true, class: holdfast.ClassDNS, step: dns, advice: "port 53 is open",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = short
				return lookUp(hung, false)(t, o)
			}},
		{cause: "the proxy's name does not exist", class: holdfast.ClassProxyDown, step: dns, advice: "check the proxy's URL",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Proxy = proxyAt("http", "proxy.test:3128")
				return lookUp(dnsmessage.RCodeNameError, false)(t, o)
			}},
		{cause: "one address of two is dead", fine: true, advice: "some of the addresses take no connections",
			make: func(t *testing.T, o *doctor.Options) string {
				s := holdfasttest.NewServer(listen(t))
				t.Cleanup(s.Close)
				o.Resolver = resolver(t, dnsmessage.RCodeSuccess, false, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.9"))
				u, err := url.Parse(s.URL())
				require.NoError(t, err)
				return "ws://server.test:" + u.Port() + "/stream"
			}},
	})
}

func TestConnect(t *testing.T) {
	diagnose(t, []failure{
		{cause: "nothing listens", class: holdfast.ClassServerDown, step: doctor.StepTCP, advice: "is the server running, and is the port right?",
			make: func(t *testing.T, _ *doctor.Options) string { return "ws://" + deafPort(t) + "/stream" }},
		{cause: "nothing listens, over TLS", class: holdfast.ClassServerDown, step: doctor.StepTCP, advice: "is the server running",
			make: func(t *testing.T, _ *doctor.Options) string { return "wss://" + deafPort(t) + "/stream" }},
		{cause: "nothing listens, by polls", class: holdfast.ClassServerDown, step: doctor.StepTCP, advice: "is the server running",
			make: func(t *testing.T, _ *doctor.Options) string { return "https://" + deafPort(t) + "/stream" }},
		{cause: "Authorize fails", class: holdfast.ClassCallback, step: doctor.StepUpgrade, advice: "Authorize returned an error",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Authorize = func(context.Context, *http.Request, error) error { return context.Canceled }
				return answering(holdfasttest.Accept{})(t, o)
			}},
	})
}
