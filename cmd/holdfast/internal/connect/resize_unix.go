//go:build unix

package connect

import (
	"os"
	"os/signal"
	"syscall"
)

// onResize calls f whenever the terminal has another size, until stop has returned.
func onResize(f func()) (stop func()) {
	signals, done, over := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		defer close(over)
		for {
			select {
			case <-signals:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-over
	}
}
