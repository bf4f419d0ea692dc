package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// disk is a file with the calls of a block device.
type disk struct {
	*os.File
	spoil func(off int64) bool // writes to drop
}

func (d disk) WriteAt(p []byte, off int64) (int, error) {
	if d.spoil != nil && d.spoil(off) {
		return len(p), nil
	}
	return d.File.WriteAt(p, off)
}

func (d disk) discard(off, n int64) error { return d.zero(off, n) }

func (d disk) zero(off, n int64) error {
	_, err := d.File.WriteAt(make([]byte, n), off)
	return err
}

const diskBytes = 4 << 20

func newDisk(t *testing.T, spoil func(off int64) bool) disk {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Truncate(diskBytes); err != nil {
		t.Fatal(err)
	}
	return disk{f, spoil}
}

func TestHammerKnowsWhatTheDeviceHolds(t *testing.T) {
	d := newDisk(t, nil)
	workers, err := hammer(d, diskBytes, 0, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workers {
		for range 100 {
			if err := w.any(w.slots[w.rnd.IntN(len(w.slots))], 1, 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	content, err := os.ReadFile(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	line := report(workers, diskBytes)
	if want := fmt.Sprintf("sum=%x", sha256.Sum256(content)); !strings.HasSuffix(line, want) {
		t.Errorf("report %q, want %q at its end", line, want)
	}
	for _, what := range []string{"write=", "read=", "zero=", "discard=", "flush="} {
		if !strings.Contains(line, what) {
			t.Errorf("report %q has no %s", line, what)
		}
	}
}

// A single write that was acknowledged and is not there is found.
func TestHammerFindsALostWrite(t *testing.T) {
	d := newDisk(t, func(off int64) bool { return off == 3*slotBytes })
	if _, err := hammer(d, diskBytes, 0, 2, 1); err == nil || !strings.Contains(err.Error(), "block at 196608") {
		t.Errorf("a lost write gave %v", err)
	}
}
