package system

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/target/nbd/client"
	"github.com/weirstor/weir/tests/harness"
)

var (
	rounds        = flag.Int("rounds", 20, "rounds of the crash tests")
	clusterRounds = flag.Int("cluster-rounds", 1, "rounds of the cluster test, each with two kills")
	seedFlag      = flag.Uint64("seed", 0, "seed of random choices; 0 takes a new one")
)

// weirBinary is the path of the program under test, built from the tree as it is.
var weirBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if weirBinary, err = harness.Build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// debianPackages says what to install for a program that is missing.
var debianPackages = map[string]string{
	"nbdsh": "python3-libnbd", "nbdinfo": "libnbd-bin", "nbdcopy": "libnbd-bin", "nbdfuse": "libnbd-bin", "qemu-img": "qemu-utils",
	"iscsi-ls": "libiscsi-bin", "iscsi-inq": "libiscsi-bin", "fio": "fio", "mkfs.ext4": "e2fsprogs", "e2fsck": "e2fsprogs",
	"qemu-system-x86_64": "qemu-system-x86", "iscsid": "open-iscsi", "nbd-client": "nbd-client", "mkfs.xfs": "xfsprogs",
	"sqlite3": "sqlite3", "busybox": "busybox-static", "pgbench": "postgresql", "git": "git",
	"multipathd": "multipath-tools", "dmsetup": "dmsetup",
	"losetup": "mount",
}

func required() bool { return os.Getenv("WEIR_REQUIRE_TOOLS") == "1" }

func unmet(t *testing.T, format string, args ...any) {
	t.Helper()
	if required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// need skips the test unless all programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			unmet(t, "needs %s of the Debian package %s", p, debianPackages[p])
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		unmet(t, "needs root, to mount file systems")
	}
}

// testContext ends with the test, or after limit.
func testContext(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// stopwatch returns a function that logs how long a stage took; when a test is slow, the log says where.
func stopwatch(t *testing.T) func(stage string) {
	t.Helper()
	last := time.Now()
	return func(stage string) {
		t.Helper()
		t.Logf("%s: %.1f s", stage, time.Since(last).Seconds())
		last = time.Now()
	}
}

// newRand returns a generator whose seed is printed.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// run runs a program that has to succeed.
func run(t *testing.T, ctx context.Context, args ...string) string {
	t.Helper()
	out, err := harness.Run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// upSpec describes `weir up` with free ports and the flags given.
func upSpec(t *testing.T, flags ...string) harness.Spec {
	t.Helper()
	dir := t.TempDir()
	args := []string{"up", "--nbd", "127.0.0.1:0", "--iscsi", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	return harness.Spec{
		Binary: weirBinary, Args: append(args, flags...), Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"),
	}
}

// start starts a process of ours; a process that still runs when the test ends has to end properly then.
func start(t *testing.T, ctx context.Context, spec harness.Spec) *harness.Daemon {
	t.Helper()
	d, err := spec.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, d) })
	return d
}

func checkEnd(t *testing.T, d *harness.Daemon) {
	t.Helper()
	if d.Alive() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}
	if tail := d.LogTail(); t.Failed() || strings.Contains(tail, "panic:") || strings.Contains(tail, "fatal error:") {
		t.Errorf("log of weir %s:\n%s", d.Args[0], tail)
	}
}

// weir runs a command of ours against d.
func weir(t *testing.T, ctx context.Context, d *harness.Daemon, args ...string) string {
	t.Helper()
	return run(t, ctx, append(append([]string{weirBinary}, args...), "--admin", d.Addresses.Admin)...)
}

func nbdURI(d *harness.Daemon, volume string) string {
	return "nbd://" + d.Addresses.NBD + "/" + volume
}

func iscsiURI(d *harness.Daemon, volume string) string {
	return "iscsi://" + d.Addresses.ISCSI + "/iqn.2026-11.io.weir:" + volume + "/0"
}

func dialNBD(t *testing.T, d *harness.Daemon, volume string) *client.Client {
	t.Helper()
	c, err := client.Dial(d.Addresses.NBD, volume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// waitDisks returns when everything written to the volumes is committed and on their disks.
func waitDisks(t *testing.T, ctx context.Context, d *harness.Daemon, volumes ...string) {
	t.Helper()
	for _, v := range volumes {
		weir(t, ctx, d, "wait", v)
	}
}

// sameAsVolume compares a disk with its volume, byte by byte, through the NBD door.
func sameAsVolume(t *testing.T, d *harness.Daemon, volume, disk string) {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := dialNBD(t, d, volume)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != c.Size {
		t.Fatalf("%s has %d bytes, volume %s has %d", disk, info.Size(), volume, c.Size)
	}
	want, got := make([]byte, 1<<20), make([]byte, 1<<20)
	differ := 0
	for off := int64(0); off < c.Size; off += int64(len(want)) {
		n := min(int64(len(want)), c.Size-off)
		if err := c.ReadAt(want[:n], off); err != nil {
			t.Fatalf("read %s at %d: %v", volume, off, err)
		}
		if _, err := f.ReadAt(got[:n], off); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(want[:n], got[:n]) {
			differ++
			if differ == 1 {
				t.Errorf("disk %s differs from volume %s, first in the MiB at %d", disk, volume, off)
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d MiB in all differ", differ)
	}
}

// verified lets the program compare both sides itself.
func verified(t *testing.T, ctx context.Context, d *harness.Daemon) {
	t.Helper()
	result, err := d.Client.Verify(ctx, "", nil)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if !result.Equal {
		t.Errorf("verify finds a difference: %+v", result)
	}
}
