// Subscribe keeps a copy of something that lives on a server: it subscribes
// anew on every connection, and loads a snapshot whenever updates may be
// missing. Its server, in server.go, drops the connection in between.
//
//	go run ./examples/subscribe
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-ws/holdfast"
)

func main() {
	out := log.New(os.Stdout, "", 0)
	if _, err := run(context.Background(), out); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out *log.Logger) (scores, error) {
	feed, err := startFeed()
	if err != nil {
		return scores{}, err
	}
	defer feed.close()
	return follow(ctx, out, feed.streamURL(), feed.snapshotURL())
}

// scores is a table of points. Each change of it has the next Version.
type scores struct {
	Version int
	Points  map[string]int
}

// update is one change.
type update struct {
	Version int
	Name    string
	Points  int
}

// follow keeps a copy of the server's table until the version finalVersion.
func follow(ctx context.Context, out *log.Logger, streamURL, snapshotURL string) (scores, error) {
	conn, err := holdfast.Dial(ctx, streamURL, &holdfast.Options{
		Retry: holdfast.RetryPolicy{InitialDelay: 100 * time.Millisecond},
		// On every connection, before anything else is sent. The server
		// answers with a message, which is left to the loop below: so there
		// is one at once, and a copy that is out of date is noticed at once.
		OnConnect: func(ctx context.Context, h *holdfast.Handshake) error {
			return h.Send(ctx, holdfast.Text, []byte("subscribe"))
		},
	})
	if err != nil {
		return scores{}, err
	}
	defer conn.Close()

	var table scores
	var epoch uint64
	for msg, err := range conn.Messages(ctx) {
		if err != nil {
			return table, err
		}
		if msg.Epoch != epoch { // updates may be missing before this message
			if table, err = load(ctx, snapshotURL); err != nil {
				return table, err
			}
			epoch = msg.Epoch
			out.Printf("epoch %d: loaded version %d: %v", epoch, table.Version, table.Points)
		}
		var u update
		if err := json.Unmarshal(msg.Data, &u); err != nil {
			return table, err
		}
		if u.Version > table.Version { // otherwise the snapshot has it already
			table.Version = u.Version
			table.Points[u.Name] = u.Points
			out.Printf("epoch %d: version %d: %s has %d", epoch, u.Version, u.Name, u.Points)
		}
		if table.Version == finalVersion {
			break
		}
	}
	out.Printf("done at version %d: %v", table.Version, table.Points)
	return table, conn.Close()
}

// load asks for the whole table.
func load(ctx context.Context, url string) (table scores, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return table, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return table, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return table, fmt.Errorf("snapshot: %s", resp.Status)
	}
	err = json.NewDecoder(resp.Body).Decode(&table)
	return table, err
}
