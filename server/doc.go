// Package server is the other end of Holdfast: an http.Handler that serves
// WebSocket and long polling on one URL.
//
// Clients that speak the session protocol (docs/protocol.md) get a [Session]
// that outlives its links: messages both ways survive reconnects and changes of
// transport, none lost, none twice, none out of order, within the buffers that
// [Options] state. Every other WebSocket client, a browser say, gets a plain
// session, which lives as long as its connection.
//
//	s := server.New(func(ctx context.Context, s *server.Session) error {
//		for m, err := range s.Messages(ctx) {
//			if err != nil {
//				return err
//			}
//			if err := s.Send(ctx, m.Type, m.Data); err != nil {
//				return err
//			}
//		}
//		return nil
//	}, nil)
//	http.Handle("/stream", s)
//
// The time-outs that a server of net/http needs against slow clients
// (ReadHeaderTimeout, IdleTimeout) are its owner's to set. ReadTimeout and
// WriteTimeout may be set too: the handler moves the deadlines of its own
// requests, so that a poll may hang for longer.
package server
