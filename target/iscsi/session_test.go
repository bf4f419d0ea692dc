package iscsi_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/memory"
)

// What is written reads back, in every way in which data can travel.
func TestDataPaths(t *testing.T) {
	cases := []struct {
		name string
		opt  initiator.Options
	}{
		{"immediate and unsolicited", initiator.Options{}},
		{"immediate only", initiator.Options{InitialR2T: true}},
		{"unsolicited only", initiator.Options{NoImmediateData: true}},
		{"solicited only", initiator.Options{NoImmediateData: true, InitialR2T: true}},
		{"small bursts", initiator.Options{InitialR2T: true, MaxBurst: 4096, FirstBurst: 512, MaxR2T: 3, MaxRecv: 1024}},
		{"one R2T", initiator.Options{InitialR2T: true, MaxBurst: 8192, MaxR2T: 1}},
		{"digests", initiator.Options{HeaderDigest: true, DataDigest: true}},
		{"digests, solicited", initiator.Options{HeaderDigest: true, DataDigest: true, InitialR2T: true, MaxBurst: 5120}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			addr, dev := newDisk(t, 8*mib, 512)
			s := dial(t, addr, "v", tc.opt)
			if s.Size() != 8*mib || s.BlockSize() != 512 {
				t.Fatalf("capacity %d in blocks of %d", s.Size(), s.BlockSize())
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			for _, n := range []int{512, 4096, 66048, 3 * mib} {
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(rnd.Uint32())
				}
				off := int64(rnd.IntN((8*mib-n)/512)) * 512
				if err := s.WriteAt(p, off, n == 4096); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, n)
				if err := dev.ReadAt(got, off); err != nil || !bytes.Equal(got, p) {
					t.Fatalf("the device does not hold the %d bytes written at %d (%v)", n, off, err)
				}
				clear(got)
				if err := s.ReadAt(got, off); err != nil || !bytes.Equal(got, p) {
					t.Fatalf("%d bytes read at %d differ (%v)", n, off, err)
				}
			}
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := s.Logout(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	targets := new(shelf)
	for i := range 200 {
		targets.with(string(rune('a'+i%26))+"-"+string(bytes.Repeat([]byte("x"), i+1)), memory.New(mib, 512))
	}
	addr, _ := serve(t, targets, iscsi.Options{})
	found, err := initiator.Discover(context.Background(), addr, initiator.Options{MaxRecv: 1024})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 200 {
		t.Fatalf("%d targets found, want 200", len(found))
	}
	for i, f := range found {
		if f.IQN != targets.infos[i].IQN || len(f.Portals) != 1 || f.Portals[0] != addr {
			t.Errorf("target %d is %+v, want %s at %s", i, f, targets.infos[i].IQN, addr)
		}
	}
}
