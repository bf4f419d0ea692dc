package iscsi_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/memory"
)

// program skips the test unless name is installed.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is missing: apt-get install %s", name, pkg)
	}
	return p
}

// run returns what a program prints; it fails the test if the program fails or takes too long.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func url(addr, volume string) string { return "iscsi://" + addr + "/" + iscsi.IQN(volume) + "/0" }

func TestLibiscsiTools(t *testing.T) {
	ls := program(t, "iscsi-ls", "libiscsi-bin")
	addr, _ := newDisk(t, 64*mib, 512)
	out := run(t, ls, "-s", "iscsi://"+addr)
	if !strings.Contains(out, iscsi.IQN("v")+" Portal:"+addr+",1") || !strings.Contains(out, "DIRECT_ACCESS (Size:") {
		t.Errorf("iscsi-ls says:\n%s", out)
	}
	inq := program(t, "iscsi-inq", "libiscsi-bin")
	for page, want := range map[string]string{
		"0": "LOGICAL_BLOCK_PROVISIONING", "128": "Unit Serial Number:[01014200000000000000000000000000]",
		"131": "iqn.2026-11.io.weir:v,t,0x0001", "176": "maximum transfer length:16384",
		"177": "Medium Rotation Rate:1RPM", "178": "lbprz:1",
	} {
		if out := run(t, inq, "-e", "1", "-c", page, url(addr, "v")); !strings.Contains(out, want) {
			t.Errorf("page %s lacks %q:\n%s", page, want, out)
		}
	}
	if out := run(t, inq, url(addr, "v")); !strings.Contains(out, "Vendor:WEIR") || !strings.Contains(out, "SBC-3") {
		t.Errorf("iscsi-inq says:\n%s", out)
	}
}

func TestCHAPWithLibiscsi(t *testing.T) {
	ls := program(t, "iscsi-inq", "libiscsi-bin")
	users := func(i *iscsi.TargetInfo) {
		i.Access.Users = []iscsi.Credential{{Name: "host", Secret: "0123456789abcdef"}}
		i.Access.Mutual = &iscsi.Credential{Name: "weir", Secret: "fedcba9876543210"}
	}
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512), users), iscsi.Options{})
	one := "iscsi://host%0123456789abcdef@" + addr + "/" + iscsi.IQN("v") + "/0"
	for _, u := range []string{one, one + "?target_user=weir&target_password=fedcba9876543210"} {
		if out := run(t, ls, u); !strings.Contains(out, "Vendor:WEIR") {
			t.Errorf("%s: %s", u, out)
		}
	}
	if out, err := exec.Command(ls, strings.Replace(one, "abcdef", "abcdee", 1)).CombinedOutput(); err == nil &&
		strings.Contains(string(out), "Vendor:WEIR") {
		t.Errorf("a wrong secret logs in:\n%s", out)
	}
}

func TestQemuImg(t *testing.T) {
	qemu := program(t, "qemu-img", "qemu-utils")
	if modules, _ := filepath.Glob("/usr/lib/*/qemu/block-iscsi.so"); len(modules) == 0 {
		t.Skip("qemu's iscsi block driver is missing: apt-get install qemu-block-extra")
	}
	addr, dev := newDisk(t, 64*mib, 512)
	dir := t.TempDir()
	image, back := filepath.Join(dir, "image"), filepath.Join(dir, "back")
	want := make([]byte, 64*mib)
	rnd := rand.New(rand.NewPCG(7, 8))
	for i := 0; i < len(want); i += 3 * mib { // data and holes
		for j := i; j < min(i+mib, len(want)); j++ {
			want[j] = byte(rnd.Uint32())
		}
	}
	if err := os.WriteFile(image, want, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dev.WriteAt(bytes.Repeat([]byte{0xaa}, mib), mib, false); err != nil {
		t.Fatal(err)
	}
	run(t, qemu, "convert", "-n", "-f", "raw", "-O", "raw", image, url(addr, "v"))
	run(t, qemu, "compare", "-f", "raw", "-F", "raw", image, url(addr, "v"))
	run(t, qemu, "convert", "-f", "raw", "-O", "raw", url(addr, "v"), back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what qemu-img reads back differs (%v)", err)
	}
	got := make([]byte, 64*mib)
	if err := dev.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the device holds something else (%v)", err)
	}
}

// qemu-io reads, writes, discards and flushes through qemu's own initiator.
func TestQemuIO(t *testing.T) {
	qemu := program(t, "qemu-io", "qemu-utils")
	if modules, _ := filepath.Glob("/usr/lib/*/qemu/block-iscsi.so"); len(modules) == 0 {
		t.Skip("qemu's iscsi block driver is missing: apt-get install qemu-block-extra")
	}
	addr, _ := newDisk(t, 16*mib, 512)
	out := run(t, qemu, "-f", "raw", url(addr, "v"), "-c", "write -P 0x5a 0 1M", "-c", "write -f -P 0x5b 64k 64k",
		"-c", "write -z 32k 16k", "-c", "discard 128k 64k", "-c", "flush", "-c", "read -P 0x5a 0 32k", "-c", "read -P 0 32k 16k",
		"-c", "read -P 0x5b 64k 64k", "-c", "read -P 0 128k 64k", "-c", "aio_write -P 7 8M 2M", "-c", "aio_flush",
		"-c", "read -P 7 8M 2M")
	if strings.Contains(out, "failed") || strings.Contains(out, "rror") {
		t.Errorf("qemu-io says:\n%s", out)
	}
}

// conformance runs iscsi-test-cu and returns the numbers of its summary and the reasons of skips. It exits with 0 even
// when tests fail, so what it prints is what counts.
func conformance(t *testing.T, tests string, urls ...string) (ran, failed int, skips []string, out string) {
	t.Helper()
	cu := program(t, "iscsi-test-cu", "libiscsi-bin")
	out = run(t, cu, append([]string{"--dataloss", "-t", tests}, urls...)...)
	sum := regexp.MustCompile(`\n\s+tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)`).FindStringSubmatch(out)
	if sum == nil {
		t.Fatalf("no summary in:\n%s", out)
	}
	ran, _ = strconv.Atoi(sum[2])
	failed, _ = strconv.Atoi(sum[4])
	for line := range strings.Lines(out) {
		if _, why, ok := strings.Cut(line, "[SKIPPED] "); ok {
			skips = append(skips, strings.TrimSpace(why))
		}
	}
	return ran, failed, skips, out
}

// skipReasons are the skips of iscsi-test-cu that remain, and why.
var skipReasons = map[string]string{
	"--allow-sanitize flag is not set. Skipping test.":    "SANITIZE is not offered: earlier points keep what it would erase",
	"Logical unit is not write-protected. Skipping test.": "a run on a write-protected unit could not test anything else",
	"LBPPB < 2. Skipping test":                            "logical and physical blocks of this volume have 4096 bytes",
	"WRITESAME10 does not support 0-blocks.":              "WSNZ: a length of 0 is refused rather than taken for the whole volume",
	"WRITESAME16 does not support 0-blocks.":              "WSNZ: a length of 0 is refused rather than taken for the whole volume",
}

// conformanceVolume has what the suite looks for: a removable medium, atomic writes, extents that tell holes.
func conformanceVolume(t *testing.T, blockSize int) (portal, second string) {
	dev := &holey{Device: memory.New(256*mib, blockSize)}
	addr, srv := serve(t, new(shelf).with("v", dev, func(i *iscsi.TargetInfo) {
		i.Removable, i.AtomicMax = true, 2*mib
	}), iscsi.Options{Reservations: newKeeper()})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-served); !errors.Is(err, iscsi.ErrClosed) {
			t.Error(err)
		}
	})
	return url(addr, "v"), url(l.Addr().String(), "v")
}

// The whole suite of libiscsi: no failure, and at most 20 skips with a reason each. It has two paths to the unit,
// through two portals.
func TestConformance(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("takes half a minute, and five under the race detector; TestConformance512 runs a part of it")
	}
	portal, second := conformanceVolume(t, 4096)
	ran, failed, skips, out := conformance(t, "ALL", portal, second)
	if ran < 230 || failed > 0 {
		t.Errorf("%d tests ran, %d failed:\n%s", ran, failed, out)
	}
	if len(skips) > 20 {
		t.Errorf("%d tests skipped, want at most 20", len(skips))
	}
	for _, s := range skips {
		if skipReasons[s] == "" {
			t.Errorf("skip without a known reason: %s", s)
		}
	}
}

// The parts of the suite that look at block sizes, with 512-byte blocks. GetLBAStatus.UnmapSingle is left out: it
// wants the descriptor of another block than it asked for when a physical block holds several (its lines 125 to 137).
func TestConformance512(t *testing.T) {
	u, _ := conformanceVolume(t, 512)
	for _, tests := range []string{"ALL.Inquiry", "ALL.Unmap", "ALL.WriteSame16", "ALL.CompareAndWrite.Simple",
		"ALL.Read6", "ALL.iSCSIResiduals", "ALL.ReadCapacity16", "ALL.GetLBAStatus.Simple", "ALL.iSCSITMF"} {
		if _, failed, _, out := conformance(t, tests, u); failed > 0 {
			t.Errorf("%s: %d failed:\n%s", tests, failed, out)
		}
	}
}

var _ target.Device = (*holey)(nil)
