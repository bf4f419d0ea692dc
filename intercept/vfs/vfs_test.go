package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// each runs test for both implementations.
func each(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) { test(t, NewMem(1), "/dir") })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFileOperations(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "f")
		f, err := fsys.Create(name)
		must(t, err)
		defer f.Close()
		if _, err := fsys.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("creating twice: %v", err)
		}
		if _, err := fsys.Open(name + "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening what is not there: %v", err)
		}
		must(t, f.Allocate(0, 8192))
		must(t, f.WritevAt([][]byte{[]byte("ab"), nil, []byte("cde")}, 4094))
		must(t, f.Datasync())
		got := [][]byte{make([]byte, 3), make([]byte, 4)}
		must(t, f.ReadvAt(got, 4093))
		if want := "\x00ab" + "cde\x00"; string(got[0])+string(got[1]) != want {
			t.Errorf("read %q, want %q", got, want)
		}
		must(t, f.Punch(4095, 2))
		f.StartWriteback(0, 8192)
		f.Drop(0, 0)
		p := make([]byte, 5)
		if _, err := f.ReadAt(p, 4094); err != nil || string(p) != "a\x00\x00de" {
			t.Errorf("after punching: %q, %v", p, err)
		}
		if off, err := f.NextData(4094); err != nil || off != 4094 {
			t.Errorf("data from 4094 on: %d, %v", off, err)
		}
		must(t, f.Truncate(10_000))
		if n, err := f.Size(); err != nil || n != 10_000 {
			t.Errorf("size %d, %v", n, err)
		}
		if err := f.ReadvAt([][]byte{make([]byte, 10)}, 9995); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("vector behind the end: %v", err)
		}
		if n, err := f.ReadAt(make([]byte, 10), 9995); n != 5 || err != io.EOF {
			t.Errorf("read behind the end: %d, %v", n, err)
		}
		r, err := fsys.OpenDirect(name)
		must(t, err)
		defer r.Close()
		b := AlignedBuffer(DirectAlign)
		if _, err := r.ReadAt(b, 4096); err != nil || !bytes.Equal(b[:3], []byte("\x00de")) {
			t.Errorf("direct read: %q, %v", b[:3], err)
		}
	})
}

// A vector longer than one call of the kernel takes arrives whole.
func TestLongVector(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		f, err := fsys.Create(filepath.Join(dir, "f"))
		must(t, err)
		defer f.Close()
		var bufs [][]byte
		var want []byte
		for i := range 2500 {
			bufs = append(bufs, []byte{byte(i), byte(i >> 8)})
			want = append(want, byte(i), byte(i>>8))
		}
		must(t, f.WritevAt(bufs, 3))
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 3); err != nil || !bytes.Equal(got, want) {
			t.Errorf("content differs, %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(dir))
		f, err := fsys.Create(filepath.Join(dir, "a"))
		must(t, err)
		f.Close()
		must(t, fsys.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
		must(t, fsys.SyncDir(dir))
		names, err := fsys.List(dir)
		if err != nil || len(names) != 1 || names[0] != "b" {
			t.Errorf("names %v, %v", names, err)
		}
		must(t, fsys.Remove(filepath.Join(dir, "b")))
		if err := fsys.Remove(filepath.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing twice: %v", err)
		}
		l, err := fsys.Lock(filepath.Join(dir, "LOCK"))
		must(t, err)
		if _, err := fsys.Lock(filepath.Join(dir, "LOCK")); !errors.Is(err, ErrLocked) {
			t.Errorf("locking twice: %v", err)
		}
		must(t, l.Close())
		l, err = fsys.Lock(filepath.Join(dir, "LOCK"))
		must(t, err)
		must(t, l.Close())
	})
}

// What was synced survives; what was not may be there or not, sector by sector.
func TestMemPowerLoss(t *testing.T) {
	kept, lost, torn := 0, 0, 0
	for seed := range uint64(200) {
		m := NewMem(seed)
		f, err := m.Create("/d/f")
		must(t, err)
		must(t, f.Allocate(0, 4096))
		must(t, f.WritevAt([][]byte{bytes.Repeat([]byte{1}, 1024)}, 0))
		must(t, f.Datasync())
		must(t, m.SyncDir("/d"))
		must(t, f.WritevAt([][]byte{bytes.Repeat([]byte{2}, 1024)}, 512))
		g, err := m.Create("/d/unsynced")
		must(t, err)
		must(t, g.Datasync())
		after := m.AfterPowerLoss()
		if _, err := f.WriteAt([]byte{1}, 0); !errors.Is(err, ErrPowerLost) {
			t.Fatalf("write without power: %v", err)
		}
		h, err := after.Open("/d/f")
		must(t, err)
		p := make([]byte, 1536)
		if _, err := h.ReadAt(p, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p[:512], bytes.Repeat([]byte{1}, 512)) {
			t.Fatal("a synced sector that was not written again is lost")
		}
		switch a, b := p[512], p[1024]; {
		case a == 2 && b == 2:
			kept++
		case a == 1 && b == 0:
			lost++
		default:
			torn++
		}
	}
	if kept == 0 || lost == 0 || torn == 0 {
		t.Errorf("%d kept, %d lost, %d torn: each should happen", kept, lost, torn)
	}
}

// After a sync that failed, a sync that succeeds does not write what the first one was to write.
func TestMemFailedSync(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		m := NewMem(seed)
		f, err := m.Create("/f")
		must(t, err)
		must(t, f.Allocate(0, 512))
		must(t, f.Datasync())
		must(t, m.SyncDir("/"))
		_, err = f.WriteAt([]byte{7}, 0)
		must(t, err)
		m.SetHook(func(Op) error { return syscall.EIO })
		if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		m.SetHook(nil)
		must(t, f.Datasync())
		p, d := []byte{0}, []byte{0}
		r, err := m.OpenDirect("/f")
		must(t, err)
		_, _ = f.ReadAt(p, 0)
		_, _ = r.ReadAt(d, 0)
		if p[0] != 7 {
			t.Fatal("the cache has lost it too")
		}
		if d[0] == 0 {
			lost++
		}
	}
	if lost == 0 || lost == 50 {
		t.Errorf("lost %d times of 50", lost)
	}
}
