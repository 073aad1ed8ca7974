package main

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// measureIdle counts what a connection holds on which nothing happens, but which
// answers pings and notices its end. Holdfast reads by itself; for the others a
// goroutine waits in a read, which is counted too.
func measureIdle(ctx context.Context, c *child, s *subject, set settings) (sample, error) {
	first, err := s.connect(ctx, c, "/idle", false) // what is there once a process is not counted
	if err != nil {
		return nil, err
	}
	defer first.Close()
	before := memoryInUse()
	conns := make([]conn, 0, set.connections)
	var readers sync.WaitGroup
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
		readers.Wait()
		waitFor(func() bool { return runtime.NumGoroutine() <= before.goroutines })
	}()
	for range set.connections {
		conn, err := s.connect(ctx, c, "/idle", false)
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
		if i, ok := conn.(idler); ok {
			readers.Go(i.idle)
		}
	}
	after := memoryInUse()
	n := float64(set.connections)
	return sample{
		heap:       (after.heap - before.heap) / n / 1024,
		stack:      (after.stack - before.stack) / n / 1024,
		goroutines: float64(after.goroutines-before.goroutines) / n,
	}, nil
}

// idler is a conn that answers pings only while the program reads.
type idler interface {
	idle()
}

func nothing([]byte) bool { return true }

func (c *coderConn) idle()   { _ = c.Each(true, nothing) }
func (c *gorillaConn) idle() { _ = c.Each(true, nothing) }
func (c *gwsConn) idle()     { c.c.ReadLoop() }

// memory is what this process uses: bytes, and goroutines.
type memory struct {
	heap, stack float64
	goroutines  int
}

// memoryInUse waits until the goroutines of dialling have ended.
func memoryInUse() memory {
	n, still := runtime.NumGoroutine(), 0
	waitFor(func() bool {
		if now := runtime.NumGoroutine(); now != n {
			n, still = now, 0
		}
		still++
		return still > 20
	})
	for range 3 { // pools give back what they hold in two
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{float64(m.HeapAlloc), float64(m.StackInuse), n}
}

// waitFor waits until something is so, for 2 s at most.
func waitFor(so func() bool) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline) && !so(); {
		time.Sleep(5 * time.Millisecond)
	}
}
