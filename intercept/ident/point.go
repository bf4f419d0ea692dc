package ident

import (
	"encoding/hex"
	"fmt"
)

// Seq is the position of a record in its group's order of writes. The first record of a group has 1; 0 is "before
// the first".
type Seq uint64

// Digest is the SHA-256 of a commit (replicate.Commit); it ties a point to its content.
type Digest [32]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := hex.DecodeString(string(b))
	if err != nil || len(v) != len(d) {
		return fmt.Errorf("%q is not a SHA-256 digest", b)
	}
	copy(d[:], v)
	return nil
}

// Point identifies a recovery point: the exact state of a group after a prefix of its writes. Two points are the same
// if and only if all four fields are. The zero Point is the state before the first commit.
type Point struct {
	Group    GroupID  `json:"group"`
	Timeline Timeline `json:"timeline"`
	End      Seq      `json:"end"` // last sequence that the point holds
	Digest   Digest   `json:"digest"`
}

// IsZero reports whether p stands for "nothing committed yet".
func (p Point) IsZero() bool { return p == Point{} }

func (p Point) String() string {
	if p.IsZero() {
		return "origin"
	}
	return fmt.Sprintf("%.8s/%d/%.8s", p.Timeline.String(), p.End, p.Digest.String())
}
