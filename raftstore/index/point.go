package index

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
)

const pointVersion = 1

// Limits of a point record.
const (
	VolumesMax     = 4096
	CommitBytesMax = 64 << 20
)

// Point is the record of a point whose blocks this node holds.
type Point struct {
	ident.Point
	Number     uint64
	Base       uint64 // number of the point that it was built on; 0: none
	Forgetting bool   // its entries are being removed; it must not be read
	Volumes    []Volume
	Commit     []byte // canonical encoding of the commit
}

// Volume is a volume at a point.
type Volume struct {
	ID     ident.VolumeID
	Number uint32 // by which the index knows it; given anew when a volume reappears
	Size   int64  // bytes
}

// Find returns the volume, nil if it is not part of the point.
func (p *Point) Find(id ident.VolumeID) *Volume {
	for i := range p.Volumes {
		if p.Volumes[i].ID == id {
			return &p.Volumes[i]
		}
	}
	return nil
}

// has reports whether the volume goes on at p, under the same number. A nil Point has no volumes.
func (p *Point) has(v *Volume) bool {
	if p == nil {
		return false
	}
	goesOn := p.Find(v.ID)
	return goesOn != nil && goesOn.Number == v.Number
}

// EncodePoint returns the value of a point record: also the payload of a storepack.TypePoint frame.
func EncodePoint(p *Point) []byte {
	b := make([]byte, 0, 128+len(p.Volumes)*32+len(p.Commit))
	b = append(b, pointVersion, 0)
	if p.Forgetting {
		b[1] = 1
	}
	b = append(b, p.Group.UUID[:]...)
	b = append(b, p.Timeline.UUID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.End))
	b = append(b, p.Digest[:]...)
	b = binary.AppendUvarint(b, p.Number)
	b = binary.AppendUvarint(b, p.Base)
	b = binary.AppendUvarint(b, uint64(len(p.Volumes)))
	for _, v := range p.Volumes {
		b = append(b, v.ID.UUID[:]...)
		b = binary.AppendUvarint(b, uint64(v.Number))
		b = binary.AppendUvarint(b, uint64(v.Size))
	}
	b = binary.AppendUvarint(b, uint64(len(p.Commit)))
	return append(b, p.Commit...)
}

// pointFixed is the length of the fields of fixed length.
const pointFixed = 2 + 16 + 16 + 8 + 32

// DecodePoint reads what EncodePoint wrote. The result does not alias b.
func DecodePoint(b []byte) (*Point, error) {
	if len(b) < pointFixed {
		return nil, fmt.Errorf("%w: point record of %d bytes", ErrDamaged, len(b))
	}
	if b[0] != pointVersion || b[1] > 1 {
		return nil, fmt.Errorf("%w: point record version %d, flags %x; this build reads version %d", ErrDamaged, b[0], b[1],
			pointVersion)
	}
	p := &Point{Forgetting: b[1] == 1}
	copy(p.Group.UUID[:], b[2:])
	copy(p.Timeline.UUID[:], b[18:])
	p.End = ident.Seq(binary.LittleEndian.Uint64(b[34:]))
	copy(p.Digest[:], b[42:])
	d := fields{b: b[pointFixed:]}
	p.Number, p.Base = d.uvarint(), d.uvarint()
	for n := d.below(VolumesMax + 1); n > 0 && d.err == nil; n-- {
		var v Volume
		copy(v.ID.UUID[:], d.bytes(16))
		v.Number = uint32(d.below(1 << 32))
		v.Size = int64(d.below(1 << 62))
		p.Volumes = append(p.Volumes, v)
	}
	p.Commit = append(p.Commit, d.bytes(int(d.below(CommitBytesMax+1)))...)
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%w: %d bytes behind a record", ErrDamaged, len(d.b))
	}
	if d.err != nil {
		return nil, d.err
	}
	return p, nil
}

// fields takes fields off b; after the first error it yields zero values.
type fields struct {
	b   []byte
	err error
}

func (d *fields) bytes(n int) []byte {
	if d.err == nil && n > len(d.b) {
		d.err = fmt.Errorf("%w: record is cut off: %d bytes left, want %d", ErrDamaged, len(d.b), n)
	}
	if d.err != nil {
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *fields) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.err == nil && n <= 0 {
		d.err = fmt.Errorf("%w: bad number in a record", ErrDamaged)
	}
	if d.err != nil {
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *fields) below(limit uint64) uint64 {
	v := d.uvarint()
	if d.err == nil && v >= limit {
		d.err = fmt.Errorf("%w: number %d in a record, limit %d", ErrDamaged, v, limit)
	}
	if d.err != nil {
		return 0
	}
	return v
}
