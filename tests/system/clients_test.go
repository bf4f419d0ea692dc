package system

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/tests/harness"
)

// sampleImage writes a file with data that compresses, data that does not, and holes.
func sampleImage(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 256<<10)
	for off := int64(0); off+int64(len(buf)) <= size; off += int64(len(buf)) {
		switch rng.IntN(3) {
		case 0:
			continue
		case 1:
			for i := range buf {
				buf[i] = byte(rng.Uint32())
			}
		case 2:
			copy(buf, strings.Repeat("a line of a log file, much like the one before it\n", len(buf)/50))
		}
		if _, err := f.WriteAt(buf, off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Clients that others wrote find, read and write volumes through both doors, and the disks follow.
func TestForeignClients(t *testing.T) {
	ctx := testContext(t, 5*time.Minute)
	dir := t.TempDir()
	disk := func(v string) string { return filepath.Join(dir, v) }
	d := start(t, ctx, upSpec(t,
		"--volume", "a:64M", "--disk", "a:raw:"+disk("a"),
		"--volume", "b:64M", "--disk", "b:raw:"+disk("b"),
		"--volume", "c:64M", "--disk", "c:raw:"+disk("c")))
	sample := sampleImage(t, 64<<20)

	t.Run("nbdinfo", func(t *testing.T) {
		need(t, "nbdinfo")
		var info struct {
			Exports []struct {
				Name string `json:"export-name"`
				Size int64  `json:"export-size"`
			} `json:"exports"`
		}
		out := run(t, ctx, "nbdinfo", "--json", "--list", "nbd://"+d.Addresses.NBD)
		if err := json.Unmarshal([]byte(out), &info); err != nil {
			t.Fatal(err)
		}
		if len(info.Exports) != 3 || info.Exports[0].Size != 64<<20 {
			t.Errorf("exports %+v, want 3 of 64 MiB", info.Exports)
		}
		if out := run(t, ctx, "nbdinfo", "--can", "flush", nbdURI(d, "a")); out != "" {
			t.Errorf("nbdinfo --can flush: %s", out)
		}
	})
	t.Run("nbdcopy", func(t *testing.T) {
		need(t, "nbdcopy")
		back := filepath.Join(t.TempDir(), "back")
		run(t, ctx, "nbdcopy", "--flush", sample, nbdURI(d, "a"))
		run(t, ctx, "nbdcopy", nbdURI(d, "a"), back)
		run(t, ctx, "cmp", sample, back)
	})
	t.Run("qemu-img nbd", func(t *testing.T) {
		need(t, "qemu-img")
		run(t, ctx, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", sample, nbdURI(d, "b"))
		run(t, ctx, "qemu-img", "compare", "-f", "raw", "-F", "raw", sample, nbdURI(d, "b"))
	})
	t.Run("qemu-img iscsi", func(t *testing.T) {
		need(t, "qemu-img")
		run(t, ctx, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", sample, iscsiURI(d, "c"))
		run(t, ctx, "qemu-img", "compare", "-f", "raw", "-F", "raw", sample, iscsiURI(d, "c"))
		weir(t, ctx, d, "volume", "access", "set", "c", "--sharing", "on") // for two doors at a time
		run(t, ctx, "qemu-img", "compare", "-f", "raw", "-F", "raw", nbdURI(d, "c"), iscsiURI(d, "c"))
	})
	t.Run("iscsi-ls and iscsi-inq", func(t *testing.T) {
		need(t, "iscsi-ls", "iscsi-inq")
		out := run(t, ctx, "iscsi-ls", "--show-luns", "iscsi://"+d.Addresses.ISCSI)
		for _, v := range []string{"a", "b", "c"} {
			if !strings.Contains(out, "iqn.2026-11.io.weir:"+v+" ") {
				t.Errorf("iscsi-ls does not list %s:\n%s", v, out)
			}
		}
		if out := run(t, ctx, "iscsi-inq", iscsiURI(d, "a")); !strings.Contains(out, "DIRECT_ACCESS") {
			t.Errorf("iscsi-inq:\n%s", out)
		}
		for _, page := range []string{"0", "0x80", "0x83", "0xb0", "0xb1", "0xb2"} {
			run(t, ctx, "iscsi-inq", "--evpd=1", "--pagecode="+page, iscsiURI(d, "a"))
		}
	})
	t.Run("disks", func(t *testing.T) {
		waitDisks(t, ctx, d, "a", "b", "c")
		for _, v := range []string{"a", "b", "c"} {
			sameAsVolume(t, d, v, disk(v))
			run(t, ctx, "cmp", sample, disk(v))
		}
		verified(t, ctx, d)
	})
	t.Run("fio", func(t *testing.T) { fioVerify(t, d, disk("a")) })
}

// fioVerify lets fio write with checksums and read them back, through NBD.
func fioVerify(t *testing.T, d *harness.Daemon, disk string) {
	t.Helper()
	need(t, "fio")
	ctx := testContext(t, 2*time.Minute)
	for _, job := range [][]string{
		{"--rw=randwrite", "--bs=4k", "--iodepth=32"},
		{"--rw=write", "--bs=128k", "--iodepth=8"},
		{"--rw=randrw", "--bsrange=512-64k", "--bs_unaligned=0", "--iodepth=16", "--fsync=64"},
	} {
		args := append([]string{"fio", "--name=verify", "--ioengine=nbd", "--uri=" + nbdURI(d, "a"), "--size=48m",
			"--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--randrepeat=0"}, job...)
		run(t, ctx, args...)
	}
	waitDisks(t, ctx, d, "a")
	sameAsVolume(t, d, "a", disk)
}
