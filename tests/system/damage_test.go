package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/target/nbd/client"
	"github.com/weirstor/weir/tests/harness"
)

// pattern is content that does not compress and that is found again in a file.
func pattern(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 5))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// flip changes one byte in the middle of what, in every file below dir whose name matches glob and that holds it. It
// returns the files' names and how to undo the damage.
func flip(t *testing.T, dir, glob string, what []byte) (names []string, undo func()) {
	t.Helper()
	var undos []func()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if ok, err := filepath.Match(glob, entry.Name()); err != nil || !ok {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := bytes.Index(data, what)
		if at < 0 {
			return nil
		}
		at += len(what) / 2
		poke(t, path, int64(at), data[at]^0x10)
		names = append(names, entry.Name())
		undos = append(undos, func() { poke(t, path, int64(at), data[at]) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no file %s below %s holds the content", glob, dir)
	}
	return names, func() {
		for _, u := range undos {
			u()
		}
	}
}

func poke(t *testing.T, path string, at int64, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte{b}, at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// write stores p at off of volume v and flushes.
func write(t *testing.T, d *harness.Daemon, p []byte, off int64) {
	t.Helper()
	c := dialNBD(t, d, "v")
	if err := errors.Join(c.WriteAt(p, off, false), c.Flush(), c.Close()); err != nil {
		t.Fatal(err)
	}
}

func reads(t *testing.T, d *harness.Daemon, want []byte, off int64) {
	t.Helper()
	c := dialNBD(t, d, "v")
	got := make([]byte, len(want))
	if err := c.ReadAt(got, off); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d+%d: %v, same content: %v", off, len(want), err, bytes.Equal(got, want))
	}
	_ = c.Close()
}

// A damaged byte of the log that was on stable storage is named, not taken for the end of the log; with the byte
// repaired everything is there (guarantee G9).
func TestDamagedLog(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	spec := upSpec(t, "--volume", "v:64M", "--epoch", "1h")
	d := start(t, ctx, spec)
	first, second := pattern(1, 64<<10), pattern(2, 64<<10)
	write(t, d, first, 0)
	write(t, d, second, 1<<20)
	write(t, d, second, 2<<20)
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	names, undo := flip(t, spec.Data, "log-*", first)
	refused(t, ctx, spec, names[0])
	undo()
	d = start(t, ctx, spec)
	reads(t, d, first, 0)
	reads(t, d, second, 1<<20)
}

// refused starts a process whose log is damaged in the file name: it must say so and serve nothing.
func refused(t *testing.T, ctx context.Context, spec harness.Spec, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d, err := spec.Start(ctx)
	if err == nil {
		defer func() { _ = d.Kill() }()
		if c, err := client.Dial(d.Addresses.NBD, "v"); err == nil {
			_ = c.Close()
			t.Fatal("a volume whose log is damaged is served")
		}
	}
	log, err := os.ReadFile(spec.Log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), name) || strings.Contains(string(log), "panic") {
		t.Errorf("the log does not name %s:\n%s", name, log)
	}
}

// A damaged byte of the base is an input/output error for that block, and for no other (guarantee G9).
func TestDamagedBase(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	spec := upSpec(t, "--volume", "v:64M", "--epoch", "100ms")
	d := start(t, ctx, spec)
	content := pattern(3, 64<<10)
	write(t, d, content, 1<<20)
	waitDisks(t, ctx, d, "v")
	reads(t, d, content, 1<<20)
	moved(t, ctx, spec.Data, content)
	marker := pattern(6, 4<<10)
	write(t, d, marker, 8<<20)
	moved(t, ctx, spec.Data, marker) // layers move in order: the first one's move is complete
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	_, undo := flip(t, spec.Data, "base-*.raw", content)
	d = start(t, ctx, spec)
	c := dialNBD(t, d, "v")
	var errno syscall.Errno
	if err := c.ReadAt(make([]byte, 64<<10), 1<<20); !errors.As(err, &errno) || errno != syscall.EIO {
		t.Errorf("read of the damaged block: %v, want EIO", err)
	}
	reads(t, d, content[:16<<10], 1<<20)
	reads(t, d, content[48<<10:], 1<<20+48<<10)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	undo()
	d = start(t, ctx, spec)
	reads(t, d, content, 1<<20)
}

// moved waits until what is in the base of the volume.
func moved(t *testing.T, ctx context.Context, data string, what []byte) {
	t.Helper()
	bases, err := filepath.Glob(filepath.Join(data, "groups", "*", "base-*.raw"))
	if err != nil || len(bases) != 1 {
		t.Fatalf("bases %v, %v", bases, err)
	}
	eventually(t, ctx, "content moved to the base", func() error {
		b, err := os.ReadFile(bases[0])
		if err == nil && !bytes.Contains(b, what) {
			err = errors.New("it is not there yet")
		}
		return err
	})
}

// A damaged byte in the provider's store is found, and does not get onto a disk (guarantee G9).
func TestDamagedPack(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	spec := upSpec(t, "--volume", "v:64M", "--epoch", "100ms")
	d := start(t, ctx, spec)
	content := pattern(4, 64<<10)
	write(t, d, content, 1<<20)
	waitDisks(t, ctx, d, "v")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	names, _ := flip(t, filepath.Join(spec.Data, "provider"), "*", content[:2048])
	d = start(t, ctx, spec)
	reads(t, d, content, 1<<20)
	result, err := d.Client.Verify(ctx, "v", nil)
	if err != nil || result.Equal || !strings.Contains(result.Volumes[0].Error, "damaged") || len(result.Volumes[0].Differ) == 0 {
		t.Errorf("verify does not name the damage in %v: %+v, %v", names, result, err)
	}
	place := filepath.Join(t.TempDir(), "disk")
	if _, err := d.Client.AddDisk(ctx, api.DiskAdd{Volume: "v", Kind: "raw", Place: place}); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "the damage is reported", func() error {
		disks, err := d.Client.Disks(ctx)
		if err != nil {
			return err
		}
		if len(disks) != 1 || disks[0].State == "clean" {
			t.Fatalf("a disk is filled from the damaged %v: %+v", names, disks)
		}
		if disks[0].Error == "" {
			return fmt.Errorf("disk %+v", disks[0])
		}
		return nil
	})
	if !d.Alive() {
		t.Fatalf("the process died of a damaged pack\n%s", d.LogTail())
	}
}
