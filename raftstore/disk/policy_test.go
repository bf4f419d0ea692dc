package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/target"
)

// tamper changes blocks of the disk behind its back.
func (r *rig) tamper(blocks ...int) {
	for _, b := range blocks {
		r.p.content[b*leaf.BlockSize+7] ^= 0x55
	}
}

// TestConflict is G7: a disk that was written to is noticed before a delta builds on it.
func TestConflict(t *testing.T) {
	for _, policy := range []Policy{Refuse, Resync, Overwrite} {
		t.Run(string(policy), func(t *testing.T) {
			h := newHistory(1)
			mem := vfs.NewMem()
			p := newPlatter()
			p.created = true
			r := newRig(t, h, p, mem, policy)
			base := h.add(bytes.Repeat([]byte{1}, 64<<10))
			r.follow()
			r.shows(base)
			r.tamper(3, 4, 9)
			next := bytes.Clone(base.content)
			copy(next[3*leaf.BlockSize:], bytes.Repeat([]byte{2}, 2*leaf.BlockSize))
			last := h.add(next)
			if policy != Refuse {
				r.follow()
				r.shows(last)
				checkSaved(t, mem, policy, p)
				return
			}
			before := bytes.Clone(p.content)
			r.refuses(ErrConflict)
			want := []target.Extent{{Off: 3 * leaf.BlockSize, Len: 2 * leaf.BlockSize}}
			if s := r.Status(); s.State != Conflict || len(s.Conflicts) != 1 || s.Conflicts[0] != want[0] || s.Point != base.point {
				t.Fatalf("status %+v", s)
			}
			if !bytes.Equal(before, p.content) {
				t.Fatal("a disk in conflict was changed")
			}
			r.close()
			r.open()
			r.refuses(ErrConflict) // it is remembered
			if s := r.Status(); len(s.Conflicts) != 1 || s.Conflicts[0] != want[0] {
				t.Fatalf("status after a restart %+v", s)
			}
			r.close()
			r.spec.Policy = Resync
			r.open()
			r.follow()
			r.shows(last)
		})
	}
}

// checkSaved checks that overwrite, and only overwrite, has kept what it replaced.
func checkSaved(t *testing.T, mem *vfs.MemFS, policy Policy, _ *platter) {
	t.Helper()
	names, err := mem.List("/")
	if err != nil {
		t.Fatal(err)
	}
	var saved string
	for _, n := range names {
		if strings.HasPrefix(n, "disk.weir-saved-") {
			saved = n
		}
	}
	if (saved != "") != (policy == Overwrite) {
		t.Fatalf("policy %s leaves %v", policy, names)
	}
	if saved == "" {
		return
	}
	b, err := durable.ReadFile(mem, saved, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64][]byte{}
	for at := savedHeadBytes; at < len(b); {
		first, count := binary.LittleEndian.Uint64(b[at:]), binary.LittleEndian.Uint64(b[at+8:])
		data := b[at+savedRunBytes : at+savedRunBytes+int(count)*leaf.BlockSize]
		if sum := crc32.Update(crc32.Checksum(b[at:at+16], castagnoli), castagnoli, data); sum != binary.LittleEndian.Uint32(b[at+16:]) {
			t.Fatalf("checksum of the run at %d", at)
		}
		for i := range count {
			got[first+i] = data[i*leaf.BlockSize : (i+1)*leaf.BlockSize]
		}
		at += savedRunBytes + len(data)
	}
	for _, block := range []uint64{3, 4, 9} {
		want := bytes.Repeat([]byte{1}, leaf.BlockSize)
		want[7] ^= 0x55
		if !bytes.Equal(got[block], want) {
			t.Errorf("block %d is not saved", block)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d blocks are saved", len(got))
	}
}

func TestAdopt(t *testing.T) {
	full := bytes.Repeat([]byte{7}, 40<<10)
	for _, c := range []struct {
		name    string
		created bool
		content []byte
		policy  Policy
		want    error
	}{
		{"new", true, nil, Refuse, nil},
		{"empty", false, nil, Refuse, nil},
		{"zeroes", false, make([]byte, 300<<10), Refuse, nil},
		{"content", false, full, Refuse, ErrConflict},
		{"content, resync", false, full, Resync, nil},
		{"content, overwrite", false, full, Overwrite, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistory(2)
			m := h.add(h.mutated(make([]byte, 300<<10), false))
			p := newPlatter()
			p.created, p.content = c.created, bytes.Clone(c.content)
			r := newRig(t, h, p, vfs.NewMem(), c.policy)
			if c.want == nil {
				r.follow()
				r.shows(m)
				return
			}
			r.refuses(c.want)
			if !bytes.Equal(p.content, c.content) {
				t.Error("the disk was changed")
			}
			if s := r.Status(); len(s.Conflicts) != 1 || s.Conflicts[0] != (target.Extent{Len: 40 << 10}) {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestSkipsToTheNewest(t *testing.T) {
	h := newHistory(6)
	p := newPlatter()
	p.created = true
	r := newRig(t, h, p, vfs.NewMem(), Refuse)
	content := make([]byte, 90<<10)
	for range 3 {
		content = h.mutated(content, true)
		h.add(content)
	}
	r.follow()
	for range 5 {
		content = h.mutated(content, true)
		h.add(content)
	}
	r.follow()
	r.shows(h.points[7])
}

func TestShownPointIsGone(t *testing.T) {
	for policy, want := range map[Policy]error{Refuse: ErrConflict, Resync: nil} {
		h := newHistory(7)
		p := newPlatter()
		p.created = true
		r := newRig(t, h, p, vfs.NewMem(), policy)
		h.add(h.mutated(make([]byte, 90<<10), false))
		r.follow()
		h.points[0].gone = true
		m := h.add(h.mutated(h.points[0].content, false))
		if want != nil {
			r.refuses(want)
			continue
		}
		r.follow()
		r.shows(m)
	}
}

func TestVerifyNamesDifferences(t *testing.T) {
	h := newHistory(8)
	p := newPlatter()
	p.created = true
	r := newRig(t, h, p, vfs.NewMem(), Refuse)
	if _, err := r.Verify(context.Background(), h); err == nil {
		t.Error("a disk without a point was verified")
	}
	h.add(bytes.Repeat([]byte{3}, 40<<10+512))
	r.follow()
	r.tamper(2, 3, 10)
	rep, err := r.Verify(context.Background(), h)
	want := []target.Extent{{Off: 8192, Len: 8192}, {Off: 40960, Len: 512}}
	if err != nil || rep.Blocks != 11 || rep.Differing != 3 || rep.StateMatch() || len(rep.Differences) != 2 ||
		rep.Differences[0] != want[0] || rep.Differences[1] != want[1] {
		t.Fatalf("report %+v, %v", rep, err)
	}
	newest, err := h.Newest()
	if err != nil || rep.StateWant != newest.State() || rep.StateGot == (leaf.State{}) {
		t.Errorf("state hashes %v and %v, commit says %v, %v", rep.StateWant, rep.StateGot, newest.State(), err)
	}
}

func TestOneUser(t *testing.T) {
	h := newHistory(9)
	p := newPlatter()
	p.created = true
	r := newRig(t, h, p, vfs.NewMem(), Refuse)
	h.add(make([]byte, 8192))
	r.follow()
	other := newRig(t, h, p, r.fs, Refuse)
	other.refuses(ErrBusy)
	if s := other.Status(); s.State != Failed || !errors.Is(s.Err, ErrBusy) {
		t.Errorf("status %+v", s)
	}
	r.close()
	other.follow()
}

func TestForeignSidecar(t *testing.T) {
	h, other := newHistory(10), newHistory(11)
	p := newPlatter()
	p.created = true
	r := newRig(t, h, p, vfs.NewMem(), Refuse)
	h.add(make([]byte, 8192))
	r.follow()
	r.close()
	other.add(make([]byte, 8192))
	newRig(t, other, p, r.fs, Resync).refuses(ErrConflict)
}

func TestDamagedSidecar(t *testing.T) {
	h := newHistory(12)
	mem := vfs.NewMem()
	p := newPlatter()
	p.created = true
	r := newRig(t, h, p, mem, Refuse)
	h.add(make([]byte, 8192))
	r.follow()
	r.close()
	b, err := durable.ReadFile(mem, "disk.weir", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	b[30] ^= 1
	if err := durable.WriteFile(mem, "disk.weir", "temp", b); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.refuses(ErrSidecar)
}

func TestSpecs(t *testing.T) {
	good := Spec{ID: newHistory(0).group.UUID, Group: newHistory(0).group, Volume: newHistory(0).volume, Kind: Raw, Place: "x"}
	if err := good.Valid(); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*Spec){
		"kind":   func(s *Spec) { s.Kind = "tape" },
		"place":  func(s *Spec) { s.Place = "" },
		"policy": func(s *Spec) { s.Policy = "hope" },
		"group":  func(s *Spec) { s.Group.UUID = [16]byte{} },
	} {
		s := good
		f(&s)
		if _, err := New(s, Options{}); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
