package doctor

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
)

// command is what a command line says.
type command struct {
	url      string
	json     bool
	insecure bool
	opts     doctor.Options
}

// parse reads the command line. Flags may stand before and after the URL. The
// error names the flag, and quotes nothing that may be a secret.
func parse(args []string, env func(string) (string, bool)) (*command, error) {
	c := &command{opts: doctor.Options{Header: http.Header{}}}
	fs := flag.NewFlagSet("doctor", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&c.json, "json", false, "")
	fs.BoolVar(&c.insecure, "insecure", false, "")
	fs.BoolVar(&c.opts.AllowInsecureCredentials, "allow-insecure-credentials", false, "")
	var given error // of a flag whose value must not be quoted, as package flag does
	quietly := func(name string, set func(v string) error) {
		fs.Func(name, "", func(v string) error {
			if err := set(v); err != nil && given == nil {
				given = fmt.Errorf("flag %s: %w", dashes(name), err)
			}
			return nil
		})
	}
	quietly("H", func(v string) error { return addHeader(c.opts.Header, v) })
	quietly("auth", func(v string) error { return authorize(c.opts.Header, v, env) })
	quietly("proxy", c.setProxy)
	quietly("subprotocol", func(v string) error {
		c.opts.Subprotocols = append(c.opts.Subprotocols, strings.Split(v, ",")...)
		return nil
	})
	duration := func(name string, to *time.Duration) {
		fs.Func(name, "", func(v string) (err error) {
			if *to, err = time.ParseDuration(v); err != nil {
				return errors.New("a duration looks like 10s or 5m")
			}
			if *to <= 0 {
				return errors.New("it has to be more than 0")
			}
			return nil
		})
	}
	duration("timeout", &c.opts.Timeout)
	duration("idle", &c.opts.Idle)
	fs.Func("pings", "", func(v string) error {
		if _, err := fmt.Sscanf(v+"\n", "%d\n", &c.opts.Pings); err != nil || c.opts.Pings < 0 {
			return errors.New("it is a number, 0 or more")
		}
		if c.opts.Pings == 0 {
			c.opts.Pings = -1 // the package's word for none
		}
		return nil
	})
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if given != nil {
			return nil, given
		}
		if fs.NArg() == 0 {
			break
		}
		if c.url != "" {
			return nil, errors.New("there is more than one URL: it takes one, in quotes where it has a & or ?")
		}
		c.url, args = fs.Arg(0), fs.Args()[1:]
	}
	if c.url == "" {
		return nil, errors.New("it takes a URL, as wss://example.com/stream")
	}
	if c.insecure {
		c.opts.TLSConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for, and said
	}
	return c, nil
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func addHeader(h http.Header, v string) error {
	name, value, found := strings.Cut(v, ":")
	if !found || strings.TrimSpace(name) == "" || strings.ContainsAny(name, " \t") {
		return errors.New("a header looks like 'Name: value'")
	}
	h.Add(name, strings.TrimSpace(value))
	return nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func authorize(h http.Header, name string, env func(string) (string, bool)) error {
	if !variable.MatchString(name) {
		return errors.New("it takes the name of an environment variable that holds the value of Authorization, and not the value itself, which others on this machine could see")
	}
	value, found := env(name)
	if !found || value == "" {
		// It may be the value itself, so it is not quoted.
		return errors.New("there is no such environment variable, or it is empty")
	}
	if len(h["Authorization"]) > 0 {
		return errors.New("there is an Authorization already: only one of them can be sent")
	}
	h.Set("Authorization", value)
	return nil
}

func (c *command) setProxy(v string) error {
	if v == "none" {
		c.opts.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" {
		return errors.New("a proxy looks like http://proxy.example:3128, or is none")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return errors.New("the scheme of a proxy is http, https, socks5 or socks5h")
	}
	c.opts.Proxy = http.ProxyURL(u)
	return nil
}

func help() string {
	var b strings.Builder
	b.WriteString(`Usage: holdfast doctor URL [flags]

Checks the way to a WebSocket server as an expert would by hand, step by step:
the URL, the proxy, this host's network, DNS, TCP, TLS, the upgrade, pings, the
closing handshake, long polling and buffering. Then it says in a sentence what is
wrong, and what to do. It sends no messages; where package server answers, it
opens a session by polls, and closes it.

URL begins with ws:// or wss://; http:// and https:// check long polling alone.

  -H 'NAME: VALUE'      a header to send; may be repeated
  --auth VARIABLE       an environment variable with the value of Authorization
  --subprotocol NAME    a subprotocol to offer; may be repeated
  --proxy URL           a proxy in place of the environment's, or none
  --insecure            look on where the certificate does not verify
  --allow-insecure-credentials
                        send credentials without TLS
  --pings N             how many pings, 20 by default
  --timeout D           for the attempt, and for each step: 10s by default
  --idle D              hold six links silent, for as long at most, to find what
                        ends them; 5m finds most
  --json                the report as JSON, whose schema is in the documentation of
                        package doctor

Secrets (user and password in the URL, query values, headers) are not shown.

Exit codes: 0 it works, perhaps with remarks; 1 the link was made and does not
work; 2 a wrong flag or URL; 130 stopped by Ctrl-C; and else by the kind of cause,
as DialError.Class has it:

`)
	names := []string{}
	for class := holdfast.ClassUnknown; class <= holdfast.ClassNotSticky; class++ {
		names = append(names, fmt.Sprintf("%3d %-16v", doctor.ExitCodeOf(class), class))
	}
	for i := 0; i < len(names); i += 4 {
		b.WriteString("  " + strings.TrimRight(strings.Join(names[i:min(i+4, len(names))], ""), " ") + "\n")
	}
	return b.String()
}
