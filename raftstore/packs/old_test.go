package packs

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

var writeGolden = flag.Bool("write-golden", false, "write the files of testdata anew")

// TestFolderWithoutLog opens a folder as it was before there was a landing log: a file for every pack.
func TestFolderWithoutLog(t *testing.T) {
	fs := vfs.NewMem()
	packs := []pack.Pack{makePack(t, "small"), makePack(t, "damaged"), large(t)}
	for _, p := range packs {
		dir := "packs/" + p.ID.String()[2:4]
		if err := durable.MkdirAll(fs, dir); err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFile(fs, dir+"/"+p.ID.String(), "temp", p.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, fs, Options{})
	spoil(t, s, packs[1].ID, func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) })
	if _, err := s.Get(packs[1].ID); err == nil {
		t.Fatal("a damaged pack was read")
	}
	for range 2 {
		for _, p := range packs {
			put(t, s, p)
			if b, err := s.Get(p.ID); err != nil || !bytes.Equal(b, p.Bytes) {
				t.Fatal(err)
			}
		}
		if n, _ := s.Usage(); n != len(packs) {
			t.Fatalf("%d packs", n)
		}
		s = open(t, fs, Options{})
	}
	for _, p := range packs {
		remove(t, s, p.ID)
		if _, err := fs.Stat(s.file(p.ID)); err == nil {
			t.Errorf("the file of %s is still there", p.ID)
		}
	}
	if n, size := s.Usage(); n != 0 || size != 0 {
		t.Errorf("usage %d, %d", n, size)
	}
}

// TestGoldenSegment reads a segment of the landing log that version 1 of the format wrote.
func TestGoldenSegment(t *testing.T) {
	stays, gone := makePack(t, "stays"), makePack(t, "gone")
	h := segmentHead{no: 1, incarnation: 0x0123456789abcdef}
	b := h.append(nil)
	for _, p := range []pack.Pack{stays, gone} {
		b = appendRecord(b, h.seed(), record{kind: recordPack, id: p.ID, synced: uint32(len(b))}, p.Bytes)
	}
	b = appendRecord(b, h.seed(), record{kind: recordDeleted, id: gone.ID, synced: uint32(len(b))}, nil)
	name := filepath.Join("testdata", "00000001.land")
	if *writeGolden {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, b) {
		t.Error("this build writes other bytes than version 1 did")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "landing"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "landing", "00000001.land"), golden, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Has(gone.ID) {
		t.Error("what was deleted is there")
	}
	if b, err := s.Get(stays.ID); err != nil || !bytes.Equal(b, stays.Bytes) {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
