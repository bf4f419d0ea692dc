package system

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/weirstor/weir/target/memory"
	"github.com/weirstor/weir/target/nbd"
	"github.com/weirstor/weir/tests/guest"
)

//go:embed testdata/nbdclient.sh
var nbdClientScript string

// The NBD client of the Linux kernel works over one connection and over four at a time, and loses nothing; it takes a
// read-only export as one.
func TestLinuxNBDClient(t *testing.T) {
	need(t, "qemu-system-x86_64", "nbd-client", "busybox")
	needRoot(t)
	ctx := testContext(t, 10*time.Minute)
	rnd := newRand(t)
	s := exports{"v1": {Device: memory.New(doorBytes, 4096)}, "v4": {Device: memory.New(doorBytes, 4096)},
		"readonly": {Device: memory.New(doorBytes, 4096), readOnly: true}}
	content := make([]byte, doorBytes)
	for i := range content {
		content[i] = byte(rnd.Uint32())
	}
	if err := s["readonly"].WriteAt(content, 0, false); err != nil {
		t.Fatal(err)
	}
	_, addr := s.serve(t, nbd.Options{})
	sums := sumsOf(bootGuest(t, ctx, guest.Default, fmt.Sprintf("NBD=%s SEED=%d\n%s", portOf(t, addr), rnd.Uint32(), nbdClientScript)))
	for name, e := range s {
		holdsSum(t, name, e, sums[name])
	}
	for name, want := range map[string]int64{"v1": 1, "v4": 4, "readonly": 2} {
		if got := s[name].attached.Load(); got < want {
			t.Errorf("%s was attached over %d connections, want %d", name, got, want)
		}
	}
}
