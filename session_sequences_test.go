package holdfast_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

var (
	sequences     = flag.Int("sequences", 150, "how many random sequences TestSessionSequences tries")
	firstSequence = flag.Uint64("sequence", 1, "the seed of the first of them")
)

// Whatever happens on the way, in whatever order: what arrives is what was sent,
// and what is missing is accounted for.
func TestSessionSequences(t *testing.T) {
	for i := range *sequences {
		seed := *firstSequence + uint64(i)
		session(t, func(p *scene) {
			q := &sequence{scene: p, seed: seed, Rand: rand.New(rand.NewPCG(seed, 0)), begun: time.Now()}
			q.run()
			time.Sleep(time.Second) // what is on its way arrives
		})
		if t.Failed() {
			t.Fatalf("sequence %d", seed)
		}
	}
}

// sequence is one random life of a Conn.
type sequence struct {
	*scene
	*rand.Rand
	seed  uint64
	begun time.Time
	o     *holdfast.Options
	c     *holdfast.Conn

	mu        sync.Mutex
	log       []string
	accepted  []int        // of the numbers sent, those that Send took
	maybe     map[int]bool // and those of which SendSync does not know
	got       []holdfast.Message
	atServer  map[int]int // how often each arrived
	echoed    map[int]bool
	kicked    holdfast.StatusCode
	lossy     bool // a session may have been lost
	noToken   bool
	noWelcome bool // OnConnect fails
	slow      time.Duration
	offline   time.Time
	dials     []string // that were not to be
	gentle    bool     // nothing is to be lost: the network, the server and all callbacks work
	down      bool
	serving   bool
}

func (q *sequence) note(format string, args ...any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.log = append(q.log, fmt.Sprintf("%v ", time.Since(q.begun))+fmt.Sprintf(format, args...))
}

func (q *sequence) chance(percent int) bool { return q.IntN(100) < percent }

func (q *sequence) upTo(d time.Duration) time.Duration { return time.Duration(q.Int64N(int64(d))) }

func (q *sequence) run() {
	defer func() {
		if q.Failed() {
			for _, l := range q.log {
				q.Log(l)
			}
			q.seen(0)
			for _, e := range q.events {
				if e.Kind == holdfast.EventDropped {
					continue
				}
				q.Logf("%v %v %v %v epoch %d resumed %v count %d attempt %d: %v", e.Time.Sub(q.begun), e.Kind, e.State, e.Transport, e.Epoch, e.Resumed, e.Count, e.Attempt, e.Err)
			}
		}
	}()
	q.gentle = q.chance(30)
	q.maybe, q.atServer, q.echoed = map[int]bool{}, map[int]int{}, map[int]bool{}
	q.echo = q.handle
	q.options.ResumeTTL = []time.Duration{5 * time.Second, 10 * time.Minute}[q.IntN(2)]
	if !q.gentle && q.chance(20) {
		q.options.SendBuffer = holdfast.SendBuffer{MaxMessages: 1 + q.IntN(5), WhenFull: holdfast.WhenFullDropOldest}
		q.lossy = true
	}
	if q.chance(30) {
		q.options.MaxLinkAge = 7 * time.Second
	}
	q.network.SetOnline(true)
	q.net.SetLatency(q.upTo(60 * time.Millisecond))
	q.start()
	q.serving = true
	if q.chance(50) {
		q.blockAtRandom()
	}
	q.dialAtRandom()
	ctx, stop := context.WithCancel(q.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() { q.sendAll(ctx) })
	tasks.Go(q.receiveAll)
	for range q.IntN([]int{4, 28}[q.IntN(2)]) {
		time.Sleep(q.upTo(5 * time.Second))
		q.act()
	}
	if q.gentle || q.chance(40) {
		stop()
		whole := q.end()
		q.heal()
		tasks.Wait()
		q.checkEvents()
		q.checkSent(whole)
		return
	}
	q.heal()
	stop()
	time.Sleep(3 * time.Minute)
	q.settled()
	q.end()
	tasks.Wait()
	q.checkMessages()
	q.checkEvents()
}

func (q *sequence) dialAtRandom() {
	o := q.dialOptions()
	o.Background = true
	o.AllowInsecureCredentials = true
	o.Retry.MaxRetries = []int{holdfast.Unlimited, holdfast.Unlimited, 4}[q.IntN(3)]
	o.Delivery = holdfast.Delivery(q.IntN(2))
	o.SendBuffer.WhenFull = holdfast.WhenFull(q.IntN(3))
	if q.chance(50) {
		o.SendBuffer.MaxMessages = 5 + q.IntN(20)
	}
	if q.chance(50) {
		o.ReceiveBuffer = 1 + q.IntN(2000)
	}
	if q.chance(20) {
		o.SendBuffer.MaxAge = 3 * time.Second
	}
	if q.chance(50) {
		o.OnConnect = q.onConnect
	}
	if q.chance(60) {
		o.Authorize = q.authorize
	}
	dial := o.DialContext
	o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		q.mu.Lock()
		if off := q.offline; !off.IsZero() && q.c != nil && q.c.State() == holdfast.StateOffline {
			if since := time.Since(off); since > 0 && since < 30*time.Second {
				q.dials = append(q.dials, fmt.Sprintf("%v after %v offline", time.Since(q.begun), since))
			}
		}
		q.mu.Unlock()
		return dial(ctx, network, addr)
	}
	tell := o.OnEvent
	o.OnEvent = func(e holdfast.Event) {
		q.mu.Lock()
		switch e.Kind {
		case holdfast.EventOffline:
			q.offline = e.Time
		case holdfast.EventOnline:
			q.offline = time.Time{}
		}
		q.mu.Unlock()
		tell(e)
	}
	q.note("retries %d, delivery %d, buffer %+v, receive %d, OnConnect %v, Authorize %v, TTL %v, age %v", o.Retry.MaxRetries, o.Delivery,
		o.SendBuffer, o.ReceiveBuffer, o.OnConnect != nil, o.Authorize != nil, q.options.ResumeTTL, q.options.MaxLinkAge)
	c, err := holdfast.Dial(q.Context(), q.url, o)
	require.NoError(q, err)
	q.mu.Lock()
	q.o, q.c = o, c
	q.mu.Unlock()
}

// handle echoes. What comes in one session comes in order.
func (q *sequence) handle(ctx context.Context, s *server.Session) error {
	last := -1
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(string(m.Data)); err == nil {
			q.mu.Lock()
			if n <= last {
				q.Errorf("the server got %d after %d", n, last)
			}
			last = n
			q.atServer[n]++
			q.mu.Unlock()
		}
		q.mu.Lock()
		code := q.kicked
		q.kicked = 0
		q.mu.Unlock()
		if code != 0 {
			return s.CloseWith(ctx, code, "kicked")
		}
		if s.Send(ctx, m.Type, m.Data) != nil { // nothing more goes out once the client closes
			continue
		}
		if n, err := strconv.Atoi(string(m.Data)); err == nil {
			q.mu.Lock()
			q.echoed[n] = true
			q.mu.Unlock()
		}
	}
}

func (q *sequence) onConnect(ctx context.Context, h *holdfast.Handshake) error {
	if err := h.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
		return err
	}
	m, err := h.Receive(ctx)
	if err != nil {
		return err
	}
	if string(m.Data) != "hello" {
		q.Errorf("OnConnect got %q", m.Data)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noWelcome {
		return errors.New("not today")
	}
	return nil
}

func (q *sequence) authorize(context.Context, *http.Request, error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noToken {
		return errors.New("no token")
	}
	return nil
}

// sendAll sends numbers, and now and then waits for the proof.
func (q *sequence) sendAll(ctx context.Context) {
	r := rand.New(rand.NewPCG(q.seed, 1))
	every := time.Duration(1+r.IntN(400)) * time.Millisecond
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(every)
		data := []byte(strconv.Itoa(n))
		within := time.Duration(r.IntN(3000)) * time.Millisecond
		sendCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		began := time.Now()
		var err error
		switch r.IntN(20) {
		case 0:
			err = q.c.SendSync(sendCtx, holdfast.Text, data)
		case 1:
			_ = q.c.Flush(sendCtx)
			err = q.c.Send(sendCtx, holdfast.Text, data)
		default:
			err = q.c.Send(sendCtx, holdfast.Text, data)
		}
		cancel()
		q.mu.Lock()
		if took := time.Since(began); took > within+time.Millisecond {
			q.Errorf("sending %d took %v, its context %v: %v", n, took, within, err)
		}
		var se *holdfast.SendError
		switch {
		case err == nil:
			q.accepted = append(q.accepted, n)
		case !errors.As(err, &se):
			q.Errorf("sending %d: %v", n, err)
		case se.Outcome == holdfast.MaybeSent, errors.Is(err, holdfast.ErrDropped), errors.Is(err, holdfast.ErrStale):
			q.maybe[n] = true
		}
		q.mu.Unlock()
	}
}

func (q *sequence) receiveAll() {
	for {
		m, err := q.c.Receive(context.Background())
		if err != nil {
			return
		}
		q.mu.Lock()
		q.got = append(q.got, m)
		slow := q.slow
		q.mu.Unlock()
		time.Sleep(slow)
	}
}

func (q *sequence) blockAtRandom() {
	names := make([]string, 0, len(blockades)+1)
	for name := range blockades {
		names = append(names, name)
	}
	slices.Sort(names)
	if i := q.IntN(len(names) + 1); i < len(names) {
		q.note("WebSocket is blocked by %s", names[i])
		q.blockBy(blockades[names[i]])
	} else {
		q.note("WebSocket is blocked by a stripped header")
		q.blockBy(q.strip)
	}
}

func (q *sequence) setDown(down bool) {
	q.down = down
	if down {
		q.net.SetDown(syscall.ENETUNREACH)
	} else {
		q.net.SetDown(nil)
	}
}

func (q *sequence) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// act does one thing.
func (q *sequence) act() {
	what := q.IntN(17)
	if q.gentle {
		what = []int{4, 5, 9, 13}[q.IntN(4)]
	}
	q.set(func() {
		// Nothing has come, so perhaps ATTACH has not arrived. The server does not keep
		// such a session for long.
		q.lossy = q.lossy || len(q.got) == 0
	})
	switch what {
	case 0, 1:
		q.note("cut")
		q.net.Reset()
	case 2:
		q.note("freeze")
		q.net.Freeze(true)
	case 3:
		q.note("thaw")
		q.net.Freeze(false)
	case 4:
		q.blockAtRandom()
	case 5:
		q.note("WebSocket is let through")
		q.blockBy(nil)
	case 6:
		online := q.down && q.chance(70)
		q.note("down, the network says %v", online)
		q.setDown(true)
		if !online {
			q.network.SetOnline(false)
		}
	case 7, 8:
		q.note("up")
		q.setDown(false)
		q.network.SetOnline(true)
	case 9:
		q.note("signal")
		q.network.Signal()
	case 10:
		q.note("Reconnect")
		q.c.Reconnect()
	case 11:
		q.set(func() { q.lossy = true })
		if q.serving && q.chance(50) {
			q.note("the server stops")
			q.stop()
			q.serving = false
		} else {
			q.note("another server starts")
			q.stop()
			q.start()
			q.serving = true
		}
	case 12:
		d := q.upTo(time.Minute)
		q.note("a break of %v", d)
		q.setDown(true)
		time.Sleep(d)
		q.setDown(false)
		q.net.Reset()
	case 13:
		d := q.upTo(2 * time.Second)
		q.note("receive one in %v", d)
		q.set(func() { q.slow = d })
	case 14:
		fail := q.chance(50)
		q.note("OnConnect fails: %v", fail)
		q.set(func() { q.noWelcome = fail })
	case 15:
		fail := q.chance(50)
		q.note("Authorize fails: %v", fail)
		q.set(func() { q.noToken = fail })
	case 16:
		codes := []holdfast.StatusCode{1001, 1011, 1012, 1013, 3000, 4001, 4001, 1000}
		code := codes[q.IntN(len(codes))]
		q.note("the server closes with %d", code)
		q.set(func() { q.kicked, q.lossy = code, true })
	}
}

func (q *sequence) heal() {
	q.note("all is well")
	q.blockBy(nil)
	q.setDown(false)
	q.net.Freeze(false)
	q.network.SetOnline(true)
	if !q.serving {
		q.start()
	}
	q.set(func() { q.slow, q.noWelcome, q.noToken, q.kicked = 0, false, false, 0 })
}

// settled: nothing stands in the way, so the Conn is connected or has ended.
func (q *sequence) settled() {
	s := q.c.Stats()
	if s.State == holdfast.StateClosed {
		return
	}
	require.Equal(q, holdfast.StateConnected, s.State)
	ctx, cancel := context.WithTimeout(q.Context(), time.Minute)
	defer cancel()
	if err := q.c.Flush(ctx); err != nil {
		assert.NotErrorIs(q, err, ctx.Err())
	}
	time.Sleep(time.Minute)
	s = q.c.Stats()
	assert.Zero(q, s.Queued)
	assert.Zero(q, s.Unacknowledged)
	assert.Zero(q, s.ReceiveQueued)
	over := ""
	q.seen(0)
	for _, e := range q.events {
		switch e.Kind {
		case holdfast.EventConnected, holdfast.EventFellBack, holdfast.EventUpgraded:
			over = e.Transport
		}
	}
	assert.Equal(q, over, s.Transport)
}

// end closes the Conn, which is bounded, and says whether all was sent.
func (q *sequence) end() (whole bool) {
	connected := q.c.State() == holdfast.StateConnected
	for range q.IntN(10) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		_ = q.c.Send(ctx, holdfast.Text, []byte("last"))
		cancel()
	}
	began, bound := time.Now(), 5*time.Second
	switch q.IntN(4) {
	case 0:
		q.note("CloseNow")
		bound = 0
		_ = q.c.CloseNow()
	case 1:
		bound = q.upTo(4 * time.Second)
		q.note("CloseWith within %v", bound)
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		_ = q.c.CloseWith(ctx, 4000, "bye")
	default:
		q.note("Close")
		err := q.c.Close()
		whole = err == nil
		if q.gentle && connected {
			assert.NoError(q, err)
		}
	}
	assert.LessOrEqual(q, time.Since(began), bound+time.Millisecond, "Close")
	<-q.c.Done()
	return whole
}

// checkSent: what Close has sent has arrived.
func (q *sequence) checkSent(whole bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if stats := q.c.Stats(); !whole || stats.Epoch != 1 || q.lossy || !errors.Is(q.c.Err(), holdfast.ErrClosed) {
		return
	}
	missing := 0
	for _, n := range q.accepted {
		if q.atServer[n] == 0 {
			missing++
		}
	}
	assert.LessOrEqual(q, missing, int(q.c.Stats().Dropped), "of what Close has sent")
}

func (q *sequence) checkMessages() {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := q.c.Stats()
	times := map[int]int{}
	var epoch uint64
	last := -1
	for _, m := range q.got {
		if string(m.Data) == "hello" {
			q.Errorf("an answer to OnConnect was received")
			continue
		}
		if string(m.Data) == "last" {
			continue
		}
		n, err := strconv.Atoi(string(m.Data))
		require.NoError(q, err)
		if m.Epoch < epoch {
			q.Errorf("epoch %d after %d", m.Epoch, epoch)
		}
		if m.Epoch > epoch {
			epoch, last = m.Epoch, -1
		}
		if n <= last {
			q.Errorf("%d after %d in epoch %d", n, last, epoch)
		}
		for lost := last + 1; last >= 0 && lost < n; lost++ {
			if q.echoed[lost] {
				q.Errorf("%d is missing in epoch %d", lost, epoch)
			}
		}
		last = n
		times[n]++
	}
	if q.o.Delivery == holdfast.AtMostOnce {
		for n, k := range q.atServer {
			if k > 1 {
				q.Errorf("%d arrived %d times at the server", n, k)
			}
		}
	}
	missing := 0
	for _, n := range q.accepted {
		if times[n] == 0 {
			missing++
		}
	}
	if ended := q.c.Err(); stats.Epoch == 1 && errors.Is(ended, holdfast.ErrClosed) {
		if missing > int(stats.Dropped) {
			q.Errorf("%d are missing, and %d dropped", missing, stats.Dropped)
		}
		// One that has been sent may give way in the buffer and arrive all the same.
		if q.o.SendBuffer.WhenFull != holdfast.WhenFullDropOldest && len(q.maybe) == 0 && missing != int(stats.Dropped) {
			q.Errorf("%d are missing, and %d dropped", missing, stats.Dropped)
		}
		if stats.Unknown > 0 {
			q.Errorf("%d of unknown fate in one session", stats.Unknown)
		}
	}
}

func (q *sequence) checkEvents() {
	q.seen(0)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.dials {
		q.Errorf("a dial %s", d)
	}
	var epoch uint64
	connected, gaps, failures := false, 0, 0
	over := ""
	var up time.Time
	for i, e := range q.events {
		if e.Kind != holdfast.EventDropped && e.Kind != holdfast.EventGap {
			assert.NotEmpty(q, e.Endpoint, "%v", e.Kind)
		}
		if e.Epoch < epoch {
			q.Errorf("event %v of epoch %d after %d", e.Kind, e.Epoch, epoch)
		}
		epoch = e.Epoch
		switch e.Kind {
		case holdfast.EventConnected:
			if connected {
				assert.True(q, e.Resumed, "a switch goes on")
			} else {
				up = e.Time
			}
			connected, over = true, e.Transport
		case holdfast.EventDisconnected:
			assert.True(q, connected, "disconnected twice")
			connected = false
			if e.Time.Sub(up) >= 10*time.Second {
				failures = 0
			}
		case holdfast.EventFellBack:
			assert.True(q, connected)
			assert.Equal(q, "longpoll", over)
			over = "longpoll"
		case holdfast.EventUpgraded:
			assert.True(q, connected)
			assert.Equal(q, "longpoll", over)
			over = "websocket"
			assert.Equal(q, over, e.Transport)
		case holdfast.EventGap:
			gaps++
		case holdfast.EventWaiting:
			failures++
			if q.o.Retry.MaxRetries > 0 {
				assert.LessOrEqual(q, failures, q.o.Retry.MaxRetries)
			}
		case holdfast.EventClosed:
			assert.Equal(q, len(q.events)-1, i)
			if errors.Is(e.Err, holdfast.ErrRetriesExhausted) {
				assert.Equal(q, q.o.Retry.MaxRetries, failures)
			}
		}
	}
	assert.Equal(q, holdfast.EventClosed, q.events[len(q.events)-1].Kind)
	if want := max(int(epoch), 1) - 1; gaps != want {
		q.Errorf("%d gaps and epoch %d", gaps, epoch)
	}
	if !q.lossy && q.options.ResumeTTL > time.Minute && epoch > 1 {
		q.Errorf("epoch %d although no session can have been lost", epoch)
	}
	synctest.Wait()
}
