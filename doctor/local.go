package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/netwatch"
	"github.com/holdfast-ws/holdfast/internal/redact"
)

// checkURL says what the URL asks for.
func (x *exam) checkURL(s *Step) {
	u := x.url
	f := &URLFacts{Scheme: u.Scheme, Host: u.Hostname(), Port: portOf(u), TLS: x.secure()}
	s.Facts = f
	kind := map[string]string{
		"ws": "WebSocket without TLS", "wss": "WebSocket over TLS", "http": "long polling without TLS", "https": "long polling over TLS",
	}[u.Scheme]
	s.Summary = fmt.Sprintf("%s, %s, port %s", kind, f.Host, f.Port)
	if !f.TLS && !loopback(f.Host) {
		s.detail("without TLS anybody on the way can read it, and proxies tend to break it")
	}
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	switch u.Scheme {
	case "wss", "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	}
	return "80"
}

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// checkProxy asks which proxy is used, as each transport does before a request.
func (x *exam) checkProxy(s *Step) {
	f := &ProxyFacts{}
	s.Facts = f
	if inBrowser {
		s.skip(notInBrowser)
		return
	}
	ask := x.opts.Proxy
	if ask == nil {
		ask = http.ProxyFromEnvironment
	}
	req := &http.Request{Method: http.MethodGet, URL: x.web(), Host: x.url.Host, Header: http.Header{}}
	x.proxy, x.proxyErr = ask(req.WithContext(x.ctx))
	if x.proxyErr != nil {
		s.fail("the setting for the proxy is not valid") // its error may quote it
		s.detail("look at Options.Proxy, or at HTTP_PROXY and HTTPS_PROXY in the environment")
		return
	}
	x.secrets.ofURL(x.proxy)
	f.Source = "Options.Proxy"
	if x.opts.Proxy == nil {
		f.Source = proxySource(os.Getenv, x.web(), x.proxy != nil)
	}
	if x.proxy == nil {
		s.Summary = "none"
		switch {
		case x.opts.Proxy != nil:
		case f.Source == "":
			s.Summary = "none is set"
		case f.Source == "NO_PROXY":
			s.Summary = "none: NO_PROXY exempts this host"
		default:
			s.Summary = "none: " + f.Source + " is set, and addresses of this host are never asked of a proxy"
		}
		if x.opts.Proxy != nil {
			f.Source = ""
		}
		return
	}
	f.URL = redact.URL(x.proxy)
	s.Summary = f.URL + ", from " + f.Source
	switch x.proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		x.proxyErr = errors.New("the scheme of the proxy is not supported")
		s.fail("%s: proxies of this scheme are not supported; http, https, socks5 and socks5h are", f.URL)
	}
	if x.proxy.User != nil {
		s.detail("with user and password")
	}
}

// proxySource names the variable of the environment that decides for target, ""
// if none is set. One that is set and not used leaves NO_PROXY, or the rule for
// this host's own addresses.
func proxySource(env func(string) string, target *url.URL, used bool) string {
	name := "HTTP_PROXY"
	if target.Scheme == "https" {
		name = "HTTPS_PROXY"
	}
	source := ""
	for _, v := range []string{name, strings.ToLower(name)} {
		if env(v) != "" {
			source = v
			break
		}
	}
	if used || source == "" {
		return source
	}
	without := httpproxy.Config{HTTPProxy: env(source), HTTPSProxy: env(source)}
	if u, err := without.ProxyFunc()(target); err == nil && u != nil {
		return "NO_PROXY"
	}
	return source
}

// checkNetwork looks at this host: what it has, and whether that leads anywhere.
func (x *exam) checkNetwork(s *Step) {
	if inBrowser {
		s.skip(notInBrowser)
		return
	}
	f := &NetworkFacts{Target: hostPort(x.next()), Interfaces: interfaces()}
	s.Facts = f
	reach := x.network.Check(x.ctx, f.Target)
	f.Reachability = reach.String()
	egress, _ := netwatch.System().Egress(f.Target)
	if reach == holdfast.Unreachable {
		s.fail("no way to %s", f.Target)
	} else {
		s.Summary = summary(f, egress)
	}
	if egress == "lo" {
		return // the others do not matter
	}
	for _, i := range f.Interfaces {
		state := ""
		if !i.Running {
			state = ", without carrier"
		}
		addrs := strings.Join(i.Addresses, " ")
		if addrs == "" {
			addrs = "no address"
		}
		s.detail("%s%s: %s", i.Name, state, addrs)
	}
	if len(f.Interfaces) == 0 {
		s.detail("no interface is up but the loopback one")
	}
}

func summary(f *NetworkFacts, egress string) string {
	switch {
	case egress == "lo":
		return "the way stays on this host"
	case egress != "":
		return fmt.Sprintf("there is a way to %s, by %s", f.Target, egress)
	case f.Reachability == holdfast.Reachable.String():
		return "there is a way to " + f.Target
	}
	var up []string
	for _, i := range f.Interfaces {
		if i.Running && len(i.Addresses) > 0 {
			up = append(up, i.Name)
		}
	}
	if len(up) == 0 {
		return "no interface is in use but the loopback one"
	}
	return strings.Join(up, ", ") + " in use"
}

// interfaces are those that are up, but for the loopback one.
func interfaces() []Interface {
	list := []Interface{}
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		one := Interface{Name: i.Name, Running: i.Flags&net.FlagRunning != 0, Addresses: []string{}}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			one.Addresses = append(one.Addresses, a.String())
		}
		list = append(list, one)
	}
	return list
}

// interfaceOf names the interface that has a local address, "" if none has.
func interfaceOf(local net.Addr) string {
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return ""
	}
	all, _ := net.Interfaces()
	for _, i := range all {
		addrs, _ := i.Addrs()
		if slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Addr().Unmap() == at.Addr().Unmap().WithZone("")
		}) {
			return i.Name
		}
	}
	return ""
}
