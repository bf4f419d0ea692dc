package system

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/tests/guest"
)

var vm = flag.Bool("vm", false, "also run the tests that need another kernel package than the others")

//go:embed testdata/multipath.sh
var multipathScript string

// multipathRecipe is the default image with Debian's full kernel, since the one for clouds lacks the ALUA handler.
func multipathRecipe(t *testing.T) guest.Recipe {
	t.Helper()
	r := guest.Default
	r.Kernel = "linux-image-amd64"
	r.Modules = []string{"crc32c_generic", "virtio_pci", "virtio_net", "virtio-rng", "sd_mod", "iscsi_tcp", "dm-multipath",
		"dm-service-time", "scsi_dh_alua"}
	r.Programs = append(slices.Clone(r.Programs), "udevadm", "multipath", "multipathd", "dmsetup")
	r.Packages = append(slices.Clone(r.Packages), "multipath-tools", "udev")
	for _, pattern := range []string{"/usr/lib/multipath/lib*.so", "/usr/lib/udev/scsi_id", "/usr/lib/udev/rules.d/5*.rules",
		"/usr/lib/udev/rules.d/60-*.rules", "/usr/lib/udev/rules.d/95-dm*.rules"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("nothing is called %s (%v)", pattern, err)
		}
		r.Files = append(r.Files, found...)
	}
	return r
}

// counted counts the writes that reach a device.
type counted struct {
	target.Device
	writes atomic.Int64
}

func (d *counted) WriteAt(p []byte, off int64, fua bool) error {
	d.writes.Add(1)
	return d.Device.WriteAt(p, off, fua)
}

// await polls until ok, which a guest brings about.
func await(t *testing.T, what string, ok func() bool) bool {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	t.Errorf("waited in vain for %s", what)
	return false
}

// breakPaths takes one path after the other away, and gives each back: first work goes on without it, then over it
// alone.
func breakPaths(t *testing.T, srv *iscsi.Server, dev *counted, paths []*cutter) {
	t.Helper()
	more := func() bool {
		from := dev.writes.Load()
		return await(t, "more writes", func() bool { return dev.writes.Load() > from+100 })
	}
	if !more() {
		return
	}
	for _, p := range paths {
		p.setDown(true)
		if !await(t, "the broken session to end", func() bool { return len(srv.Sessions()) == 1 }) || !more() {
			return
		}
		p.setDown(false)
		if !await(t, "the session to come back", func() bool { return len(srv.Sessions()) == 2 }) || !more() {
			return
		}
	}
}

// dm-multipath with the ALUA handler takes two portals of a target for two paths to one volume, goes on when either
// breaks, takes it back, and loses nothing.
func TestLinuxMultipath(t *testing.T) {
	if !*vm {
		t.Skip("downloads Debian's full kernel and takes a minute; run by make test-vm")
	}
	need(t, "qemu-system-x86_64", "iscsid", "busybox", "multipathd", "dmsetup")
	needRoot(t)
	ctx := testContext(t, 10*time.Minute)
	rnd := newRand(t)
	var s targets
	s.add("v", iscsi.Access{})
	dev := &counted{Device: s.devs[iscsi.IQN("v")]}
	s.devs[iscsi.IQN("v")] = dev
	srv, addr := s.serve(t, iscsi.Options{})
	paths := []*cutter{newCutter(t, addr, 0, rnd), newCutter(t, addr, 0, rnd)}
	done := listen(t)
	var broken atomic.Bool
	go func() {
		breakPaths(t, srv, dev, paths)
		broken.Store(true)
	}()
	go answerDone(done, &broken)
	t.Cleanup(func() { _ = done.Close() })

	out := bootGuest(t, ctx, multipathRecipe(t), fmt.Sprintf("A=%s B=%s DONE=%s SEED=%d\n%s", portOf(t, paths[0].addr()),
		portOf(t, paths[1].addr()), portOf(t, done.Addr().String()), rnd.Uint32(), multipathScript))
	holdsSum(t, "v", dev, sumsOf(out)["v"])
}

// answerDone tells whoever connects whether all is done.
func answerDone(l net.Listener, done *atomic.Bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if done.Load() {
			_, _ = io.WriteString(c, "done\n")
		} else {
			_, _ = io.WriteString(c, "go on\n")
		}
		_ = c.Close()
	}
}
