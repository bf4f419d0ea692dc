package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// AlgSHA256 is the algorithm byte of an ID that is a SHA-256.
const AlgSHA256 = 1

// ID names a pack by its content: one algorithm byte and a 32-byte digest of the whole file.
type ID [33]byte

// Sum returns the ID of the pack whose bytes are b.
func Sum(b []byte) ID {
	var id ID
	id[0] = AlgSHA256
	d := sha256.Sum256(b)
	copy(id[1:], d[:])
	return id
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the ID as 66 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return ID{}, fmt.Errorf("%q is not a pack ID", s)
	}
	copy(id[:], b)
	if id[0] != AlgSHA256 {
		return ID{}, fmt.Errorf("pack ID %s: %w: hash algorithm %d", s, ErrVersion, id[0])
	}
	return id, nil
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err == nil {
		*id = v
	}
	return err
}

// Ref names a pack and its size in bytes.
type Ref struct {
	ID   ID     `json:"id"`
	Size uint32 `json:"size"`
}

// Pack is a finished pack in memory. Bytes must not be changed.
type Pack struct {
	Ref
	Bytes []byte
}
