package debugpage

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
)

// view is what a request's query asks for.
type view struct {
	query     string   // as it was typed
	words     []string // of query, in lower case
	state     string
	transport string
	kind      string
	sort      string // a column, without "-"
	down      bool
	page, per int
	id        uint64
	span      string
	format    string
	refresh   time.Duration // 0: none
	values    url.Values    // what is not the default
}

const (
	defaultPer  = 100
	maxPer      = 1000
	maxQuery    = 200 // bytes
	defaultSort = "state"

	notConnected = "not-connected"
	noTransport  = "none"
)

var (
	states = []string{holdfast.StateConnecting.String(), holdfast.StateConnected.String(), holdfast.StateWaiting.String(),
		holdfast.StateOffline.String(), holdfast.StateClosing.String(), holdfast.StateClosed.String()}
	stateFilters = append(slices.Clone(states[:5]), notConnected)
	kinds        = []string{kindConn, kindSession}
	formats      = []string{"html", "json"}
	spans        = []string{"1m", "10m", "1h", "24h"}
)

// parseView checks a query. An error names the field.
func parseView(values url.Values, refresh time.Duration) (*view, error) {
	v := &view{sort: defaultSort, page: 1, per: defaultPer, values: url.Values{}, refresh: max(refresh, 0)}
	fields := []struct {
		name  string
		parse func(string) error
	}{
		{"q", v.parseQuery}, {"state", oneOf(&v.state, stateFilters)}, {"transport", v.parseTransport}, {"kind", oneOf(&v.kind, kinds)},
		{"sort", v.parseSort}, {"page", number(&v.page, 1, 1<<30)}, {"per", number(&v.per, 1, maxPer)}, {"id", v.parseID},
		{"span", oneOf(&v.span, spans)}, {"format", oneOf(&v.format, formats)}, {"refresh", v.parseRefresh},
	}
	for _, f := range fields {
		value := values.Get(f.name)
		if value == "" {
			continue
		}
		if err := f.parse(value); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		v.values.Set(f.name, value)
	}
	v.values.Del("format")
	return v, nil
}

func oneOf(p *string, list []string) func(string) error {
	return func(value string) error {
		if !slices.Contains(list, value) {
			return fmt.Errorf("%q is none of %s", clip(value), strings.Join(list, ", "))
		}
		*p = value
		return nil
	}
}

func number(p *int, least, most int) func(string) error {
	return func(value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a number from %d to %d", clip(value), least, most)
		}
		*p = n
		return nil
	}
}

func (v *view) parseQuery(value string) error {
	switch {
	case len(value) > maxQuery:
		return fmt.Errorf("%d bytes are more than %d", len(value), maxQuery)
	case !utf8.ValidString(value):
		return fmt.Errorf("is not UTF-8")
	}
	v.query, v.words = value, strings.Fields(strings.ToLower(value))
	return nil
}

func (v *view) parseTransport(value string) error {
	if len(value) > maxQuery {
		return fmt.Errorf("%d bytes are more than %d", len(value), maxQuery)
	}
	v.transport = value
	return nil
}

func (v *view) parseSort(value string) error {
	v.sort, v.down = strings.CutPrefix(value, "-")
	if _, ok := orders[v.sort]; !ok {
		return fmt.Errorf("%q is none of the columns", clip(value))
	}
	return nil
}

func (v *view) parseID(value string) error {
	id, err := strconv.ParseUint(value, 10, 64)
	if err != nil || id == 0 {
		return fmt.Errorf("%q is not a number above 0", clip(value))
	}
	v.id = id
	return nil
}

func (v *view) parseRefresh(value string) error {
	if value == "off" {
		v.refresh = 0
		return nil
	}
	n := 0
	if err := number(&n, 1, 3600)(value); err != nil {
		return fmt.Errorf("%w, nor off", err)
	}
	v.refresh = time.Duration(n) * time.Second
	return nil
}

// link is the URL of the view with some fields changed: pairs of name and
// value, "" for the default. A change of what is listed leads to its first page.
func (v *view) link(changes ...string) string {
	q := url.Values{}
	for name, value := range v.values {
		q[name] = value
	}
	for i := 0; i < len(changes); i += 2 {
		switch changes[i] {
		case "q", "state", "transport", "kind", "sort", "per":
			q.Del("page")
		}
		if changes[i+1] == "" {
			q.Del(changes[i])
		} else {
			q.Set(changes[i], changes[i+1])
		}
	}
	return "?" + q.Encode()
}

// filtered says that not all are listed.
func (v *view) filtered() bool {
	return len(v.words) > 0 || v.state != "" || v.transport != "" || v.kind != ""
}

func (v *view) matches(e *entry) bool {
	switch s := &e.stats; {
	case v.kind != "" && v.kind != e.kind,
		v.state == notConnected && s.State == holdfast.StateConnected,
		v.state != "" && v.state != notConnected && v.state != s.State.String(),
		v.transport == noTransport && s.Transport != "",
		v.transport != "" && v.transport != noTransport && v.transport != s.Transport:
		return false
	}
	return v.matchesWords(e)
}

// matchesEnded is matches for one that has ended, which has no state or transport.
func (v *view) matchesEnded(e *entry) bool {
	return (v.kind == "" || v.kind == e.kind) && v.matchesWords(e)
}

func (v *view) matchesWords(e *entry) bool {
	if len(v.words) == 0 {
		return true
	}
	text := strings.ToLower(strings.Join([]string{strconv.FormatUint(e.id, 10), e.kind, e.stats.State.String(), e.stats.Transport,
		e.stats.Endpoint, e.session, e.principal, e.remote, e.subprotocol, e.lastError(), e.why}, "\n"))
	for _, w := range v.words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
