package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/holdfast-ws/holdfast/internal/wire"
)

// hash stands for a session's secret, which is not kept.
type hash [sha256.Size]byte

func hashSecret(secret []byte) hash { return sha256.Sum256(secret) }

func (h hash) equal(other hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// randomName returns n random bytes as base64url.
func randomName(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// nodeOf is the part of a session's id that names the Server that made it.
func nodeOf(sid string) (node string, ok bool) {
	node, rest, ok := strings.Cut(sid, ".")
	return node, ok && node != "" && rest != ""
}

// parseCredential reads Holdfast-Session, sid.secret.
func parseCredential(v string) (sid string, h hash, ok bool) {
	i := strings.LastIndexByte(v, '.')
	if i < 0 || i > wire.MaxSID {
		return "", h, false
	}
	secret, err := decodeBase64(v[i+1:])
	if err != nil || len(secret) != wire.SecretLen {
		return "", h, false
	}
	return v[:i], hashSecret(secret), true
}

// decodeBase64 reads base64url with or without padding.
func decodeBase64(v string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(v, "="))
}
