package main

import (
	"bytes"
	"context"
	"log"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	table, err := run(ctx, log.New(&out, "", 0))
	require.NoError(t, err)
	assert.Equal(t, scores{Version: finalVersion, Points: map[string]int{"ada": 3 + 6, "grace": 1 + 4 + 7, "alan": 2 + 5 + 8}}, table)
	assert.Equal(t, `epoch 1: loaded version 0: map[]
epoch 1: version 1: grace has 1
epoch 1: version 2: alan has 2
epoch 1: version 3: ada has 3
epoch 2: loaded version 5: map[ada:3 alan:7 grace:5]
epoch 2: version 6: ada has 9
epoch 2: version 7: grace has 12
epoch 2: version 8: alan has 15
done at version 8: map[ada:9 alan:15 grace:12]
`, out.String())
}
