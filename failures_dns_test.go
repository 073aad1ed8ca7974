package holdfast_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/holdfast-ws/holdfast"
)

// nameServer answers every question on c with rcode, or not at all if that is
// hung, and questions for IPv4 addresses with those given.
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
					if q.Type == dnsmessage.TypeA {
						answer.Answers = append(answer.Answers, dnsmessage.Resource{
							Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
							Body:   &dnsmessage.AResource{A: a.As4()},
						})
					}
				}
			}
			if packed, err := answer.Pack(); err == nil {
				c.WriteTo(packed, from)
			}
		}
	})
	t.Cleanup(func() {
		c.Close()
		wg.Wait()
	})
}

const hung dnsmessage.RCode = 0xfff

// lookUp is a name whose only server answers with rcode. impatient shortens
// the resolver's own timeout, of 5 s and more.
func lookUp(rcode dnsmessage.RCode, impatient bool) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, o *holdfast.Options) string {
		server, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		nameServer(t, server, rcode)
		// A look-up that nobody waits for any more goes on: the test ends it.
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		resolver := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, _ string) (net.Conn, error) {
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
		o.DialContext = (&net.Dialer{Resolver: resolver}).DialContext
		return "ws://server.test/stream"
	}
}

// impatientConn cuts deadlines to short.
type impatientConn struct{ *net.UDPConn }

func (c impatientConn) SetDeadline(time.Time) error {
	return c.UDPConn.SetDeadline(time.Now().Add(short / 10))
}

func TestFailuresDNS(t *testing.T) {
	const resolve = holdfast.PhaseResolve
	explain(t, []failure{
		{cause: "NXDOMAIN", make: lookUp(dnsmessage.RCodeNameError, false), phase: resolve,
			class: holdfast.ClassName, decision: holdfast.DecisionRetrySlowly, hint: []string{`the name "server.test" has no address`, "check the spelling"}},
		{cause: "no data", make: lookUp(dnsmessage.RCodeSuccess, false), phase: resolve,
			class: holdfast.ClassName, decision: holdfast.DecisionRetrySlowly, hint: []string{`the name "server.test" has no address`, "inside a VPN"}},
		{cause: "SERVFAIL", make: lookUp(dnsmessage.RCodeServerFailure, false), phase: resolve,
			class: holdfast.ClassDNS, decision: holdfast.DecisionRetry, hint: []string{`the name servers failed for "server.test"`, "look at the resolver"}},
		{cause: "REFUSED", make: lookUp(dnsmessage.RCodeRefused, false), phase: resolve,
			class: holdfast.ClassDNS, decision: holdfast.DecisionRetry, hint: []string{`the name servers failed for "server.test"`, "look at the resolver"}},
		{cause: "DNS hangs until the resolver gives up", make: lookUp(hung, true), phase: resolve,
			class: holdfast.ClassDNS, decision: holdfast.DecisionRetry, hint: []string{`no name server answered in time for "server.test"`, "check this host's DNS settings"}},
		{cause: "DNS hangs until the attempt is over", phase: resolve,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				return lookUp(hung, false)(t, o)
			},
			class: holdfast.ClassDNS, decision: holdfast.DecisionRetry, hint: []string{`no name server answered in time for "server.test"`, "port 53 is open"}},
		{cause: "the proxy's name does not exist", phase: holdfast.PhaseProxy,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.Proxy = proxyAt("http", "proxy.test:3128")
				return lookUp(dnsmessage.RCodeNameError, false)(t, o)
			},
			class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry, hint: []string{`the name of the proxy, "proxy.test", cannot be resolved`, "check the proxy's URL"}},
	})
}
