//go:build !js

package wslink_test

import (
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What coder lets pass, and this package does not.
func TestCoderDeliversBadUTF8(t *testing.T) {
	c, _, err := websocket.Dial(testContext(t), rawServer(t, func(w *wire) {
		w.Write(frame(0x81, 'a', 0xff))
		w.drain()
	}), nil)
	require.NoError(t, err)
	defer c.CloseNow()
	typ, data, err := c.Read(testContext(t))
	require.NoError(t, err)
	assert.Equal(t, websocket.MessageText, typ)
	assert.Equal(t, "a\xff", string(data))
}
