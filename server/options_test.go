package server

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

func TestDefaults(t *testing.T) {
	for _, o := range []*Options{nil, {}} {
		d := o.withDefaults()
		assert.Equal(t, 2*time.Minute, d.ResumeTTL)
		assert.EqualValues(t, 1<<20, d.MaxMessageSize)
		assert.Equal(t, 0, d.MaxSessions)
		assert.Equal(t, 64, d.MaxSessionsPerAddress)
		assert.Equal(t, 16, d.MaxSessionsPerPrincipal)
		assert.Equal(t, 10.0, d.OpenRate)
		assert.Equal(t, holdfast.SendBuffer{MaxBytes: 1 << 20, MaxMessages: 1024}, d.SendBuffer)
		assert.Equal(t, 25*time.Second, d.Keepalive.Interval)
		assert.Equal(t, 10*time.Second, d.Keepalive.Timeout)
		assert.NotNil(t, d.Logger)
		assert.NoError(t, d.validate())
	}
}

func TestNewPanics(t *testing.T) {
	for field, o := range map[string]Options{
		"ResumeTTL": {ResumeTTL: -1}, "MaxLinkAge": {MaxLinkAge: -1}, "MaxMessageSize": {MaxMessageSize: -1}, "OpenRate": {OpenRate: math.NaN()},
		"Keepalive.Timeout": {Keepalive: holdfast.Keepalive{Timeout: -1}}, "SendBuffer.MaxAge": {SendBuffer: holdfast.SendBuffer{MaxAge: -1}},
		"SendBuffer.MaxBytes": {SendBuffer: holdfast.SendBuffer{MaxBytes: -1}}, "SendBuffer.MaxMessages": {SendBuffer: holdfast.SendBuffer{MaxMessages: -1}},
		"SendBuffer.WhenFull": {SendBuffer: holdfast.SendBuffer{WhenFull: 7}}, "OriginPatterns": {OriginPatterns: []string{"["}},
		"Subprotocols": {Subprotocols: []string{"a b"}},
	} {
		var e *holdfast.OptionError
		require.ErrorAs(t, panicOf(func() { New(idle, &o) }), &e, field)
		assert.Equal(t, field, e.Field)
	}
	for _, list := range [][]string{{"a", "a"}, {"holdfast.v1"}, {""}} {
		assert.Error(t, panicOf(func() { New(idle, &Options{Subprotocols: list}) }))
	}
	assert.Error(t, panicOf(func() { New(idle, &Options{ResumeTTL: 366 * 24 * time.Hour}) }))
	assert.Error(t, panicOf(func() { New(nil, nil) }))
}

func panicOf(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err, _ = v.(error)
		}
	}()
	f()
	return nil
}

func TestOptionsAreCopied(t *testing.T) {
	o := &Options{Subprotocols: []string{"a"}, OriginPatterns: []string{"b"}}
	s := New(idle, o)
	o.Subprotocols[0], o.OriginPatterns[0], o.ResumeTTL = "x", "y", 1
	assert.Equal(t, []string{"a"}, s.opts.Subprotocols)
	assert.Equal(t, []string{"b"}, s.opts.OriginPatterns)
	assert.Equal(t, 2*time.Minute, s.opts.ResumeTTL)
	assert.Zero(t, o.MaxMessageSize)
}

func TestCredentials(t *testing.T) {
	secret := make([]byte, 16)
	for v, ok := range map[string]bool{
		"node.random.AAAAAAAAAAAAAAAAAAAAAA": true, "node.random.AAAAAAAAAAAAAAAAAAAAAA==": true,
		"": false, ".": false, "AAAAAAAAAAAAAAAAAAAAAA": false, "a.b.AAAA": false, "a.b.!!!!": false, "a.b.AAAAAAAAAAAAAAAAAAAAAAAAAAAA": false,
		string(make([]byte, 200)) + ".AAAAAAAAAAAAAAAAAAAAAA": false,
	} {
		sid, h, got := parseCredential(v)
		assert.Equal(t, ok, got, v)
		if ok {
			assert.Equal(t, "node.random", sid)
			assert.True(t, h.equal(hashSecret(secret)))
		}
	}
}
