package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast/transport"
)

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "5", "-5", "99999999999999999999", "Mon, 04 May 2026 12:00:09 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed, int64(1777896000))
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		if d := RetryAfter(value, time.Unix(unix, 0)); d < 0 || d > MaxRetryAfter {
			t.Fatalf("%q: %v", value, d)
		}
	})
}

func FuzzExplain(f *testing.F) {
	f.Add([]byte{0}, uint8(0), 0, "", "", "ws://example.com/", "https://example.com/login?x=y")
	for i := range byte(40) {
		f.Add([]byte{i, i + 1, i + 2, i + 3, i * 7}, i, int(i)*15, "nginx\x1b[2J", "120", "wss://u:p@example.com/a?b=c", "")
	}
	f.Fuzz(func(t *testing.T, shape []byte, flags uint8, code int, text, retryAfter, target, last string) {
		b := &builder{shape: shape, text: text, code: code, retryAfter: retryAfter}
		b.last, _ = url.Parse(last)
		facts := Facts{
			Err:         b.build(0),
			Unreachable: flags&1 != 0, Stable: flags&2 != 0, Fallback: flags&4 != 0, Authorize: flags&8 != 0,
			Now: time.Unix(int64(code), 0),
		}
		facts.Target, _ = url.Parse(target) // nil where it is none
		v := Explain(facts)
		if v.RetryAfter < 0 || v.RetryAfter > MaxRetryAfter {
			t.Fatalf("RetryAfter %v", v.RetryAfter)
		}
		if v.Decision < retry || v.Decision > stop || v.Class < transport.ClassUnknown || v.Class > transport.ClassCallback {
			t.Fatalf("verdict %+v", v)
		}
		if v.Hint == "" || len(v.Hint) > maxHint {
			t.Fatalf("%d bytes of hint: %q", len(v.Hint), v.Hint)
		}
		for _, r := range v.Hint {
			if !unicode.IsPrint(r) {
				t.Fatalf("not printable: %q", v.Hint)
			}
		}
		if v.Decision == reauth && !facts.Authorize {
			t.Fatal("reauthorize without Authorize")
		}
	})
}

// builder makes a tree of errors from the bytes of shape, all kinds that occur
// and some that do not.
type builder struct {
	shape      []byte
	text       string
	code       int
	retryAfter string
	last       *url.URL
}

func (b *builder) take() int {
	if len(b.shape) == 0 {
		return 0
	}
	n := b.shape[0]
	b.shape = b.shape[1:]
	return int(n)
}

func (b *builder) build(depth int) error {
	kind := b.take()
	if depth < 12 {
		switch kind % 16 {
		case 0:
			h := http.Header{
				"Server": {b.text}, "Via": {b.text}, "Content-Type": {"text/html; " + b.text}, "Retry-After": {b.retryAfter},
			}
			return &transport.Error{
				Phase: transport.Phase(b.take() % 9), StatusCode: b.code, Header: h, URL: b.last, Proxied: kind&16 != 0, Err: b.build(depth + 1),
			}
		case 1:
			return &url.Error{Op: b.text, Err: b.build(depth + 1)}
		case 2:
			ops := []string{"dial", "read", "remote error", "proxyconnect", "socks connect", b.text}
			return &net.OpError{Op: ops[b.take()%len(ops)], Err: b.build(depth + 1)}
		case 3:
			return fmt.Errorf("%s: %w", b.text, b.build(depth+1))
		case 4:
			return errors.Join(b.build(depth+1), b.build(depth+1))
		case 5:
			return &tls.CertificateVerificationError{Err: b.build(depth + 1)}
		case 6:
			return &backoff.PermanentError{Err: b.build(depth + 1)}
		case 7:
			return os.NewSyscallError(b.text, b.build(depth+1))
		case 8:
			return &transport.ProtocolError{Code: 1002, Err: b.build(depth + 1)}
		}
	}
	return b.end()
}

func (b *builder) end() error {
	kind := b.take()
	var cert *x509.Certificate
	if kind&64 != 0 {
		cert = &x509.Certificate{
			DNSNames: []string{b.text, b.text, b.text}, Issuer: pkix.Name{CommonName: b.text},
			NotBefore: time.Unix(int64(b.code)*1e6, 0), NotAfter: time.Unix(int64(b.take()), 0),
		}
	}
	switch kind % 16 {
	case 0:
		return nil
	case 1:
		return syscall.Errno(b.take())
	case 2:
		return &net.DNSError{Name: b.text, IsNotFound: kind&16 != 0, IsTimeout: kind&32 != 0}
	case 3:
		return x509.HostnameError{Certificate: cert, Host: b.text}
	case 4:
		return x509.UnknownAuthorityError{Cert: cert}
	case 5:
		return x509.CertificateInvalidError{Cert: cert, Reason: x509.InvalidReason(b.take() % 12)}
	case 6:
		var e tls.RecordHeaderError
		copy(e.RecordHeader[:], b.text)
		return e
	case 7:
		return context.DeadlineExceeded
	case 8:
		return context.Canceled
	case 9:
		return io.EOF
	case 10:
		return net.ErrClosed
	case 11:
		return http.ErrSchemeMismatch
	case 12:
		return transport.ErrInsecureCredentials
	case 13:
		return &transport.CloseError{Code: uint16(b.code), Reason: b.text}
	case 14:
		return x509.SystemRootsError{}
	}
	return errors.New(b.text)
}
