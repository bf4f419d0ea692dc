package replicate

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

// The first byte of an encoded commit. Version 2 has, behind each volume, a byte that is 1 when the volume is partial; a
// commit without such a volume has version 1, so that older nodes read it.
const (
	commitVersion        = 1
	commitVersionPartial = 2
)

// Encode returns the canonical encoding: a version byte, then the fields in the order of the struct. IDs and digests
// are raw bytes, numbers are varints of encoding/binary, strings and lists are preceded by their length.
func (c *Commit) Encode() []byte {
	b := make([]byte, 0, 160+len(c.Packs)*37+len(c.Volumes)*128)
	version := byte(commitVersion)
	if c.partial() {
		version = commitVersionPartial
	}
	b = append(b, version)
	b = append(b, c.Group.UUID[:]...)
	b = append(b, c.Timeline.UUID[:]...)
	b = appendPoint(b, c.Previous)
	b = binary.AppendUvarint(b, uint64(c.First))
	b = binary.AppendUvarint(b, uint64(c.End))
	b = binary.AppendVarint(b, c.Time)
	b = appendString(b, c.Name)
	b = binary.AppendUvarint(b, uint64(len(c.Packs)))
	for _, p := range c.Packs {
		b = append(b, p.ID[:]...)
		b = binary.AppendUvarint(b, uint64(p.Size))
	}
	b = binary.AppendUvarint(b, uint64(len(c.Volumes)))
	for _, v := range c.Volumes {
		b = appendVolumeState(b, v)
		switch {
		case v.Partial:
			b = append(b, 1)
		case version == commitVersionPartial:
			b = append(b, 0)
		}
	}
	return b
}

func appendVolumeState(b []byte, v VolumeState) []byte {
	b = append(b, v.Volume.UUID[:]...)
	b = appendString(b, v.Name)
	b = binary.AppendUvarint(b, uint64(v.Size))
	b = binary.AppendUvarint(b, uint64(v.BlockSize))
	state := v.State.Bytes()
	b = append(b, state[:]...)
	for _, n := range v.Counts {
		b = binary.AppendUvarint(b, n.Chunks)
		b = binary.AppendUvarint(b, n.HostBytes)
		b = binary.AppendUvarint(b, n.WireBytes)
		b = binary.AppendUvarint(b, n.ShareBytes)
	}
	return b
}

func appendPoint(b []byte, p ident.Point) []byte {
	if p.IsZero() {
		return append(b, 0)
	}
	b = append(b, 1)
	b = append(b, p.Group.UUID[:]...)
	b = append(b, p.Timeline.UUID[:]...)
	b = binary.AppendUvarint(b, uint64(p.End))
	return append(b, p.Digest[:]...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// DecodeCommit reads what Encode wrote. It refuses with ErrBadCommit whatever is not the canonical encoding of a valid
// commit, so that equal digests mean equal commits. The result does not alias b.
func DecodeCommit(b []byte) (*Commit, error) {
	d := &commitReader{b: b}
	version := d.bytes(1)[0]
	if d.err == nil && version != commitVersion && version != commitVersionPartial {
		return nil, fmt.Errorf("%w: version %d, this build reads %d", ErrBadCommit, version, commitVersionPartial)
	}
	c := &Commit{}
	copy(c.Group.UUID[:], d.bytes(16))
	copy(c.Timeline.UUID[:], d.bytes(16))
	c.Previous = d.point()
	c.First = ident.Seq(d.uvarint())
	c.End = ident.Seq(d.uvarint())
	c.Time = d.varint()
	c.Name = d.string()
	for n := d.count(MaxPacks, len(pack.ID{})+1); n > 0 && d.err == nil; n-- {
		var p pack.Ref
		copy(p.ID[:], d.bytes(len(p.ID)))
		p.Size = uint32(d.below(pack.MaxBytes + 1))
		c.Packs = append(c.Packs, p)
	}
	for n := d.count(MaxVolumes, 16); n > 0 && d.err == nil; n-- {
		v := d.volumeState()
		v.Partial = version == commitVersionPartial && d.bytes(1)[0] != 0
		c.Volumes = append(c.Volumes, v)
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := c.valid(); err != nil {
		return nil, err
	}
	if !bytes.Equal(c.Encode(), b) {
		return nil, fmt.Errorf("%w: encoding is not canonical", ErrBadCommit)
	}
	return c, nil
}

// commitReader takes fields off b; after the first error it yields zero values.
type commitReader struct {
	b   []byte
	err error
}

func (d *commitReader) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s with %d bytes left", ErrBadCommit, what, len(d.b))
	}
}

func (d *commitReader) bytes(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.fail("cut off")
		return make([]byte, n)
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *commitReader) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.err != nil || n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *commitReader) varint() int64 {
	v, n := binary.Varint(d.b)
	if d.err != nil || n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *commitReader) below(limit uint64) uint64 {
	v := d.uvarint()
	if v >= limit {
		d.fail("number too large")
		return 0
	}
	return v
}

// count reads the length of a list whose items have at least itemBytes each.
func (d *commitReader) count(limit, itemBytes int) int {
	n := d.below(uint64(limit) + 1)
	if n*uint64(itemBytes) > uint64(len(d.b)) {
		d.fail("list longer than the commit")
		return 0
	}
	return int(n)
}

func (d *commitReader) string() string { return string(d.bytes(int(d.below(MaxNameSize + 1)))) }

func (d *commitReader) point() ident.Point {
	var p ident.Point
	switch d.bytes(1)[0] {
	case 0:
		return p
	case 1:
	default:
		d.fail("bad point")
	}
	copy(p.Group.UUID[:], d.bytes(16))
	copy(p.Timeline.UUID[:], d.bytes(16))
	p.End = ident.Seq(d.uvarint())
	copy(p.Digest[:], d.bytes(len(p.Digest)))
	return p
}

func (d *commitReader) volumeState() VolumeState {
	var v VolumeState
	copy(v.Volume.UUID[:], d.bytes(16))
	v.Name = d.string()
	v.Size = int64(d.below(1 << 62))
	v.BlockSize = int(d.below(1 << 16))
	v.State = leaf.StateOf([16]byte(d.bytes(16)))
	for i := range v.Counts {
		n := &v.Counts[i]
		n.Chunks, n.HostBytes = d.uvarint(), d.uvarint()
		n.WireBytes, n.ShareBytes = d.uvarint(), d.uvarint()
	}
	return v
}
