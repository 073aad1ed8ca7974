package doctor

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// skewed is how far two clocks may differ before it is worth a word.
const skewed = 2 * time.Minute

const pollsAlone = "an http or https URL asks for polls alone; use ws or wss"

// checkUpgrade looks at the answer to the handshake.
func (x *exam) checkUpgrade(s *Step) {
	switch {
	case x.polling():
		s.skip(pollsAlone)
		return
	case x.attempt == nil || !x.await(x.attempt.done):
		return
	}
	a := x.attempt
	<-a.done // it ends with ctx
	m, failed := a.now(), a.failure()
	if failed != nil && failed.Phase != transport.PhaseHandshake {
		s.skip("not reached")
		if failed.Phase == transport.PhaseAuthorize {
			s.fail("Authorize: %s", x.brief(failed.Err))
		}
		return
	}
	if !m.opened.IsZero() {
		s.took(m.ended.Sub(m.opened))
	}
	f := &UpgradeFacts{URL: x.shown(x.url)}
	s.Facts = f
	var header http.Header
	if failed != nil {
		f.StatusCode, header = failed.StatusCode, failed.Header
		if failed.URL != nil {
			f.URL = x.shown(failed.URL)
		}
		if f.StatusCode != 0 && f.StatusCode != http.StatusSwitchingProtocols {
			s.fail("%s", statusLine(f.StatusCode))
		} else {
			s.fail("%s", x.brief(failed.Err))
		}
		if a.info != nil && f.StatusCode == 0 {
			s.Summary = "101 Switching Protocols, and then " + s.Summary
		}
	}
	if a.info != nil && a.info.Response != nil {
		r := a.info.Response
		header = r.Header
		if failed == nil {
			f.StatusCode = r.StatusCode
		}
		if r.Request != nil && r.Request.URL != nil {
			f.URL = x.shown(r.Request.URL)
		}
	}
	f.Redirected = f.URL != x.shown(x.url)
	f.Headers, f.Intermediaries = x.secrets.headers(header), x.secrets.intermediaries(header)
	if failed == nil {
		f.Session = a.info.Session
		s.Summary = "101 Switching Protocols"
		if inBrowser {
			s.Summary = "open"
		}
		if f.Session {
			s.Summary += ", with the session protocol of package server"
		}
		x.socket = newSocket(a)
	}
	s.Summary += by(f.Headers)
	x.describeUpgrade(s, f, header)
}

// shown is a URL that was asked, which transports give as either ws or http.
func (x *exam) shown(u *url.URL) string {
	asked := *u
	switch u.Scheme {
	case "http":
		asked.Scheme = "ws"
	case "https":
		asked.Scheme = "wss"
	}
	return x.secrets.show(redact.URL(&asked))
}

func (x *exam) describeUpgrade(s *Step, f *UpgradeFacts, header http.Header) {
	if f.Redirected {
		s.warn()
		s.detail("a redirect led to %s", f.URL)
		x.warnings["redirect"] = true
	}
	for _, sign := range f.Intermediaries {
		s.detail("answered by or through %s", sign)
	}
	if s.Status == Fail {
		for _, name := range []string{"Content-Type", "Location", "Retry-After", "Upgrade", "Holdfast-Version", "Holdfast-Diag"} {
			if v := f.Headers[name]; v != "" {
				s.detail("%s: %s", name, v)
			}
		}
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		skew := time.Since(date)
		ms := float64(skew.Truncate(time.Second).Milliseconds())
		f.ClockSkewMS = &ms
		if skew.Abs() > skewed {
			s.warn()
			x.warnings["clock"] = true
			s.detail("this host's clock and the answer's Date differ by %v", skew.Round(time.Second))
		}
	}
}

// checkSubprotocol looks at what the server chose.
func (x *exam) checkSubprotocol(s *Step) {
	n := len(x.opts.Subprotocols)
	switch {
	case x.socket == nil:
		x.skipped(s)
		return
	case n == 0:
		s.skip("none is offered")
		return
	}
	f := &SubprotocolFacts{Offered: n, Chosen: x.secrets.show(x.attempt.info.Subprotocol)}
	s.Facts = f
	if f.Chosen == "" {
		s.warn()
		s.Summary = fmt.Sprintf("the server chose none of the %d offered", n)
		x.warnings["subprotocol"] = true
		return
	}
	s.Summary = f.Chosen
}

// pongOf reads the ids of PONG frames in a batch.
func pongOf(batch []byte, got func(payload []byte)) {
	for len(batch) > 0 {
		f, n, err := wire.Parse(batch)
		if err != nil {
			return
		}
		if f.Type == wire.Pong {
			got(f.Payload)
		}
		batch = batch[n:]
	}
}
