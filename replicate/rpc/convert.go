package rpc

import (
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
)

// ToUUID reads the 16 bytes of a UUID field.
func ToUUID(b []byte) (ident.UUID, error) {
	if len(b) != 16 {
		return ident.UUID{}, fmt.Errorf("%w: UUID of %d bytes", ErrBadRequest, len(b))
	}
	return ident.UUID(b), nil
}

// FromPoint returns p as a message; the zero point is nil.
func FromPoint(p ident.Point) *Point {
	if p.IsZero() {
		return nil
	}
	return &Point{Group: p.Group.UUID[:], Timeline: p.Timeline.UUID[:], End: uint64(p.End), Digest: p.Digest[:]}
}

// ToPoint reads a point; nil is the zero point.
func ToPoint(m *Point) (ident.Point, error) {
	if m == nil {
		return ident.Point{}, nil
	}
	p := ident.Point{End: ident.Seq(m.GetEnd())}
	var err error
	if p.Group.UUID, err = ToUUID(m.GetGroup()); err != nil {
		return ident.Point{}, fmt.Errorf("group of a point: %w", err)
	}
	if p.Timeline.UUID, err = ToUUID(m.GetTimeline()); err != nil {
		return ident.Point{}, fmt.Errorf("timeline of a point: %w", err)
	}
	if len(m.GetDigest()) != len(p.Digest) {
		return ident.Point{}, fmt.Errorf("%w: digest of %d bytes", ErrBadRequest, len(m.GetDigest()))
	}
	copy(p.Digest[:], m.GetDigest())
	return p, nil
}
