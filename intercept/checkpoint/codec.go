package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// encoder appends fields, little-endian.
type encoder struct{ b []byte }

func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *encoder) raw(v []byte) { e.b = append(e.b, v...) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

func (e *encoder) volume(v *Volume) {
	e.u32(v.Number)
	e.raw(v.ID.UUID[:])
	e.u64(uint64(v.Size))
	e.u32(uint32(v.BlockSize))
	e.name(v.Name)
}

func (e *encoder) name(s string) {
	e.b = append(e.b, byte(len(s)))
	e.raw([]byte(s))
}

func (e *encoder) table(next uint32, volumes []Volume) {
	e.u32(next)
	e.u32(uint32(len(volumes)))
	for i := range volumes {
		e.volume(&volumes[i])
	}
}

func (e *encoder) shadow(s *Shadow) {
	e.u32(s.ID)
	e.u64(uint64(s.End))
	e.u64(uint64(s.SealedAt))
	e.name(s.Name)
	e.table(s.NextNumber, s.Volumes)
}

func (e *encoder) point(p ident.Point) {
	e.raw(p.Group.UUID[:])
	e.raw(p.Timeline.UUID[:])
	e.u64(uint64(p.End))
	e.raw(p.Digest[:])
}

// states are written in the order of their volume IDs, so that equal states have equal encodings.
func (e *encoder) states(m map[ident.VolumeID]leaf.State) {
	ids := make([]ident.VolumeID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ident.VolumeID) int { return bytes.Compare(a.UUID[:], b.UUID[:]) })
	e.u32(uint32(len(ids)))
	for _, id := range ids {
		e.raw(id.UUID[:])
		st := m[id].Bytes()
		e.raw(st[:])
	}
}

// decoder takes fields; after the first failure it yields zeroes.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.err = fmt.Errorf("%w: a field is missing or out of range", ErrCorrupt) }

func (d *decoder) raw(n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.fail()
	}
	if d.err != nil {
		return make([]byte, n)
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u32() uint32 { return binary.LittleEndian.Uint32(d.raw(4)) }
func (d *decoder) u64() uint64 { return binary.LittleEndian.Uint64(d.raw(8)) }

func (d *decoder) bool() bool {
	v := d.raw(1)[0]
	if v > 1 && d.err == nil {
		d.fail()
	}
	return v == 1
}

// count is the number of entries of a list, none after a failure.
func (d *decoder) count(most uint32) uint32 {
	n := d.u32()
	if n > most && d.err == nil {
		d.fail()
	}
	if d.err != nil {
		return 0
	}
	return n
}

func (d *decoder) volume() Volume {
	v := Volume{Number: d.u32()}
	copy(v.ID.UUID[:], d.raw(16))
	v.Size = int64(d.u64())
	v.BlockSize = int(d.u32())
	v.Name = d.name()
	return v
}

func (d *decoder) name() string { return string(d.raw(int(d.raw(1)[0]))) }

func (d *decoder) table() (next uint32, volumes []Volume) {
	next = d.u32()
	for range d.count(VolumesMax) {
		volumes = append(volumes, d.volume())
	}
	return next, volumes
}

func (d *decoder) shadow() Shadow {
	s := Shadow{ID: d.u32(), End: ident.Seq(d.u64()), SealedAt: int64(d.u64()), Name: d.name()}
	s.NextNumber, s.Volumes = d.table()
	return s
}

func (d *decoder) point() (p ident.Point) {
	copy(p.Group.UUID[:], d.raw(16))
	copy(p.Timeline.UUID[:], d.raw(16))
	p.End = ident.Seq(d.u64())
	copy(p.Digest[:], d.raw(32))
	return p
}

func (d *decoder) states() map[ident.VolumeID]leaf.State {
	m := make(map[ident.VolumeID]leaf.State)
	for range d.count(VolumesMax) {
		var id ident.VolumeID
		copy(id.UUID[:], d.raw(16))
		m[id] = leaf.StateOf([16]byte(d.raw(16)))
	}
	return m
}
