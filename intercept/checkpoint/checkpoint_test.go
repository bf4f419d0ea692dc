package checkpoint

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/internal/spec"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
)

const specFile = "../../docs/format-write-log.md"

// The specification says what the code does.
func TestSpecification(t *testing.T) {
	got, err := spec.Constants(specFile, "checkpoint.")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"Version": Version, "SlotBytes": SlotBytes, "HeaderBytes": HeaderBytes,
		"VolumesMax": VolumesMax, "NameBytesMax": NameBytesMax, "ShadowsMax": ShadowsMax}
	if !maps.Equal(got, want) {
		t.Errorf("the specification says %v, the code %v", got, want)
	}
	layout, err := spec.Layout(specFile, "Slot")
	if err != nil {
		t.Fatal(err)
	}
	for name, off := range map[string]int{"version": offVersion, "CRC-32C": offCRC, "generation": offGeneration,
		"length": offLength, "content": HeaderBytes} {
		if layout[name].Off != off {
			t.Errorf("%s is at %d in the code, specification: %+v", name, off, layout[name])
		}
	}
}

// full is a state with something in every field.
func full() State {
	id := ident.VolumeID{UUID: ident.NewUUID()}
	p := ident.Point{Group: ident.GroupID{UUID: ident.NewUUID()}, Timeline: ident.Timeline{UUID: ident.NewUUID()}, End: 9}
	p.Digest[3] = 7
	next := p
	next.End = 12
	return State{
		Group: p.Group, Timeline: p.Timeline, SegmentBytes: 1 << 20,
		Start:      wal.Start{Pos: 1<<20 + 4096, Seq: 10, Synced: 11, Cuts: []wal.Cut{{Segment: 1, End: 8192, Next: 4, Seq: 11}}},
		NextNumber: 3,
		Volumes:    []Volume{{Number: 2, ID: id, Name: "data", Size: 1 << 30, BlockSize: 512}},
		Committed:  p, States: map[ident.VolumeID]leaf.State{id: {Hi: 1, Lo: 2}},
		Sent: &Sent{First: 10, Point: next}, NextShadow: 5,
		Shadows: []Shadow{{ID: 3, End: 9, NextNumber: 2}, {ID: 4, End: 20, Name: "monday", SealedAt: 7, NextNumber: 3,
			Volumes: []Volume{{Number: 2, ID: id, Name: "data", Size: 4096, BlockSize: 512}}}},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, s := range []State{full(), {SegmentBytes: wal.SegmentBytesMin, States: map[ident.VolumeID]leaf.State{}}} {
		got, err := Decode(s.Encode())
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
		if c := s.Clone(); !reflect.DeepEqual(c.Encode(), s.Encode()) {
			t.Errorf("clone is %+v, want %+v", c, s)
		}
	}
}

// The newer of two slots counts; a damaged one leaves the other; without any the file is refused, a newer version by
// name.
func TestSlots(t *testing.T) {
	fs := vfs.NewMem(1)
	s := full()
	store, err := Create(fs, "/d", &s)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.NextNumber++
		if err := store.Write(&s); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want uint32) {
		t.Helper()
		_, got, err := Open(fs, "/d")
		if err != nil || got.NextNumber != want {
			t.Fatalf("next number %d, %v, want %d", got.NextNumber, err, want)
		}
	}
	corrupt := func(off int64) {
		t.Helper()
		if err := fs.Corrupt("/d/checkpoint", off, 0x40); err != nil {
			t.Fatal(err)
		}
	}
	expect(6)
	corrupt(100) // generation 4 is in slot 0
	expect(5)
	corrupt(SlotBytes + HeaderBytes + 3)
	if _, _, err := Open(fs, "/d"); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("both slots damaged: %v", err)
	}
	corrupt(100)
	expect(6)
	corrupt(SlotBytes + offVersion + 1)
	if _, _, err := Open(fs, "/d"); !errors.Is(err, ErrVersion) {
		t.Fatalf("newer version: %v", err)
	}
}

// States that make no sense are refused.
func TestDecodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*State){
		"segment length": func(s *State) { s.SegmentBytes = 5000 },
		"size":           func(s *State) { s.Volumes[0].Size = -512 },
		"unaligned size": func(s *State) { s.Volumes[0].Size++ },
		"block size":     func(s *State) { s.Volumes[0].BlockSize = 1024 },
		"no name":        func(s *State) { s.Volumes[0].Name = "" },
		"shadows":        func(s *State) { s.Shadows[1].End = 9 },
		"same volume":    func(s *State) { s.Volumes = append(s.Volumes, s.Volumes[0]) },
	} {
		s := full()
		change(&s)
		if _, err := Decode(s.Encode()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := full()
	b := good.Encode()
	for n := range b {
		if _, err := Decode(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := Decode(append(b, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestDump(t *testing.T) {
	fs := vfs.NewMem(1)
	s := full()
	if _, err := Create(fs, "/d", &s); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("/d/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2*SlotBytes)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Dump(&out, b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"slot 0: checkpoint does not check", "slot 1: generation 1", `"data"`, `shadow 4 keeps the state at 20 "monday"`, "sent"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func FuzzDecodeSlot(f *testing.F) {
	fs := vfs.NewMem(1)
	s := full()
	if _, err := Create(fs, "/d", &s); err != nil {
		f.Fatal(err)
	}
	file, err := fs.Open("/d/checkpoint")
	if err != nil {
		f.Fatal(err)
	}
	b := make([]byte, 1024)
	if _, err := file.ReadAt(b, SlotBytes); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = DecodeSlot(b)
		s, err := Decode(b) // without the checksum in the way
		if err == nil && string(s.Encode()) != string(b) && len(s.States) == 0 {
			t.Errorf("%x decodes to %+v, which encodes differently", b, s)
		}
	})
}

func FuzzDecodeVolume(f *testing.F) {
	s := full()
	f.Add(AppendVolume(nil, &s.Volumes[0]))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := DecodeVolume(b); err == nil && string(AppendVolume(nil, &v)) != string(b) {
			t.Errorf("%x decodes to %+v, which encodes differently", b, v)
		}
	})
}
