package cli

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFlagsMayFollowArguments(t *testing.T) {
	for _, c := range []struct{ args, rest []string }{
		{[]string{"url", "-n", "3"}, []string{"url"}},
		{[]string{"-n", "3", "url"}, []string{"url"}},
		{[]string{"a", "-n", "3", "b", "--", "-n", "c"}, []string{"a", "b", "-n", "c"}},
		{[]string{"-n", "3"}, nil},
	} {
		f := NewFlags("test")
		n := f.Int("n", 0, "")
		rest, err := f.Parse(c.args)
		require.NoError(t, err, "%q", c.args)
		assert.Equal(t, c.rest, rest, "%q", c.args)
		assert.Equal(t, 3, *n, "%q", c.args)
		assert.True(t, f.Given("n"))
	}
}

func TestHeadersHideTheirValues(t *testing.T) {
	t.Setenv("HOLDFAST_TEST_AUTH", "Bearer hunter2")
	t.Setenv("HOLDFAST_TEST_BAD", "hunter2\x01")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-H", "hunter2"}, "flag -H: a header looks like"},
		{[]string{"-H", "hunter2 x: y"}, "flag -H: what stands before the colon"},
		{[]string{"-H", "X: hunter2\x01"}, "flag -H: the value of X"},
		{[]string{"-H", "host: hunter2"}, "flag -H: Host belongs to the handshake"},
		{[]string{"-H", "Sec-WebSocket-Protocol: hunter2"}, "flag -H: Sec-Websocket-Protocol belongs"},
		{[]string{"-auth", "Bearer hunter2"}, "flag -auth: give the name of an environment variable"},
		{[]string{"-auth", "HOLDFAST_TEST_NONE"}, "flag -auth: the environment has no variable"},
		{[]string{"-auth", "HOLDFAST_TEST_BAD"}, "flag -auth: the value of Authorization"},
		{[]string{"-H", "authorization: hunter2", "-auth", "HOLDFAST_TEST_AUTH"}, "flag -auth: Authorization is set already"},
	} {
		var h Headers
		f := NewFlags("test")
		f.Secret("H", h.Set)
		f.Secret("auth", h.SetAuth)
		_, err := f.Parse(c.args)
		require.ErrorContains(t, err, c.want, "%q", c.args)
		assert.NotContains(t, err.Error(), "hunter2", "%q", c.args)
	}
	var h Headers
	f := NewFlags("test")
	f.Secret("H", h.Set)
	f.Secret("auth", h.SetAuth)
	_, err := f.Parse([]string{"-H", "x-a: 1", "-H", "X-A:2", "--auth", "HOLDFAST_TEST_AUTH"})
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-A": {"1", "2"}, "Authorization": {"Bearer hunter2"}}, h.Header)
}
