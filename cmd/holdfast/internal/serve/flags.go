package serve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

const defaultAddr = "127.0.0.1:8080"

// settings are what the command line says.
type settings struct {
	addr     string
	origins  cli.List
	tls      bool
	certFile string
	chaos    chaos
}

// parse reads the command line. The error names the flag.
func parse(args []string) (*settings, error) {
	s := &settings{addr: defaultAddr}
	f := cli.NewFlags("serve")
	f.Func("addr", "", s.setAddr)
	f.Func("origin", "", func(v string) error {
		if v == "" {
			return errors.New("an origin looks like localhost:3000 or https://*.example.com")
		}
		if _, err := path.Match(v, ""); err != nil {
			return err
		}
		return s.origins.Set(v)
	})
	f.BoolVar(&s.tls, "tls", false, "")
	f.StringVar(&s.certFile, "cert-file", "", "")
	f.Func("chaos", "", func(v string) (err error) {
		s.chaos, err = parseChaos(v)
		return err
	})
	rest, err := f.Parse(args)
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("unexpected argument %q", rest[0])
	case f.Given("cert-file") && s.certFile == "":
		return nil, errors.New("flag -cert-file: give the name of a file")
	case s.certFile != "" && !s.tls:
		return nil, errors.New("flag -cert-file: is for -tls")
	}
	return s, nil
}

func (s *settings) setAddr(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("an address looks like 127.0.0.1:8080, [::1]:8080 or :8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strings.HasPrefix(port, "+") || n > 65535 {
		return errors.New("the port must be from 0, which takes a free one, to 65535")
	}
	s.addr = v
	return nil
}

// exposed says whether other machines can reach an address.
func exposed(a net.Addr) bool {
	p, err := netip.ParseAddrPort(a.String())
	return err != nil || !p.Addr().Unmap().IsLoopback()
}

const help = `Usage: holdfast serve [flags]

Serves WebSocket and long polling, for trying clients:

  /, /echo             sends back what it gets
  /room/NAME           sends what it gets to all others in the room; NAME is made of
                       letters, digits and ._- (64 at most). One who does not keep
                       up loses the oldest messages
Clients with the session protocol keep their session for 2 minutes without a link.

  --addr HOST:PORT     127.0.0.1:8080 by default, which this machine alone can reach.
                       :8080 is for everybody; port 0 takes a free one
  --origin PATTERN     browsers say which page connects, and pages of other hosts than
                       this one are refused with 403. This lets them in: a host and
                       port, or a scheme, host and port, with * for anything but /, such
                       as 'localhost:*' or 'https://*.example.com'; repeatable
  --tls                https and wss, with a certificate made now and thrown away;
                       its fingerprint is shown
  --cert-file FILE     writes that certificate to a new file, for clients that are to
                       trust it
  --chaos LIST         faults, separated by commas; each is told in the log:
      drop=30s         each TCP connection is cut after 30s on average
      delay=200ms      all that the server sends arrives that much later
      block=0.5        half of the WebSocket handshakes are refused, as by a proxy that
                       allows none; long polling gets through
      seed=7           the same faults in the same order; drawn by default

A line for each session opened, resumed, lost and closed goes to the standard
error. Ctrl-C and SIGTERM close all sessions with 1012, so that clients come back, and
wait 5 s for them at most; a second one ends it at once.

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 it cannot listen, or failed; 2 a wrong
flag.
`
