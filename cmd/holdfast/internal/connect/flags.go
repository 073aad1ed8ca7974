package connect

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

const (
	defaultTimeout = 30 * time.Second
	defaultWait    = time.Second
	maxSpeed       = 1000
)

// settings are what the command line says.
type settings struct {
	url          string
	headers      cli.Headers
	subprotocols cli.List
	insecure     bool // any certificate
	insecureAuth bool // credentials over ws://
	proxy        *url.URL
	noProxy      bool
	noFallback   bool
	noSession    bool
	ping         time.Duration // 0 is the default, negative is off
	retries      int

	form        form
	sends       []holdfast.Message
	expects     []want
	timeout     time.Duration
	wait        time.Duration
	interactive bool // go on with the standard input after sends and replay
	record      string
	replay      []entry
	speed       float64
	noHistory   bool
	quiet       bool
}

// scripted says that the command line has what there is to do.
func (s *settings) scripted() bool {
	return len(s.sends)+len(s.expects)+len(s.replay) > 0 && !s.interactive
}

// parse reads the command line. The error names the flag, and quotes nothing that
// may be a secret.
func parse(args []string) (*settings, error) {
	s := &settings{timeout: defaultTimeout, wait: defaultWait, speed: 1}
	f := cli.NewFlags("connect")
	f.Secret("H", s.headers.Set)
	f.Secret("header", s.headers.Set)
	f.Secret("auth", s.headers.SetAuth)
	f.Var(&s.subprotocols, "subprotocol", "")
	f.BoolVar(&s.insecure, "insecure", false, "")
	f.BoolVar(&s.insecureAuth, "allow-insecure-credentials", false, "")
	f.Secret("proxy", s.setProxy)
	f.BoolVar(&s.noFallback, "no-fallback", false, "")
	f.BoolVar(&s.noSession, "no-session", false, "")
	f.Func("ping", "", s.setPing)
	f.Func("retries", "", s.setRetries)
	forms := s.form.register(f)
	var sends cli.List
	f.Secret("send", sends.Set)
	f.Func("expect", "", func(v string) error {
		s.expects = append(s.expects, want{text: v})
		return nil
	})
	f.Func("expect-re", "", func(v string) error {
		re, err := regexp.Compile(v)
		s.expects = append(s.expects, want{re: re})
		return err
	})
	f.Func("timeout", "", duration(&s.timeout, time.Nanosecond))
	f.Func("wait", "", duration(&s.wait, 0))
	f.BoolVar(&s.interactive, "interactive", false, "")
	f.StringVar(&s.record, "record", "", "")
	var replay string
	f.StringVar(&replay, "replay", "", "")
	f.Func("speed", "", func(v string) (err error) {
		if s.speed, err = strconv.ParseFloat(v, 64); err != nil || !(s.speed > 0 && s.speed <= maxSpeed) {
			return fmt.Errorf("a number above 0, at most %d, such as 10 for ten times as fast", maxSpeed)
		}
		return nil
	})
	f.BoolVar(&s.noHistory, "no-history", false, "")
	f.BoolVar(&s.quiet, "quiet", false, "")
	rest, err := f.Parse(args)
	switch {
	case err != nil:
		return nil, err
	case len(rest) != 1:
		return nil, fmt.Errorf("%d URLs given; one is needed, such as ws://127.0.0.1:8080/echo", len(rest))
	case forms() > 1:
		return nil, errors.New("flags -text, -binary and -json: one of them")
	case f.Given("speed") && !f.Given("replay"):
		return nil, errors.New("flag -speed: is for -replay")
	case s.interactive && len(s.expects) > 0:
		return nil, errors.New("flag -interactive: cannot be used with -expect, which ends the command")
	case f.Given("record") && s.record == "":
		return nil, errors.New("flag -record: give the name of a file")
	}
	s.url = rest[0]
	if polled(s.url) && (s.noFallback || s.noSession) {
		return nil, errors.New("flags -no-fallback and -no-session: an http or https URL is for long polling alone; write ws or wss")
	}
	for i, v := range sends {
		m, err := s.form.message(v)
		if err != nil {
			return nil, fmt.Errorf("flag -send: number %d: %w", i+1, err)
		}
		s.sends = append(s.sends, m)
	}
	if f.Given("replay") {
		if s.replay, err = loadReplay(replay); err != nil {
			return nil, fmt.Errorf("flag -replay: %w", err)
		}
	}
	return s, nil
}

// polled says whether a URL is one of HTTP.
func polled(raw string) bool {
	scheme, _, _ := strings.Cut(raw, ":")
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

func duration(d *time.Duration, least time.Duration) func(string) error {
	return func(v string) error {
		parsed, err := time.ParseDuration(v)
		switch {
		case err != nil:
			return errors.New("a duration looks like 500ms, 20s or 1m30s")
		case parsed < least:
			return errors.New("too short")
		}
		*d = parsed
		return nil
	}
}

// setProxy hides the value in its errors: it may have a password.
func (s *settings) setProxy(v string) error {
	if v == "none" {
		s.noProxy = true
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return errors.New("a proxy looks like http://host:3128, https://…, socks5://… or socks5h://…; none uses none")
	}
	s.proxy = u
	return nil
}

func (s *settings) setPing(v string) error {
	if err := duration(&s.ping, 0)(v); err != nil {
		return err
	}
	if s.ping == 0 {
		s.ping = -1
	}
	return nil
}

func (s *settings) setRetries(v string) error {
	if v == "unlimited" {
		s.retries = holdfast.Unlimited
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return errors.New("a number of retries, 0 for none, or unlimited")
	}
	if s.retries = n; n == 0 {
		s.retries = holdfast.NoRetry
	}
	return nil
}
