//go:build !js

package wslink_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

var benchSizes = []int{16, 128, 1 << 10, 16 << 10}

// benchClient is a client's link to a raw server.
func benchClient(b *testing.B, serve func(*wire)) transport.Link {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if w := answerUpgrade(c, ""); w != nil {
			serve(w)
		}
	}()
	r := &transport.Request{URL: &url.URL{Scheme: "ws", Host: ln.Addr().String()}, MaxMessageSize: 1 << 20, WriteTimeout: patience}
	l, err := wslink.New().Dial(b.Context(), r)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		l.Abort()
		ln.Close()
		<-done
	})
	return l
}

// benchServer is a server's link to a raw client.
func benchServer(b *testing.B, serve func(net.Conn)) transport.Link {
	links := make(chan transport.Link)
	done := make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, err := wslink.Accept(w, r, &wslink.AcceptOptions{MaxMessageSize: 1 << 20, WriteTimeout: patience}); err == nil {
			links <- l
			<-done
		}
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(ln)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	ask := "GET / HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	conn.Write([]byte(ask))
	l := <-links
	var answer [1 << 10]byte
	for n := 0; !bytes.Contains(answer[:n], []byte("\r\n\r\n")); {
		m, err := conn.Read(answer[n:])
		if err != nil {
			b.Fatal(err)
		}
		n += m
	}
	go func() {
		defer close(ended)
		serve(conn)
	}()
	b.Cleanup(func() {
		l.Abort()
		conn.Close()
		close(done)
		s.Close()
		<-ended
	})
	return l
}

func BenchmarkWrite(b *testing.B) {
	for _, end := range []string{"client", "server"} {
		for _, group := range []int{1, 64} {
			for _, size := range benchSizes {
				b.Run(fmt.Sprintf("%s/%dx%d", end, group, size), func(b *testing.B) {
					sink := func(c net.Conn) {
						io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
					}
					var l transport.Link
					if end == "client" {
						l = benchClient(b, func(w *wire) { sink(w.Conn) })
					} else {
						l = benchServer(b, sink)
					}
					msgs := make([]transport.Message, group)
					for i := range msgs {
						msgs[i] = transport.Message{Type: transport.Binary, Data: randomBytes(size)}
					}
					b.ReportAllocs()
					b.SetBytes(int64(size))
					b.ResetTimer()
					for n := 0; n < b.N; n += group {
						if _, err := l.Write(msgs); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
				})
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, end := range []string{"client", "server"} {
		for _, kind := range []string{"reused", "owned"} {
			for _, size := range benchSizes {
				b.Run(fmt.Sprintf("%s/%s/%d", end, kind, size), func(b *testing.B) {
					one := frame(0x82, randomBytes(size)...)
					if end == "server" {
						one = ours(0x82, randomBytes(size)...)
					}
					block := bytes.Repeat(one, max(1, (128<<10)/len(one)))
					blast := func(c net.Conn) {
						for {
							if _, err := c.Write(block); err != nil {
								return
							}
						}
					}
					var l transport.Link
					if end == "client" {
						l = benchClient(b, func(w *wire) { blast(w.Conn) })
					} else {
						l = benchServer(b, blast)
					}
					var buf []byte
					b.ReportAllocs()
					b.SetBytes(int64(size))
					b.ResetTimer()
					for range b.N {
						_, p, err := l.Read(buf[:0])
						if err != nil {
							b.Fatal(err)
						}
						if kind == "reused" {
							buf = p
						}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
				})
			}
		}
	}
}
