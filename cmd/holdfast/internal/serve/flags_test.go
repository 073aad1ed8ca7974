package serve

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

func TestWrongFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"now"}, `unexpected argument "now"`},
		{[]string{"--addr", "8080"}, "-addr: an address looks like"},
		{[]string{"--addr", "127.0.0.1:http"}, "-addr: the port must be"},
		{[]string{"--addr", "127.0.0.1:65536"}, "-addr: the port must be"},
		{[]string{"--origin", ""}, "-origin: an origin looks like"},
		{[]string{"--origin", "[a"}, "-origin: "},
		{[]string{"--cert-file", "x"}, "flag -cert-file: is for -tls"},
		{[]string{"--tls", "--cert-file", ""}, "flag -cert-file: give the name"},
		{[]string{"--tls=maybe"}, "-tls"},
		{[]string{"--chaos", ""}, "-chaos: there is no fault"},
		{[]string{"--chaos", "flood=1"}, `-chaos: there is no fault "flood"; there are drop, delay, block`},
		{[]string{"--chaos", "drop"}, "-chaos: drop needs a value"},
		{[]string{"--chaos", "drop=1s,drop=2s"}, "-chaos: drop stands there twice"},
		{[]string{"--chaos", "drop=0"}, "-chaos: drop is a duration"},
		{[]string{"--chaos", "delay=1h"}, "-chaos: delay is a duration of at most 30s"},
		{[]string{"--chaos", "block=2"}, "-chaos: block is a part of 1"},
		{[]string{"--chaos", "block=NaN"}, "-chaos: block is a part of 1"},
		{[]string{"--chaos", "drop=1s,seed=-1"}, "-chaos: seed is a number"},
		{[]string{"--chaos", "seed=1"}, "-chaos: seed alone"},
	} {
		var out, errs paper
		assert.Equal(t, 2, Run(c.args, cli.Streams{Out: &out, Err: &errs}), "%q", c.args)
		assert.Contains(t, errs.String(), c.want, "%q", c.args)
		assert.Empty(t, out.String())
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out paper
	assert.Equal(t, 0, Run([]string{"-h"}, cli.Streams{Out: &out}))
	for _, name := range []string{"--addr", "--origin", "--tls", "--cert-file", "--chaos", "drop=", "delay=", "block=", "seed="} {
		assert.Contains(t, out.String(), name)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	cert := filepath.Join(t.TempDir(), "cert.pem")
	var out, errs paper
	assert.Equal(t, 1, Run([]string{"--addr", l.Addr().String(), "--tls", "--cert-file", cert}, cli.Streams{Out: &out, Err: &errs}))
	assert.Contains(t, errs.String(), l.Addr().String())
	assert.Contains(t, errs.String(), "-addr")
	assert.Empty(t, out.String())
	assert.NoFileExists(t, cert)
}

func TestAddressOfAnotherMachine(t *testing.T) {
	var errs paper
	assert.Equal(t, 1, Run([]string{"--addr", "192.0.2.1:8080"}, cli.Streams{Err: &errs}))
	assert.Contains(t, errs.String(), "-addr")
}

func TestCertFileOverwritesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cert.pem")
	require.NoError(t, os.WriteFile(name, []byte("precious"), 0o600))
	var out, errs paper
	assert.Equal(t, 2, Run([]string{"--addr", "127.0.0.1:0", "--tls", "--cert-file", name}, cli.Streams{Out: &out, Err: &errs}))
	assert.Contains(t, errs.String(), "flag -cert-file: the file exists")
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(data))
}

func TestExposed(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "0.0.0.0:1": true, "[::]:1": true, "192.0.2.1:1": true} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		require.NoError(t, err)
		assert.Equal(t, want, exposed(a), addr)
	}
}
