package system

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/tests/guest"
)

//go:embed testdata/initiator.sh
var initiatorScript string

// The Linux initiator works through the iSCSI door without and with CHAP, one-way and mutual, with both digests, and
// over connections that are cut in the middle of writes. It loses nothing, and nothing of a cut session comes late.
func TestLinuxInitiator(t *testing.T) {
	need(t, "qemu-system-x86_64", "iscsid", "busybox")
	needRoot(t)
	ctx := testContext(t, 10*time.Minute)
	rnd := newRand(t)
	guestUser := []iscsi.Credential{{Name: "guest", Secret: "secret-of-the-guest"}}
	var s targets
	s.add("plain", iscsi.Access{})
	s.add("chap", iscsi.Access{Users: guestUser})
	s.add("mutual", iscsi.Access{Users: guestUser, Mutual: &iscsi.Credential{Name: "target", Secret: "secret-of-target"}})
	s.add("cut", iscsi.Access{})
	_, addr := s.serve(t, iscsi.Options{})
	cut := newCutter(t, addr, 4, rnd)

	sums := sumsOf(bootGuest(t, ctx, guest.Default, fmt.Sprintf("ISCSI=%s CUT=%s SEED=%d\n%s",
		portOf(t, addr), portOf(t, cut.addr()), rnd.Uint32(), initiatorScript)))
	for _, i := range s.infos {
		holdsSum(t, i.Alias, s.devs[i.IQN], sums[i.Alias])
	}
	for how, n := range cut.cuts() {
		if n == 0 {
			t.Errorf("no connection was cut in way %d: %v", how, cut.cuts())
		}
	}
}
