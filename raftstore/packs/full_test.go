package packs

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// fullDisk is a file system that can be made full: whatever writes or makes a file fails.
func fullDisk(full *atomic.Bool) vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate:
			if full.Load() {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
}

// TestDiskFillsUp puts packs while the disk is full: each is refused as such, what was there stays, nothing piles up,
// and packs are taken again as soon as there is space.
func TestDiskFillsUp(t *testing.T) {
	var full atomic.Bool
	fs := fullDisk(&full)
	s := open(t, fs, Options{segmentBytes: 4096})
	before := makePack(t, "before")
	put(t, s, before)
	full.Store(true)
	for i := range 20 {
		if err := s.Put(makePack(t, fmt.Sprint(i)).ID, makePack(t, fmt.Sprint(i)).Bytes); !errors.Is(err, ErrFull) {
			t.Fatalf("a small pack: %v", err)
		}
	}
	if p := large(t); !errors.Is(s.Put(p.ID, p.Bytes), ErrFull) {
		t.Fatal("a large pack was taken, or refused as something else")
	}
	full.Store(false)
	for i := range 20 {
		put(t, s, makePack(t, fmt.Sprint(i)))
	}
	put(t, s, large(t))
	if names, err := fs.List("packs/landing"); err != nil || len(names) > 4 {
		t.Errorf("files of the log: %v, %v", names, err)
	}
	for range 2 {
		if n, _ := s.Usage(); n != 22 {
			t.Errorf("%d packs", n)
		}
		for _, r := range s.List() {
			if _, err := s.Get(r.ID); err != nil {
				t.Error(err)
			}
		}
		s = open(t, fs, Options{segmentBytes: 4096})
	}
}
