package meta

import (
	"bytes"
	"errors"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
)

// samples holds one command of each kind.
func samples() []Command {
	return []Command{
		&Init{Cluster: ident.ClusterID{UUID: id(1)}, Replicas: 3, KeepLast: 24},
		&SetNode{Node{Name: "a", ID: "a/1", Address: "a:1"}},
		&RemoveNode{Name: "a"},
		&OpenSession{Group: groupID(1), GroupName: "g", Gateway: id(2), GatewayName: "gw", Takeover: true},
		&Commit{Group: groupID(1), Term: 3, Data: []byte{1, 2, 3}, Acks: []Ack{{"a/1", 9}}, Masks: []uint64{1}},
		&NamePoint{Point: ident.Point{Group: groupID(1), End: 7}, Name: "n"},
		&DeletePoints{Points: []ident.Point{{Group: groupID(1), End: 7}}},
		&Trim{Groups: []TrimGroup{{Group: groupID(1), Delete: []uint64{1, 300}, Release: 5}}},
		&SetRetention{Group: groupID(1), KeepLast: 5},
		&AddDisk{Disk{ID: id(1), Group: groupID(1), Volume: ident.VolumeID{UUID: id(3)}, VolumeName: "v", Node: "a", Kind: "raw", Place: "/x", Policy: "refuse"}},
		&RemoveDisk{ID: id(1)},
		&DropPacks{Packs: []pack.ID{packID(1), packID(2)}},
		&Place{Group: groupID(1), Before: []string{"a"}, After: []string{"b", "c"}},
		&AddPin{Pin{ID: id(7), Point: ident.Point{Group: groupID(1), End: 7}, Owner: "gateway/g", Note: "clone c"}},
		&RemovePin{ID: id(7)},
		&SetRule{Group: groupID(1), Rule: Rule{Last: 3, Hourly: 24, Daily: 7, Weekly: 4, Monthly: 12, Yearly: 300}},
	}
}

func TestEveryKindHasASample(t *testing.T) {
	have := map[Kind]bool{}
	for _, cmd := range samples() {
		have[cmd.Kind()] = true
	}
	for k := range Kind(255) {
		if newCommand(k) != nil && !have[k] {
			t.Errorf("kind %d has no sample", k)
		}
		if cmd := newCommand(k); cmd != nil && cmd.Kind() != k {
			t.Errorf("kind %d makes a %T", k, cmd)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, cmd := range samples() {
		b := Encode(cmd)
		for cut := range b {
			if _, err := Decode(b[:cut]); !errors.Is(err, ErrBadEncoding) {
				t.Errorf("%T cut to %d bytes: %v", cmd, cut, err)
			}
		}
		if _, err := Decode(append(bytes.Clone(b), 0)); !errors.Is(err, ErrBadEncoding) {
			t.Errorf("%T with a byte more: %v", cmd, err)
		}
	}
	for name, b := range map[string][]byte{
		"other version": {Version + 1, byte(KindRemoveNode), 0},
		"unknown kind":  {Version, 200},
		"long varint":   {Version, byte(KindRemoveNode), 0x81, 0x00, 'a'},
		"huge list":     {Version, byte(KindDropPacks), 0xff, 0xff, 0x3f},
	} {
		if _, err := Decode(b); !errors.Is(err, ErrBadEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := New().Apply(1, []byte{9, 9}); !errors.Is(r.Err, ErrBadEncoding) {
		t.Errorf("applying bytes of another version: %v", r.Err)
	}
}

func TestSnapshotRefusesDamage(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1, 1)
	c.commit(1, 1, 2)
	b := snapshotOf(t, c.s)
	for cut := 0; cut < len(b); cut += 7 {
		if _, err := Restore(bytes.NewReader(b[:cut])); !errors.Is(err, ErrBadEncoding) {
			t.Fatalf("snapshot cut to %d of %d bytes: %v", cut, len(b), err)
		}
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if _, err := Restore(bytes.NewReader(bad)); !errors.Is(err, ErrBadEncoding) {
			t.Fatalf("bit of byte %d of %d flipped: %v", i, len(b), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, cmd := range samples() {
		f.Add(Encode(cmd))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cmd, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrBadEncoding) {
				t.Errorf("error is %v", err)
			}
			return
		}
		if !bytes.Equal(Encode(cmd), b) {
			t.Error("not canonical")
		}
		c := newCluster(t, 3)
		c.open(1, 2)
		c.commit(1, 1)
		c.s.Apply(100, b)
		if again := snapshotOf(t, c.s); !bytes.Equal(snapshotOf(t, restored(t, again)), again) {
			t.Error("snapshot is not exact")
		}
	})
}

func FuzzRestore(f *testing.F) {
	c := newCluster(f, 3)
	f.Add(snapshotOf(f, c.s))
	c.open(1, 1)
	c.commit(1, 1)
	f.Add(snapshotOf(f, c.s))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Restore(bytes.NewReader(b))
		if err == nil {
			restored(t, snapshotOf(t, s))
		} else if !errors.Is(err, ErrBadEncoding) {
			t.Errorf("error is %v", err)
		}
	})
}
