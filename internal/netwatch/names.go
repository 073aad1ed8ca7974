package netwatch

import (
	"bufio"
	"io"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
)

const (
	maxNames        = 128
	maxAddrsPerName = 8
	// maxFile is how much of resolv.conf and of the hosts file is read, in
	// bytes. Hosts files that block advertisements are far larger; entries
	// made by hand stand at their beginning.
	maxFile = 64 << 10
)

// learned keeps the addresses at which names were reached. The zero value is empty.
type learned struct {
	mu    sync.Mutex
	names []learnedName // the one last used is the last; guarded by mu
}

type learnedName struct {
	name  string
	addrs []netip.Addr // the one last learned is the last
}

func (l *learned) add(name string, addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := l.use(name)
	if entry == nil {
		if len(l.names) == maxNames {
			l.names = slices.Delete(l.names, 0, 1)
		}
		l.names = append(l.names, learnedName{name: name})
		entry = &l.names[len(l.names)-1]
	}
	if i := slices.Index(entry.addrs, addr); i >= 0 {
		entry.addrs = slices.Delete(entry.addrs, i, i+1)
	} else if len(entry.addrs) == maxAddrsPerName {
		entry.addrs = slices.Delete(entry.addrs, 0, 1)
	}
	entry.addrs = append(entry.addrs, addr)
}

func (l *learned) get(name string) []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry := l.use(name); entry != nil {
		return slices.Clone(entry.addrs)
	}
	return nil
}

// use moves a name to the end and returns it, nil if it is not known.
func (l *learned) use(name string) *learnedName {
	i := slices.IndexFunc(l.names, func(n learnedName) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	entry := l.names[i]
	l.names = append(slices.Delete(l.names, i, i+1), entry)
	return &l.names[len(l.names)-1]
}

// splitHost takes a port off. It returns an address if host is one, else the
// name in the form in which names are compared.
func splitHost(host string) (name string, addr netip.Addr) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return "", addr.Unmap()
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), netip.Addr{}
}

// isLoopbackName knows the names of RFC 6761, section 6.3. An empty host is
// this one.
func isLoopbackName(name string) bool {
	return name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost")
}

func isUnixSocket(host string) bool {
	return strings.ContainsRune(host, '/') || strings.HasPrefix(host, "@") || strings.HasPrefix(host, "unix:")
}

// nameServers returns those of a resolv.conf, none if one of them is on this
// host: it may have other ways to know a name.
func nameServers(path string) []netip.Addr {
	var servers []netip.Addr
	for fields := range lines(path) {
		if fields[0] != "nameserver" || len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err != nil {
			continue
		}
		if addr = addr.Unmap(); addr.IsLoopback() || addr.IsUnspecified() {
			return nil
		}
		servers = append(servers, addr)
	}
	return servers
}

// hostsFile returns the addresses that a hosts file has for a name.
func hostsFile(path, name string) []netip.Addr {
	var addrs []netip.Addr
	for fields := range lines(path) {
		addr, err := netip.ParseAddr(fields[0])
		if err == nil && slices.ContainsFunc(fields[1:], func(f string) bool {
			return strings.EqualFold(strings.TrimSuffix(f, "."), name)
		}) {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// lines yields the fields of each line of a file that has any, without
// comments. A file that cannot be read has none.
func lines(path string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		if path == "" {
			return
		}
		f, err := os.Open(path)
		if err != nil {
			return
		}
		defer f.Close()
		scanner := bufio.NewScanner(io.LimitReader(f, maxFile))
		for scanner.Scan() {
			line := scanner.Text()
			if i := strings.IndexAny(line, "#;"); i >= 0 {
				line = line[:i]
			}
			if fields := strings.Fields(line); len(fields) > 0 {
				if !yield(fields) {
					return
				}
			}
		}
	}
}
