package ident

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// UUID is a random (version 4) UUID of RFC 9562, section 5.4. The zero UUID means "none".
type UUID [16]byte

// NewUUID returns a fresh random UUID.
func NewUUID() UUID {
	var u UUID
	_, _ = rand.Read(u[:]) // never fails: crypto/rand ends the process instead
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// IsZero reports whether u is the zero UUID.
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the canonical 36-character form.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseUUID reads the canonical form.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, fmt.Errorf("%q is not a UUID", s)
	}
	h := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(u[:], []byte(h)); err != nil {
		return UUID{}, fmt.Errorf("%q is not a UUID: %w", s, err)
	}
	return u, nil
}

// MarshalText implements encoding.TextMarshaler.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *UUID) UnmarshalText(b []byte) error {
	v, err := ParseUUID(string(b))
	if err == nil {
		*u = v
	}
	return err
}

// The kinds of identity. They are distinct types so that one is never taken for another.
type (
	// GroupID names a consistency group for its whole life, on both sides.
	GroupID struct{ UUID }
	// VolumeID names a volume for its whole life; a name can be given to another volume later, an ID never.
	VolumeID struct{ UUID }
	// Timeline names one uninterrupted history of a group.
	Timeline struct{ UUID }
	// ClusterID names a provider cluster.
	ClusterID struct{ UUID }
)
