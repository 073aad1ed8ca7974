package doctor_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"

	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/server"
)

// A service that says why its connection does not come about.
func ExampleRun() {
	srv := httptest.NewServer(server.New(func(ctx context.Context, s *server.Session) error {
		_, err := s.Receive(ctx)
		return err
	}, nil))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)

	report, err := doctor.Run(context.Background(), "ws://"+u.Host+"/stream", nil)
	if err != nil {
		fmt.Println(err) // an argument that cannot be right
		return
	}
	if v := report.Verdict; !v.OK {
		fmt.Println(v.Class, v.Summary, v.Advice)
	}
	for _, name := range []string{doctor.StepUpgrade, doctor.StepClose} {
		fmt.Println(name, report.Step(name).Status, report.Step(name).Summary)
	}
	// Output:
	// upgrade ok 101 Switching Protocols, with the session protocol of package server
	// close ok the close frame was answered
}
