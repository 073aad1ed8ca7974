package holdfasttest

import (
	"fmt"
	"maps"
	"math"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

// Script says what becomes of the WebSocket handshakes from now on, one step for
// each:
//
//	srv.Script(
//		holdfasttest.Times(2, holdfasttest.Refuse{Status: 503, RetryAfter: 7 * time.Second}),
//		holdfasttest.AfterSent(3).Drop(),
//		holdfasttest.Hang{},
//	)
//
// After the last step handshakes are dealt with as [Server.OnRequest] says, and
// so accepted unless it says otherwise. Every handshake takes a step, also
// those by which a client that has fallen back looks for WebSocket again; plain
// HTTP requests take none.
//
// A new script replaces what is left of the one before; without steps it ends
// it. Script panics with the number of the step that cannot be: a nil one, a
// status that is none, something behind [Always], [Slow] where the server does
// not listen on a [Memory].
func (s *Server) Script(steps ...Reply) {
	var script []step
	for i, r := range steps {
		st := step{r, 1}
		if t, ok := r.(times); ok {
			st = step{t.reply, t.n}
		}
		if why := s.invalid(st, i == len(steps)-1); why != "" {
			panic(fmt.Sprintf("holdfasttest: Script: step %d: %s", i+1, why))
		}
		if st.times > 0 {
			script = append(script, st)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// ScriptLeft is how many handshakes the script still has a step for; a step that
// is repeated for ever counts once. A test ends with 0 when all has happened that
// its script wanted.
func (s *Server) ScriptLeft() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, st := range s.script {
		if st.times == math.MaxInt {
			st.times = 1
		}
		n += st.times
	}
	return n
}

// A step is a reply for so many handshakes.
type step struct {
	reply Reply
	times int // math.MaxInt: for ever
}

// next takes a step of the script; ok is false where there is none. s.mu is held.
func (s *Server) next() (r Reply, ok bool) {
	if len(s.script) == 0 {
		return nil, false
	}
	st := &s.script[0]
	r = st.reply
	if st.times != math.MaxInt {
		st.times--
	}
	if st.times == 0 {
		s.script = s.script[1:]
	}
	return r, true
}

// invalid says what is wrong with a step, or nothing.
func (s *Server) invalid(st step, last bool) string {
	if st.reply == nil {
		return "it is nil"
	}
	if r, ok := st.reply.(Refuse); ok && r.Status != 0 && (r.Status < 200 || r.Status > 999) {
		return fmt.Sprintf("Refuse: %d is no status that answers a request; those are 200 to 999", r.Status)
	}
	if b, ok := st.reply.(Blockade); ok && !b.known() {
		return fmt.Sprintf("%v is none of the Blockades", b)
	}
	if st.times == math.MaxInt && !last {
		return "what follows Always never happens"
	}
	for _, f := range st.reply.decide().faults {
		if !f.memory {
			continue
		}
		if _, ok := s.listener().(*memnet.Listener); !ok {
			return "Slow needs a server that listens on a Memory"
		}
	}
	return ""
}

// Times is r for n handshakes in a row, as a step of a [Server.Script].
// Elsewhere it is r. It panics if n is negative, or r repeats itself already.
func Times(n int, r Reply) Reply { return repeat(notNegative("Times", n), r) }

// Always is r for every handshake from here on, as the last step of a
// [Server.Script]. Elsewhere it is r. It panics if r repeats itself already.
func Always(r Reply) Reply { return repeat(math.MaxInt, r) }

func repeat(n int, r Reply) Reply {
	if _, ok := r.(times); ok {
		panic("holdfasttest: Times and Always do not take one another")
	}
	return times{n, r}
}

type times struct {
	n     int
	reply Reply
}

func (t times) decide() decision { return t.reply.decide() }

// All accepts the handshake, and all of what replies say holds for the
// connection: that it is slow, say, and dropped after a while. Of what can be
// said once, such as Serve, the last counts. It panics for a reply that does
// not accept the handshake.
func All(replies ...Reply) Reply {
	var d decision
	for i, r := range replies {
		if r == nil {
			panic(fmt.Sprintf("holdfasttest: All: reply %d is nil", i+1))
		}
		one := r.decide()
		if one.refuse != nil || one.strip {
			panic(fmt.Sprintf("holdfasttest: All: reply %d, a %T, does not accept the handshake", i+1, r))
		}
		d.faults = append(d.faults, one.faults...)
		if one.serve != nil {
			d.serve = one.serve
		}
		if a := one.accept; a.Subprotocol != "" {
			d.accept.Subprotocol = a.Subprotocol
		}
		if h := one.accept.Header; h != nil {
			d.accept.Header = maps.Clone(h)
		}
	}
	return all(d)
}

type all decision

func (a all) decide() decision { return decision(a) }
