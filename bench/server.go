package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// serverVariable, set in the environment, makes this program the server.
const serverVariable = "HOLDFAST_BENCH_SERVER"

// addresses is what the server prints, as a line of JSON, when it is ready.
type addresses struct {
	Plain, TLS string // of the frame server
	Holdfast   string // of package server
	NATS       string // WebSocket
	Control    string // HTTP
	CA         string // PEM
}

// serve runs the servers until in ends.
func serve(in io.Reader, out io.Writer) error {
	certificate, ca, err := selfSigned()
	if err != nil {
		return err
	}
	a := addresses{CA: ca}
	var listeners [4]net.Listener
	for i, p := range []*string{&a.Plain, &a.TLS, &a.Holdfast, &a.Control} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		listeners[i], *p = l, l.Addr().String()
	}
	n, err := newNATS()
	if err != nil {
		return err
	}
	defer n.close()
	a.NATS = n.address
	go accept(listeners[0])
	go accept(tls.NewListener(listeners[1], &tls.Config{Certificates: []tls.Certificate{certificate}}))
	sessions := server.New(sessionSink, &server.Options{OpenRate: -1, MaxSessionsPerAddress: -1})
	go func() { _ = http.Serve(listeners[2], sessions) }()
	go func() { _ = http.Serve(listeners[3], n) }()
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in)
	return nil
}

func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = handle(conn)
		}()
	}
}

// handle upgrades a connection and does what the path says: /sink, /source/SIZE,
// /echo or /idle.
func handle(conn net.Conn) error {
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	key := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(key[:]))
	if err != nil {
		return err
	}
	early, err := r.Peek(r.Buffered())
	if err != nil {
		return err
	}
	size := 2 * readSize
	if req.URL.Path == "/idle" {
		size = 1 << 10
	}
	f := newFrameReader(conn, size)
	f.end = copy(f.buf, early)
	if size, ok := strings.CutPrefix(req.URL.Path, "/source/"); ok {
		return source(conn, size)
	}
	if req.URL.Path == "/sink" {
		return sink(conn, f)
	}
	return echo(conn, f)
}

// sink counts messages. It answers an empty one with the tally since the last.
func sink(w io.Writer, f *frameReader) error {
	var t tally
	var out []byte
	for {
		op, payload, key, err := f.next()
		if err != nil {
			return err
		}
		switch {
		case op != opBinary:
			if err := control(w, op, payload, key); err != nil {
				return err
			}
		case len(payload) > 0:
			t.add(checksum(payload, key))
		default:
			out = appendFrame(out[:0], opBinary, t.append(nil))
			if _, err := w.Write(out); err != nil {
				return err
			}
			t = tally{}
		}
	}
}

// source sends the payloads of a size until the connection ends.
func source(w io.Writer, size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	var cycle, out []byte
	for _, p := range payloads(n) {
		cycle = appendFrame(cycle, opBinary, p)
	}
	for len(out) < readSize {
		out = append(out, cycle...)
	}
	for {
		if _, err := w.Write(out); err != nil {
			return err
		}
	}
}

func echo(w io.Writer, f *frameReader) error {
	var out []byte
	for {
		op, payload, key, err := f.next()
		if err != nil {
			return err
		}
		if op != opBinary {
			if err := control(w, op, payload, key); err != nil {
				return err
			}
			continue
		}
		unmask(payload, key)
		out = appendFrame(out[:0], op, payload)
		if _, err := w.Write(out); err != nil {
			return err
		}
	}
}

// control answers a control frame.
func control(w io.Writer, op byte, payload []byte, key uint32) error {
	unmask(payload, key)
	switch op {
	case opPing:
		_, err := w.Write(appendFrame(nil, opPong, payload))
		return err
	case opClose:
		_, _ = w.Write(appendFrame(nil, opClose, payload))
		return io.EOF
	}
	return nil
}

// sessionSink is sink for package server.
func sessionSink(ctx context.Context, s *server.Session) error {
	var t tally
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return err
		}
		if len(m.Data) > 0 {
			t.add(checksum(m.Data, 0))
			continue
		}
		if err := s.Send(ctx, holdfast.Binary, t.append(nil)); err != nil {
			return err
		}
		t = tally{}
	}
}

func selfSigned() (c tls.Certificate, ca string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return c, "", err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
