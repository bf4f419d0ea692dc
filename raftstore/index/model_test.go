package index

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/storepack"
	"pgregory.net/rapid"
)

// at is a slot of a volume.
type at struct {
	volume uint32
	slot   uint64
}

// model is a DB beside maps that hold every kept point in full.
type model struct {
	t      *rapid.T
	fs     *vfs.MemFS
	db     *DB
	group  ident.GroupID
	number uint64
	points map[uint64]map[at]Slot
	ids    map[uint64]*Point
	order  []uint64 // kept, ascending
	frames uint32
}

func openDB(t interface {
	Fatal(...any)
	Helper()
}, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open("index", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) newest() map[at]Slot {
	if len(m.order) == 0 {
		return nil
	}
	return m.points[m.order[len(m.order)-1]]
}

// change returns a slot with some blocks rewritten or zeroed.
func (m *model) change(s Slot) Slot {
	m.frames++
	ref := storepack.Ref{Pack: 1 + m.frames/5, At: 16 + m.frames, Len: 100}
	mask := rapid.Uint16Min(1).Draw(m.t, "blocks")
	n := uint8(0)
	for i := range s {
		switch {
		case mask>>i&1 == 0:
		case rapid.IntRange(0, 4).Draw(m.t, "zero") == 0:
			s[i] = Block{}
		default:
			s[i] = Block{Leaf: leaf.Leaf(rapid.Uint64Min(1).Draw(m.t, "leaf")), Loc: Loc{Ref: ref, Block: n},
				Class: classify.LargeData}
			n++
		}
	}
	return s
}

// intake writes a point with random slots, in one or two parts, and commits or aborts it.
func (m *model) intake(commit bool) {
	m.number++
	k, err := m.db.Begin(m.group, m.number)
	m.must(err)
	older := m.newest()
	now := maps.Clone(older)
	if now == nil {
		now = map[at]Slot{}
	}
	for part := range rapid.IntRange(1, 3).Draw(m.t, "parts") {
		seen := map[at]bool{}
		for range rapid.IntRange(0, 6).Draw(m.t, "slots") {
			a := at{uint32(rapid.IntRange(1, 2).Draw(m.t, "volume")), rapid.Uint64Range(0, 7).Draw(m.t, "slot")}
			if seen[a] {
				continue
			}
			seen[a] = true
			before, was := older[a], now[a]
			next := m.change(was)
			var own *Slot
			if part > 0 && m.wrote(a) {
				own = &was
			}
			m.must(k.PutSlot(a.volume, a.slot, &before, own, &next))
			now[a] = next
		}
		if rapid.Bool().Draw(m.t, "flush") || part > 0 {
			m.must(k.Flush())
		} else {
			break
		}
	}
	if !commit {
		m.must(k.Abort())
		return
	}
	p := &Point{Point: ident.Point{Group: m.group, Timeline: ident.Timeline{UUID: ident.UUID{1}}, End: ident.Seq(m.number)},
		Number: m.number, Volumes: []Volume{{ID: ident.VolumeID{UUID: ident.UUID{1}}, Number: 1, Size: 1 << 20},
			{ID: ident.VolumeID{UUID: ident.UUID{2}}, Number: 2, Size: 1 << 20}}}
	m.must(k.Commit(p))
	m.points[m.number], m.ids[m.number] = now, p
	m.order = append(m.order, m.number)
}

// wrote reports whether the unfinished point has flushed an entry for the slot.
func (m *model) wrote(a at) bool {
	r, err := m.db.NewReader()
	m.must(err)
	var s Slot
	number, err := r.Lookup(a.volume, a.slot, m.number, &s)
	m.must(errors.Join(err, r.Close()))
	return number == m.number
}

func (m *model) forget() {
	if len(m.order) < 2 {
		return
	}
	i := rapid.IntRange(0, len(m.order)-2).Draw(m.t, "which")
	n := m.order[i]
	hidden := false
	m.must(m.db.Forget(m.group, n, func() {
		hidden = true
		if _, err := m.db.Lookup(m.ids[n].Point); !errors.Is(err, ErrNoPoint) {
			m.t.Fatalf("a point being forgotten is found: %v", err)
		}
	}))
	if !hidden {
		m.t.Fatal("Forget did not call back")
	}
	m.order = slices.Delete(m.order, i, i+1)
	delete(m.points, n)
}

// check compares every kept point, the lists of changed slots, and the counts of every pack.
func (m *model) check() {
	r, err := m.db.NewReader()
	m.must(err)
	for _, n := range m.order {
		for volume := uint32(1); volume <= 2; volume++ {
			for slot := range uint64(8) {
				var got Slot
				_, err := r.Lookup(volume, slot, n, &got)
				m.must(err)
				if want := m.points[n][at{volume, slot}]; got != want {
					m.t.Fatalf("point %d, volume %d, slot %d: got %+v, want %+v", n, volume, slot, got, want)
				}
			}
			m.checkNext(r, volume, n)
		}
	}
	m.must(r.Close())
	for i := range m.order {
		for j := i + 1; j < len(m.order); j++ {
			m.checkChanged(m.order[i], m.order[j])
		}
	}
	m.checkUsage()
}

func (m *model) checkNext(r *Reader, volume uint32, n uint64) {
	found := map[uint64]bool{}
	var s Slot
	slot, ok, err := r.Next(volume, 0, n, &s)
	for ; ok && err == nil; slot, ok, err = r.Next(volume, slot+1, n, &s) {
		found[slot] = true
		if s != m.points[n][at{volume, slot}] {
			m.t.Fatalf("point %d: Next finds another slot %d of volume %d", n, slot, volume)
		}
	}
	m.must(err)
	for a, s := range m.points[n] {
		if a.volume == volume && s != (Slot{}) && !found[a.slot] {
			m.t.Fatalf("point %d: Next does not find slot %d of volume %d", n, a.slot, volume)
		}
	}
}

func (m *model) checkChanged(from, to uint64) {
	for volume := uint32(1); volume <= 2; volume++ {
		set, err := m.db.Changed(volume, from, to)
		m.must(err)
		for slot := range uint64(8) {
			a := at{volume, slot}
			if m.points[from][a] != m.points[to][a] && !set.Contains(slot) {
				m.t.Fatalf("slot %d of volume %d differs between %d and %d and is not listed", slot, volume, from, to)
			}
		}
	}
}

// checkUsage counts again, from all entries, where each block's places begin in its history.
func (m *model) checkUsage() {
	want := map[uint32]int64{}
	var last []byte
	var newer Slot
	m.must(m.db.scan([]byte{keySlot}, func(k, v []byte) error {
		var s Slot
		if err := decodeSlot(v, &s); err != nil {
			return err
		}
		if string(last) != string(k[:slotPrefixBytes]) {
			newer = Slot{}
		}
		for i := range s {
			if s[i].Loc != (Loc{}) && s[i].Loc != newer[i].Loc {
				want[s[i].Loc.Pack]++
			}
		}
		last, newer = append(last[:0], k[:slotPrefixBytes]...), s
		return nil
	}))
	got := m.db.Usage()
	for no, u := range got {
		if u.Live != want[no] || u.Total < u.Live {
			m.t.Fatalf("pack %d: %+v, counted %d", no, u, want[no])
		}
		delete(want, no)
	}
	for no, n := range want {
		if n != 0 {
			m.t.Fatalf("pack %d has %d live blocks and no counts", no, n)
		}
	}
}

func (m *model) reopen() {
	m.must(m.db.Close())
	m.db = openDB(m.t, m.fs)
}

// TestModel runs random points, forgetting and reopening against maps.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, fs: vfs.NewMem(), group: ident.GroupID{UUID: ident.UUID{9}}, points: map[uint64]map[at]Slot{},
			ids: map[uint64]*Point{}}
		m.db = openDB(t, m.fs)
		defer func() { _ = m.db.Close() }()
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				m.intake(false)
				m.number--
			case 1:
				m.reopen()
			case 2, 3, 4:
				m.forget()
			default:
				m.intake(true)
			}
		}
		m.check()
	})
}

func TestPoints(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	g := ident.GroupID{UUID: ident.NewUUID()}
	if _, err := db.Newest(g); !errors.Is(err, ErrNoPoint) {
		t.Fatal(err)
	}
	var all []*Point
	for n := uint64(1); n <= 5; n++ {
		k, err := db.Begin(g, n)
		if err != nil {
			t.Fatal(err)
		}
		p := samplePoint()
		p.Group, p.Number = g, n
		if err := k.Commit(p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := db.Forget(g, 5, nil); err == nil {
		t.Error("the newest point was forgotten")
	}
	if err := db.Forget(g, 99, nil); !errors.Is(err, ErrNoPoint) {
		t.Errorf("forget what is not there: %v", err)
	}
	if err := db.Forget(g, 2, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, fs)
	defer db.Close()
	for _, p := range all {
		got, err := db.Lookup(p.Point)
		if p.Number == 2 {
			if !errors.Is(err, ErrNoPoint) {
				t.Errorf("a forgotten point: %v", err)
			}
			continue
		}
		if err != nil || string(EncodePoint(got)) != string(EncodePoint(p)) {
			t.Errorf("point %d: %+v, %v", p.Number, got, err)
		}
	}
	groups, err := db.Groups()
	if err != nil || !slices.Equal(groups, []ident.GroupID{g}) {
		t.Errorf("groups %v, %v", groups, err)
	}
	var numbers []uint64
	if err := db.Numbers(g, func(n uint64, _ bool) error { numbers = append(numbers, n); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(numbers, []uint64{1, 3, 4, 5}) {
		t.Errorf("numbers %v", numbers)
	}
	for range 3 {
		if err := db.ForgetLast(g, numbers[len(numbers)-1], nil); err != nil {
			t.Fatal(err)
		}
		numbers = numbers[:len(numbers)-1]
	}
	if p, err := db.Newest(g); err != nil || p.Number != 1 {
		t.Errorf("newest %+v, %v", p, err)
	}
}

func TestVolumeNumbersAreNotReused(t *testing.T) {
	fs := vfs.NewMem()
	seen := map[uint32]bool{}
	for range 3 {
		db := openDB(t, fs)
		for range volumeLease + 5 {
			n, err := db.NewVolume()
			if err != nil || seen[n] || n == 0 {
				t.Fatalf("number %d, %v", n, err)
			}
			seen[n] = true
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVersion(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	v := binary.LittleEndian.AppendUint32(nil, FormatVersion+1)
	if err := db.db.Set([]byte{keyFormat}, append(v, 0, 0, 0, 0), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("index", Options{FS: fs}); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

func TestKeys(t *testing.T) {
	k := appendSlotKey(nil, 7, 1<<40, 12)
	v, s, n, err := parseSlotKey(k)
	if err != nil || v != 7 || s != 1<<40 || n != 12 {
		t.Errorf("%d %d %d %v", v, s, n, err)
	}
	if comparer.Split(k) != slotPrefixBytes {
		t.Errorf("prefix of %d bytes", comparer.Split(k))
	}
	if string(appendSlotKey(nil, 7, 1, 12)) > string(appendSlotKey(nil, 7, 1, 11)) {
		t.Error("newer entries do not come first")
	}
	if after([]byte{1, 255}) == nil || string(after([]byte{1, 255})) != "\x02" || after([]byte{255}) != nil {
		t.Error("after is wrong")
	}
	if _, _, _, err := parseSlotKey([]byte("x")); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
