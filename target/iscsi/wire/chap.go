package wire

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/subtle"
)

// The CHAP algorithms by their number in CHAP_A (RFC 7143, section 12.1.3; IANA PPP authentication algorithms).
const (
	CHAPMD5     = "5"
	CHAPSHA1    = "6"
	CHAPSHA256  = "7"
	CHAPSHA3256 = "8"
)

// CHAPAlgorithms are all that CHAPResponse computes, the strongest first.
var CHAPAlgorithms = []string{CHAPSHA3256, CHAPSHA256, CHAPSHA1, CHAPMD5}

// CHAPResponse is the hash of id, secret and challenge (RFC 1994, section 4.1), nil for an unknown algorithm.
func CHAPResponse(algorithm string, id byte, secret, challenge []byte) []byte {
	m := make([]byte, 0, 1+len(secret)+len(challenge))
	m = append(m, id)
	m = append(m, secret...)
	m = append(m, challenge...)
	switch algorithm {
	case CHAPMD5:
		s := md5.Sum(m)
		return s[:]
	case CHAPSHA1:
		s := sha1.Sum(m)
		return s[:]
	case CHAPSHA256:
		s := sha256.Sum256(m)
		return s[:]
	case CHAPSHA3256:
		s := sha3.Sum256(m)
		return s[:]
	}
	return nil
}

// CHAPEqual compares two responses without telling by its duration where they differ. An empty one equals nothing.
func CHAPEqual(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }

// CHAPChallenge returns a fresh identifier and challenge.
func CHAPChallenge() (id byte, challenge []byte) {
	b := make([]byte, 33)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return b[0], b[1:]
}
