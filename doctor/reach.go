package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// mostAddresses is how many addresses of a name are connected to.
	mostAddresses = 8
	// cnameWithin bounds the question for a canonical name, which nothing
	// depends on.
	cnameWithin = time.Second
)

// checkDNS looks the next host up, for each version of IP by itself.
func (x *exam) checkDNS(s *Step) {
	host := x.next().Hostname()
	_, err := netip.ParseAddr(host)
	switch {
	case inBrowser:
		s.skip(notInBrowser)
		return
	case x.proxyErr != nil:
		s.skip("not reached")
		return
	case err == nil:
		s.skip(host + " is an address")
		return
	case x.opts.DialContext != nil && x.opts.Resolver == nil:
		s.skip("the program's own DialContext looks names up")
		return
	}
	f := &DNSFacts{Name: host, Lookups: make([]Lookup, 2)}
	s.Facts = f
	ctx, cancel := x.within()
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, 2)
	start := time.Now()
	for i, kind := range []struct{ record, network string }{{"A", "ip4"}, {"AAAA", "ip6"}} {
		all.Go(func() {
			l := &f.Lookups[i]
			l.Type, l.Addresses = kind.record, []string{}
			addrs, err := x.resolver().LookupNetIP(ctx, kind.network, host)
			l.DurationMS = millis(time.Since(start))
			for _, a := range addrs {
				l.Addresses = append(l.Addresses, a.Unmap().String())
			}
			if errs[i] = err; err != nil {
				l.Error = x.brief(err)
			}
		})
	}
	all.Wait()
	s.took(time.Since(start))
	x.describeDNS(s, f, errs)
	if s.Status == OK {
		ctx, cancel := context.WithTimeout(ctx, cnameWithin)
		defer cancel()
		if name, err := x.resolver().LookupCNAME(ctx, host); err == nil && !strings.EqualFold(strings.TrimSuffix(name, "."), strings.TrimSuffix(host, ".")) {
			f.CNAME = x.secrets.show(strings.TrimSuffix(name, "."))
			s.detail("CNAME %s", f.CNAME)
		}
	}
}

func (x *exam) resolver() *net.Resolver {
	if x.opts.Resolver != nil {
		return x.opts.Resolver
	}
	return net.DefaultResolver
}

func (x *exam) describeDNS(s *Step, f *DNSFacts, errs []error) {
	var parts []string
	found := 0
	for i, l := range f.Lookups {
		found += len(l.Addresses)
		switch {
		case len(l.Addresses) > 0:
			parts = append(parts, fmt.Sprintf("%d %s", len(l.Addresses), l.Type))
			s.detail("%-4s %s (%s)", l.Type, strings.Join(l.Addresses, " "), inMillis(l.DurationMS))
		case noData(errs[i]):
			s.detail("%-4s none (%s)", l.Type, inMillis(l.DurationMS))
		default:
			s.detail("%-4s %s (%s)", l.Type, l.Error, inMillis(l.DurationMS))
		}
	}
	if found == 0 {
		why := f.Lookups[0].Error
		if noData(errs[0]) && !noData(errs[1]) {
			why = f.Lookups[1].Error
		}
		s.fail("%s: %s", f.Name, why)
		return
	}
	s.Summary = fmt.Sprintf("%s: %s", f.Name, strings.Join(parts, ", "))
	for _, err := range errs {
		if err != nil && !noData(err) { // a name server that fails for one type delays every dial
			s.warn()
			x.warnings["dns"] = true
		}
	}
}

// noData says that there is no such record.
func noData(err error) bool {
	var e *net.DNSError
	var a *net.AddrError // no address of this version
	return errors.As(err, &e) && e.IsNotFound || errors.As(err, &a)
}

func inMillis(ms float64) string { return inWords(time.Duration(ms * float64(time.Millisecond))) }

// inWords is a duration as people read it.
func inWords(d time.Duration) string {
	switch ms := float64(d.Microseconds()) / 1000; {
	case ms < 1:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// addresses are those of the next host, as step dns has found them.
func (x *exam) addresses() []string {
	host := x.next().Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{host}
	}
	dns := x.report.Step(StepDNS)
	if f, ok := dns.Facts.(*DNSFacts); ok {
		// As a dial has them: one version, then the other.
		list := slices.Concat(f.Lookups[1].Addresses, f.Lookups[0].Addresses)
		return list[:min(len(list), mostAddresses)]
	}
	return []string{host} // a dialer of the program's own knows it
}

// checkTCP connects to every address at once.
func (x *exam) checkTCP(s *Step) {
	dns := x.report.Step(StepDNS)
	switch {
	case inBrowser:
		s.skip(notInBrowser)
		return
	case x.proxyErr != nil, dns.Status == Fail:
		s.skip("not reached")
		return
	}
	addrs := x.addresses()
	f := &TCPFacts{Connections: make([]Connection, len(addrs))}
	s.Facts = f
	ctx, cancel := x.within()
	defer cancel()
	var all sync.WaitGroup
	start := time.Now()
	for i, addr := range addrs {
		all.Go(func() {
			c := &f.Connections[i]
			c.Address = net.JoinHostPort(addr, portOf(x.next()))
			conn, err := x.dial(ctx, "tcp", c.Address)
			c.DurationMS = millis(time.Since(start))
			if err == nil && conn == nil {
				err = errors.New("DialContext returned neither a connection nor an error")
			}
			if err != nil {
				c.Error = x.brief(err)
				return
			}
			c.Local = hostOf(conn.LocalAddr())
			c.Interface = interfaceOf(conn.LocalAddr())
			conn.Close()
		})
	}
	all.Wait()
	x.describeTCP(s, f)
}

// hostOf is an address without its port, which says nothing.
func hostOf(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}

func (x *exam) describeTCP(s *Step, f *TCPFacts) {
	good, fastest := 0, -1.0
	for _, c := range f.Connections {
		if c.Error != "" {
			s.detail("%s: %s (%s)", c.Address, c.Error, inMillis(c.DurationMS))
			continue
		}
		good++
		if fastest < 0 || c.DurationMS < fastest {
			fastest = c.DurationMS
		}
		from := "from " + c.Local
		if c.Interface != "" {
			from += " by " + c.Interface
		}
		if s.Summary = "connected to " + c.Address + " " + from; len(f.Connections) > 1 {
			s.detail("%s: connected %s (%s)", c.Address, from, inMillis(c.DurationMS))
		}
	}
	switch n := len(f.Connections); {
	case good == 0 && n == 1:
		s.fail("%s: %s", f.Connections[0].Address, f.Connections[0].Error)
		s.Details = nil
	case good == 0:
		s.fail("none of %d addresses takes connections", n)
	case good < n:
		s.Summary = fmt.Sprintf("%d of %d addresses take connections", good, n)
		s.warn()
		x.warnings["tcp"] = true
	case n == 1:
		s.DurationMS = fastest
	default:
		s.Summary = fmt.Sprintf("all %d addresses take connections", n)
	}
}

// dial makes a TCP connection as a Conn does.
func (x *exam) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if x.opts.DialContext != nil {
		return x.opts.DialContext(ctx, network, addr)
	}
	return (&net.Dialer{Resolver: x.opts.Resolver}).DialContext(ctx, network, addr)
}
