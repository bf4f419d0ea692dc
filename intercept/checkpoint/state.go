package checkpoint

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/wal"
)

// Version of the format.
const Version = 1

// Limits of what a checkpoint holds.
const (
	VolumesMax   = 256
	ShadowsMax   = 8
	NameBytesMax = 255
	cutsMax      = 4096
)

// Errors of the decoder.
var (
	ErrCorrupt = errors.New("checkpoint does not check")
	ErrVersion = errors.New("checkpoint written by a newer version of weir")
)

// Volume is one entry of the volume table.
type Volume struct {
	Number    uint32 // in log records; never used again
	ID        ident.VolumeID
	Name      string
	Size      int64 // bytes
	BlockSize int   // bytes
}

// Sent is an interval whose commit may have been sent.
type Sent struct {
	First ident.Seq
	Point ident.Point // Point.End is the last sequence
}

// State is what a checkpoint holds.
type State struct {
	Generation   uint64 // grows by one with each write
	Group        ident.GroupID
	Timeline     ident.Timeline
	SegmentBytes int64

	// Start is where the log begins that the base does not hold yet.
	Start wal.Start

	NextNumber uint32   // of the next volume
	Volumes    []Volume // at Start

	Committed ident.Point // zero: nothing yet
	States    map[ident.VolumeID]leaf.State
	Sent      *Sent

	NextShadow uint32   // ID of the next shadow
	Shadows    []Shadow // in the order of their ends, none before Committed
}

// Shadow keeps what the base held at End, where the base has gone on since.
type Shadow struct {
	ID         uint32    // in the names of its files; never used again
	End        ident.Seq // last sequence of the state that it keeps
	Name       string    // of the point there; "" unnamed
	SealedAt   int64     // ns since 1970
	NextNumber uint32    // of the volume table at End
	Volumes    []Volume  // at End
}

// Clone returns a copy that shares nothing.
func (s *State) Clone() State {
	c := *s
	c.Start.Cuts = slices.Clone(s.Start.Cuts)
	c.Volumes = slices.Clone(s.Volumes)
	c.Shadows = slices.Clone(s.Shadows) // what a Shadow refers to never changes
	c.States = make(map[ident.VolumeID]leaf.State, len(s.States))
	for id, st := range s.States {
		c.States[id] = st
	}
	if s.Sent != nil {
		sent := *s.Sent
		c.Sent = &sent
	}
	return c
}

// Encode returns s in the form that Decode reads.
func (s *State) Encode() []byte {
	var e encoder
	e.u64(s.Generation)
	e.raw(s.Group.UUID[:])
	e.raw(s.Timeline.UUID[:])
	e.u64(uint64(s.SegmentBytes))
	e.u64(uint64(s.Start.Pos))
	e.u64(uint64(s.Start.Seq))
	e.u64(uint64(s.Start.Synced))
	e.u32(uint32(len(s.Start.Cuts)))
	for _, c := range s.Start.Cuts {
		e.u64(c.Segment)
		e.u64(uint64(c.End))
		e.u64(c.Next)
		e.u64(uint64(c.Seq))
	}
	e.table(s.NextNumber, s.Volumes)
	e.point(s.Committed)
	e.states(s.States)
	e.bool(s.Sent != nil)
	if s.Sent != nil {
		e.u64(uint64(s.Sent.First))
		e.point(s.Sent.Point)
	}
	e.u32(s.NextShadow)
	e.u32(uint32(len(s.Shadows)))
	for i := range s.Shadows {
		e.shadow(&s.Shadows[i])
	}
	return e.b
}

// Decode reads what Encode wrote.
func Decode(b []byte) (State, error) {
	d := decoder{b: b}
	var s State
	s.Generation = d.u64()
	copy(s.Group.UUID[:], d.raw(16))
	copy(s.Timeline.UUID[:], d.raw(16))
	s.SegmentBytes = int64(d.u64())
	s.Start.Pos = wal.Pos(d.u64())
	s.Start.Seq = ident.Seq(d.u64())
	s.Start.Synced = ident.Seq(d.u64())
	for range d.count(cutsMax) {
		s.Start.Cuts = append(s.Start.Cuts, wal.Cut{Segment: d.u64(), End: int64(d.u64()), Next: d.u64(),
			Seq: ident.Seq(d.u64())})
	}
	s.NextNumber, s.Volumes = d.table()
	s.Committed = d.point()
	s.States = d.states()
	if d.bool() {
		s.Sent = &Sent{First: ident.Seq(d.u64()), Point: d.point()}
	}
	s.NextShadow = d.u32()
	for range d.count(ShadowsMax) {
		s.Shadows = append(s.Shadows, d.shadow())
	}
	return s, d.finish(&s)
}

// finish reports what was wrong with the encoding of s.
func (d *decoder) finish(s *State) error {
	switch {
	case d.err != nil:
		return d.err
	case len(d.b) != 0:
		return fmt.Errorf("%w: %d bytes too many", ErrCorrupt, len(d.b))
	case s.SegmentBytes < wal.SegmentBytesMin || s.SegmentBytes%wal.PageBytes != 0:
		return fmt.Errorf("%w: segments of %d bytes", ErrCorrupt, s.SegmentBytes)
	}
	for i := range s.Shadows {
		if err := checkTable(s.Shadows[i].Volumes); err != nil {
			return err
		}
		if i > 0 && s.Shadows[i-1].End >= s.Shadows[i].End {
			return fmt.Errorf("%w: shadows out of order", ErrCorrupt)
		}
	}
	return checkTable(s.Volumes)
}

// checkTable reports whether a volume table makes sense.
func checkTable(volumes []Volume) error {
	for i := range volumes {
		if err := volumes[i].check(); err != nil {
			return err
		}
		for j := range i {
			if volumes[j].Number == volumes[i].Number || volumes[j].Name == volumes[i].Name {
				return fmt.Errorf("%w: volume %q is there twice", ErrCorrupt, volumes[i].Name)
			}
		}
	}
	return nil
}

// check reports whether the fields of v make sense.
func (v *Volume) check() error {
	if v.Size < 0 || v.BlockSize != 512 && v.BlockSize != 4096 || v.Size%int64(v.BlockSize) != 0 || v.Name == "" {
		return fmt.Errorf("%w: volume %q of %d bytes in blocks of %d", ErrCorrupt, v.Name, v.Size, v.BlockSize)
	}
	return nil
}

// AppendVolume appends the encoding of v, as the log's table records hold it.
func AppendVolume(dst []byte, v *Volume) []byte {
	e := encoder{b: dst}
	e.volume(v)
	return e.b
}

// DecodeVolume reads what AppendVolume wrote, to the end of b.
func DecodeVolume(b []byte) (Volume, error) {
	d := decoder{b: b}
	v := d.volume()
	if d.err == nil && len(d.b) != 0 {
		d.fail()
	}
	if d.err != nil {
		return Volume{}, d.err
	}
	return v, v.check()
}
