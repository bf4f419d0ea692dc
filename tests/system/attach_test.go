package system

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/guest"
	"github.com/weirstor/weir/tests/harness"
)

//go:embed testdata/attach.sh
var attachScript string

// weir volume attach gives a volume to a Linux kernel, which works on it; its connections break in the middle of the
// work, and nothing is lost. A door that requires TLS is refused by name, a mounted device is not detached.
func TestVolumeAttach(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.ext4", "busybox")
	needRoot(t)
	ctx := testContext(t, 10*time.Minute)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	image, err := guest.Prepare(ctx, filepath.Join(root, "build", "guest"))
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "v")
	d := start(t, ctx, upSpec(t, "--volume", "v:128M", "--disk", "v:raw:"+disk))
	tls := start(t, ctx, upSpec(t, "--volume", "v:1M", "--nbd-tls", "require"))
	_, nbd, _ := net.SplitHostPort(d.Addresses.NBD)
	_, safe, _ := net.SplitHostPort(tls.Addresses.NBD)

	breaking, stop := context.WithCancel(ctx)
	broken := make(chan int)
	go func() { broken <- breakSessions(breaking, d) }()
	script := fmt.Sprintf("NBD=%s SAFE=%s\n%s", nbd, safe, attachScript)
	out, err := image.Run(ctx, guest.Config{Script: script, Files: map[string]string{"usr/bin/weir": weirBinary}})
	stop()
	n := <-broken
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections were broken", n)
	if n == 0 {
		t.Error("no connection was broken: the test has not tested that")
	}
	for _, want := range []string{"attached /dev/nbd", "tls refused", "mounted refused", "same sum", "detached"} {
		if !strings.Contains(out, want) {
			t.Errorf("the guest did not say %q:\n%s", want, out)
		}
	}
	waitDisks(t, ctx, d, "v")
	sameAsVolume(t, d, "v", disk)
	run(t, ctx, "e2fsck", "-fn", disk)
}

// breakSessions drops the session that has written most, again and again, until ctx ends, and returns how many.
func breakSessions(ctx context.Context, d *harness.Daemon) int {
	n := 0
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return n
		case <-tick.C:
		}
		list, err := d.Client.Sessions(ctx)
		if err != nil || len(list) == 0 {
			continue
		}
		busy := slices.MaxFunc(list, func(a, b api.Session) int { return cmp.Compare(a.WrittenBytes, b.WrittenBytes) })
		if busy.WrittenBytes > 0 && d.Client.DropSession(ctx, busy.ID) == nil {
			n++
		}
	}
}
