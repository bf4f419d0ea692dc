package scsi_test

import (
	"encoding/binary"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/memory"
)

const mib = 1 << 20

// unit returns a unit over dev with two nexuses that have heard their unit attentions.
func unit(t testing.TB, dev target.Device, id scsi.Identity) (u *scsi.Unit, a, b *scsi.Nexus) {
	t.Helper()
	id.Name = "iqn.2026-11.io.weir:v"
	u, err := scsi.NewUnit(dev, id)
	if err != nil {
		t.Fatal(err)
	}
	a, b = u.Attach("iqn.a,i,0x1"), u.Attach("iqn.b,i,0x1")
	quiet(a)
	quiet(b)
	return u, a, b
}

// quiet takes all unit attentions.
func quiet(n *scsi.Nexus) {
	for op := do(n, testUnitReady, nil); op.Sense.Code.Key() == scsi.KeyUnitAttention; {
		op = do(n, testUnitReady, nil)
	}
}

var testUnitReady = []byte{0}

// do runs one command with all of its data and returns it.
func do(n *scsi.Nexus, cdb, out []byte) *scsi.Op {
	op := new(scsi.Op)
	full := make([]byte, 16)
	copy(full, cdb)
	if !n.Begin(op, 0, full) {
		return op
	}
	if op.OutLen != len(out) && (op.OutExact || len(out) < op.OutLen) {
		op.Mismatch()
		return op
	}
	op.Run(out[:op.OutLen], make([]byte, op.InLen))
	return op
}

// want fails the test unless op ended with the code; 0 stands for GOOD.
func want(t testing.TB, what string, op *scsi.Op, code scsi.Code) {
	t.Helper()
	switch {
	case code == 0 && op.Status != scsi.Good:
		t.Errorf("%s: status %#x, sense %06x; want GOOD", what, op.Status, uint32(op.Sense.Code))
	case code != 0 && (op.Status != scsi.CheckCondition || op.Sense.Code != code):
		t.Errorf("%s: status %#x, sense %06x; want %06x", what, op.Status, uint32(op.Sense.Code), uint32(code))
	}
}

func conflict(t testing.TB, what string, op *scsi.Op) {
	t.Helper()
	if op.Status != scsi.ReservationConflict {
		t.Errorf("%s: status %#x, want RESERVATION CONFLICT", what, op.Status)
	}
}

func cdb10(op byte, lba uint32, blocks uint16) []byte {
	c := make([]byte, 10)
	c[0] = op
	binary.BigEndian.PutUint32(c[2:], lba)
	binary.BigEndian.PutUint16(c[7:], blocks)
	return c
}

func cdb16(op byte, lba uint64, blocks uint32) []byte {
	c := make([]byte, 16)
	c[0] = op
	binary.BigEndian.PutUint64(c[2:], lba)
	binary.BigEndian.PutUint32(c[10:], blocks)
	return c
}

func disk() *memory.Device { return memory.New(mib, 512) }
