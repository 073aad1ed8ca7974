package netwatch

import (
	"context"
	"net/netip"
	"syscall/js"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// browser gives the global object what a browser's has.
func browser(t *testing.T) (navigator js.Value, listeners map[string][]js.Value) {
	t.Helper()
	global := js.Global()
	listeners = make(map[string][]js.Value)
	add := js.FuncOf(func(_ js.Value, args []js.Value) any {
		listeners[args[0].String()] = append(listeners[args[0].String()], args[1])
		return nil
	})
	remove := js.FuncOf(func(_ js.Value, args []js.Value) any {
		for i, l := range listeners[args[0].String()] {
			if l.Equal(args[1]) {
				listeners[args[0].String()] = append(listeners[args[0].String()][:i], listeners[args[0].String()][i+1:]...)
			}
		}
		return nil
	})
	navigator = global.Get("Object").New()
	for name, value := range map[string]any{"navigator": navigator, "addEventListener": add, "removeEventListener": remove} {
		before := global.Get("Object").Call("getOwnPropertyDescriptor", global, name)
		global.Get("Object").Call("defineProperty", global, name, map[string]any{"value": value, "configurable": true})
		t.Cleanup(func() {
			if before.IsUndefined() {
				global.Delete(name)
				return
			}
			global.Get("Object").Call("defineProperty", global, name, before)
		})
	}
	t.Cleanup(func() {
		add.Release()
		remove.Release()
	})
	return navigator, listeners
}

func TestBrowserOnLine(t *testing.T) {
	navigator, _ := browser(t)
	for _, state := range []struct {
		onLine any
		want   transport.Reachability
	}{{true, transport.ReachUnknown}, {false, transport.Unreachable}, {nil, transport.ReachUnknown}} {
		navigator.Set("onLine", state.onLine)
		assert.Equal(t, state.want, System().Check(t.Context(), "198.51.100.1"))
		assert.Equal(t, state.want, System().Check(t.Context(), "example.com:443"))
		assert.Equal(t, transport.ReachUnknown, System().Check(t.Context(), "localhost:80"))
	}
	System().Learn("example.com", netip.MustParseAddr("198.51.100.1"))
	navigator.Set("onLine", false)
	assert.Equal(t, transport.Unreachable, System().Check(t.Context(), "example.com:443"))
	assert.True(t, System().HasAddr(netip.MustParseAddr("192.0.2.1")), "not known")
}

func TestBrowserEvents(t *testing.T) {
	_, listeners := browser(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := System().Changes(ctx)
	for _, event := range []string{"offline", "online"} {
		require.Len(t, listeners[event], 1)
		listeners[event][0].Invoke()
		_, open := <-c
		assert.True(t, open, event)
	}
	cancel()
	for range c {
	}
	assert.Empty(t, listeners["online"])
	assert.Empty(t, listeners["offline"])
}

func TestWithoutBrowser(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := System().Changes(ctx)
	assert.Equal(t, transport.ReachUnknown, System().Check(ctx, "198.51.100.1"))
	cancel()
	for range c {
	}
}
