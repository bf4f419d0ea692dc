package system

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/nbd/client"
)

// A named point keeps what was there when it was named, and is read through both doors; nothing writes to it.
func TestSnapshotIsServed(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	d := start(t, ctx, upSpec(t, "--volume", "v:64M", "--epoch", "100ms"))
	before, after := pattern(9, 256<<10), pattern(10, 256<<10)
	write(t, d, before, 4<<20)
	weir(t, ctx, d, "snapshot", "create", "v@before")
	write(t, d, after, 4<<20+4096)
	waitDisks(t, ctx, d, "v")

	point, err := client.Dial(d.Addresses.NBD, "v@before")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = point.Close() }()
	got := make([]byte, len(before))
	if err := point.ReadAt(got, 4<<20); err != nil || !bytes.Equal(got, before) {
		t.Errorf("the point does not hold what was there: %v", err)
	}
	if point.Flags&client.FlagReadOnly == 0 || point.WriteAt(after, 0, false) == nil {
		t.Error("a point takes writes")
	}
	session, err := initiator.Dial(ctx, d.Addresses.ISCSI, "iqn.2026-11.io.weir:v@before", initiator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	if err := session.ReadAt(got, 4<<20); err != nil || !bytes.Equal(got, before) {
		t.Errorf("the point does not hold what was there over iSCSI: %v", err)
	}
	if session.WriteAt(after, 0, false) == nil {
		t.Error("a point takes writes over iSCSI")
	}

	weir(t, ctx, d, "snapshot", "delete", "v@before")
	eventually(t, ctx, "the deleted point is no export any more", func() error {
		c, err := client.Dial(d.Addresses.NBD, "v@before")
		if err != nil {
			return nil
		}
		_ = c.Close()
		return errors.New("it is still served")
	})
}
