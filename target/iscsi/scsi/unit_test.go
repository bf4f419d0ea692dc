package scsi_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/memory"
)

// A plain write is stable only after SYNCHRONIZE CACHE: WCE is set, can be switched off, and then writes go through.
func TestCachingPage(t *testing.T) {
	dev := &recorder{Device: disk()}
	_, a, b := unit(t, dev, scsi.Identity{})
	caching := func() byte {
		op := do(a, []byte{0x1a, 0x08, 0x08, 0, 255}, nil)
		want(t, "mode sense", op, 0)
		return op.In[4+2] & 0x04
	}
	if caching() == 0 {
		t.Error("WCE is off, though a write is durable against power loss only after a sync")
	}
	do(a, cdb10(0x2a, 0, 1), make([]byte, 512))
	do(a, append(cdb10(0x2a, 0, 1)[:1], 0x08, 0, 0, 0, 0, 0, 0, 1), make([]byte, 512))
	page := do(a, []byte{0x1a, 0x08, 0x08, 0, 255}, nil).In
	list := append([]byte{0, 0, 0, 0}, page[4:]...)
	list[4+2] &^= 0x04
	want(t, "switch the cache off", do(a, []byte{0x15, 0x10, 0, 0, byte(len(list))}, list), 0)
	if caching() != 0 {
		t.Error("WCE is still on")
	}
	do(a, cdb10(0x2a, 0, 1), make([]byte, 512))
	if got := strings.Join(dev.calls, " "); got != "write write+fua flush write+fua" {
		t.Errorf("the device saw %s", got)
	}
	want(t, "the other hears of it", do(b, testUnitReady, nil), scsi.ModeParametersChanged)
	list[4+2] |= 0x01 // RCD can not be changed
	want(t, "a bit that can not be changed", do(a, []byte{0x15, 0x10, 0, 0, byte(len(list))}, list), scsi.InvalidFieldInParams)
	want(t, "saving", do(a, []byte{0x1a, 0, 0xc8, 0, 255}, nil), scsi.SavingNotSupported)
	want(t, "an unknown page", do(a, []byte{0x1a, 0, 0x33, 0, 255}, nil), scsi.InvalidFieldInCDB)
}

// recorder notes the calls that make something stable.
type recorder struct {
	*memory.Device
	calls []string
}

func (d *recorder) WriteAt(p []byte, off int64, fua bool) error {
	name := "write"
	if fua {
		name += "+fua"
	}
	d.calls = append(d.calls, name)
	return d.Device.WriteAt(p, off, fua)
}

func (d *recorder) Flush() error {
	d.calls = append(d.calls, "flush")
	return nil
}

func TestWriteProtection(t *testing.T) {
	_, a, _ := unit(t, &readOnly{disk()}, scsi.Identity{})
	for name, op := range map[string]*scsi.Op{
		"write":      do(a, cdb10(0x2a, 0, 1), make([]byte, 512)),
		"write same": do(a, cdb16(0x93, 0, 1), make([]byte, 512)),
		"unmap":      do(a, []byte{0: 0x42, 8: 8}, make([]byte, 8)),
		"orwrite":    do(a, cdb16(0x8b, 0, 1), make([]byte, 512)),
	} {
		want(t, name, op, scsi.WriteProtected)
	}
	want(t, "read", do(a, cdb10(0x28, 0, 1), nil), 0)
	want(t, "sync", do(a, cdb10(0x35, 0, 0), nil), 0)
	want(t, "sync", do(a, cdb16(0x91, 0, 0), nil), 0)
	if op := do(a, []byte{0x1a, 0, 0x3f, 0, 255}, nil); op.In[2]&0x80 == 0 {
		t.Error("WP is not set")
	}
}

type readOnly struct{ *memory.Device }

func (readOnly) ReadOnly() bool { return true }

// A volume that has grown is told by a unit attention, once, and then has the new capacity.
func TestGrowth(t *testing.T) {
	dev := &growing{Device: disk(), size: mib / 2}
	_, a, _ := unit(t, dev, scsi.Identity{})
	want(t, "beyond the end", do(a, cdb10(0x28, 1024, 1), nil), scsi.LBAOutOfRange)
	dev.size = mib
	want(t, "after growing", do(a, cdb10(0x28, 1024, 1), nil), scsi.CapacityChanged)
	want(t, "then", do(a, cdb10(0x28, 1024, 1), nil), 0)
	if op := do(a, cdb10(0x25, 0, 0), nil); binary.BigEndian.Uint32(op.In) != 2047 {
		t.Errorf("last block %d, want 2047", binary.BigEndian.Uint32(op.In))
	}
}

type growing struct {
	*memory.Device
	size int64
}

func (d *growing) Size() int64 { return d.size }

// COMPARE AND WRITE and ORWRITE are one step each against everybody else.
func TestAtomicCommands(t *testing.T) {
	dev := disk()
	_, a, b := unit(t, dev, scsi.Identity{})
	var wg sync.WaitGroup
	const rounds = 300
	for _, n := range []*scsi.Nexus{a, b, a, b} {
		wg.Go(func() { // adds one to a counter in block 0
			for done := 0; done < rounds; {
				old := do(n, cdb10(0x28, 0, 1), nil).In
				next := bytes.Clone(old)
				binary.BigEndian.PutUint64(next, binary.BigEndian.Uint64(old)+1)
				op := do(n, []byte{0: 0x89, 13: 1}, append(bytes.Clone(old), next...))
				switch {
				case op.Status == scsi.Good:
					done++
				case op.Sense.Code != scsi.MiscompareDuringVerify:
					t.Errorf("sense %06x", uint32(op.Sense.Code))
					return
				}
			}
		})
	}
	for i := range 8 {
		wg.Go(func() { // sets its own bit in block 1
			p := make([]byte, 512)
			p[0] = 1 << i
			want(t, "orwrite", do(a, cdb16(0x8b, 1, 1), p), 0)
		})
	}
	wg.Wait()
	p := make([]byte, 1024)
	if err := dev.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint64(p); got != 4*rounds {
		t.Errorf("the counter is %d, want %d", got, 4*rounds)
	}
	if p[512] != 0xff {
		t.Errorf("bits %08b, want all", p[512])
	}
}

func TestMiscompareTellsWhere(t *testing.T) {
	_, a, _ := unit(t, disk(), scsi.Identity{})
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		at := rnd.IntN(2048)
		p := make([]byte, 2048)
		p[at] = 1
		op := do(a, append(cdb10(0x2f, 0, 4)[:1], 0x02, 0, 0, 0, 0, 0, 0, 4), p)
		want(t, "verify", op, scsi.MiscompareDuringVerify)
		if !op.Sense.HasInfo || op.Sense.Info != uint64(at) {
			t.Errorf("INFORMATION %d, want %d", op.Sense.Info, at)
		}
	}
}

// EXTENDED COPY within a unit, also where the ranges overlap, and to a unit that the initiator has a session to.
func TestExtendedCopy(t *testing.T) {
	src, dst := disk(), disk()
	other, err := scsi.NewUnit(dst, scsi.Identity{ID: [16]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	_, a, b := unit(t, src, scsi.Identity{ID: [16]byte{8}, Peer: func(port string, id [16]byte) *scsi.Unit {
		if port == "iqn.a,i,0x1" && id == [16]byte{9} {
			return other
		}
		return nil
	}})
	content := make([]byte, mib)
	for i := range content {
		content[i] = byte(i >> 9)
	}
	reset := func() {
		if err := src.WriteAt(content, 0, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range [][3]uint16{{0, 100, 50}, {0, 600, 1000}, {600, 0, 1000}, {0, 0, 0}, {5, 5, 5}} {
		reset()
		want(t, "copy", do(a, []byte{0: 0x83, 13: 76}, copyList(8, 8, at)), 0)
		w := bytes.Clone(content)
		copy(w[int(at[1])*512:], content[int(at[0])*512:][:int(at[2])*512])
		got := make([]byte, mib)
		if err := src.ReadAt(got, 0); err != nil || !bytes.Equal(got, w) {
			t.Errorf("copy %v went wrong (%v)", at, err)
		}
	}
	reset()
	want(t, "to the other", do(a, []byte{0: 0x83, 13: 108}, copyList(8, 9, [3]uint16{10, 20, 30})), 0)
	got := make([]byte, 30*512)
	if err := dst.ReadAt(got, 20*512); err != nil || !bytes.Equal(got, content[10*512:40*512]) {
		t.Errorf("the other unit holds something else (%v)", err)
	}
	want(t, "without a session", do(b, []byte{0: 0x83, 13: 108}, copyList(8, 9, [3]uint16{10, 20, 30})), scsi.CopyTargetNotReachable)
	want(t, "beyond the end", do(a, []byte{0: 0x83, 13: 76}, copyList(8, 8, [3]uint16{2000, 0, 100})), scsi.CopyTargetNotReachable)
}

// copyList is an EXTENDED COPY parameter list with one segment; at is source, destination and length in blocks.
func copyList(from, to byte, at [3]uint16) []byte {
	p := make([]byte, 16)
	ids := []byte{from}
	if to != from {
		ids = append(ids, to)
	}
	for _, id := range ids {
		d := make([]byte, 32)
		d[0], d[4], d[5], d[7], d[8], d[10] = 0xe4, 1, 0x0a, 18, 0x10, id
		p = append(p, d...)
	}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)-16))
	binary.BigEndian.PutUint32(p[8:], 28)
	s := make([]byte, 28)
	s[0], s[3] = 2, 24
	binary.BigEndian.PutUint16(s[6:], uint16(len(ids)-1))
	binary.BigEndian.PutUint16(s[10:], at[2])
	binary.BigEndian.PutUint64(s[12:], uint64(at[0]))
	binary.BigEndian.PutUint64(s[20:], uint64(at[1]))
	return append(p, s...)
}

func TestOtherLUNs(t *testing.T) {
	_, a, _ := unit(t, disk(), scsi.Identity{})
	begin := func(lun uint64, cdb ...byte) *scsi.Op {
		op := new(scsi.Op)
		full := make([]byte, 16)
		copy(full, cdb)
		if a.Begin(op, lun, full) {
			op.Run(nil, make([]byte, op.InLen))
		}
		return op
	}
	want(t, "read", begin(1<<48, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), scsi.LUNotSupported)
	want(t, "unknown", begin(1<<48, 0xff), scsi.LUNotSupported)
	if op := begin(1<<48, 0x12, 0, 0, 0, 36); op.Status != scsi.Good || op.In[0] != 0x7f {
		t.Errorf("inquiry: %#x %x", op.Status, op.In)
	}
	if op := begin(1<<48, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255); op.Status != scsi.Good || len(op.In) != 16 || op.In[3] != 8 {
		t.Errorf("report luns: %#x %x", op.Status, op.In)
	}
	want(t, "flat addressing", begin(0x4000<<48, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0)
}

func TestSenseFormats(t *testing.T) {
	s := scsi.Sense{Code: scsi.UnrecoveredReadError, Info: 0x123456789, HasInfo: true}
	if b := s.Append(nil, false); len(b) != 18 || b[0] != 0x70 || b[2] != 3 || b[12] != 0x11 {
		t.Errorf("fixed, with an LBA that does not fit: %x", b)
	}
	b := s.Append(nil, true)
	if len(b) != 20 || b[0] != 0x72 || b[7] != 12 || binary.BigEndian.Uint64(b[12:]) != 0x123456789 {
		t.Errorf("descriptor: %x", b)
	}
	s = scsi.Sense{Code: scsi.InvalidFieldInCDB, Field: 7, HasField: true, InCDB: true}
	if b := s.Append(nil, false); b[15] != 0xc0 || b[17] != 7 {
		t.Errorf("field pointer: %x", b)
	}
	s.HasInfo = true
	if b := s.Append(nil, true); len(b) > scsi.SenseMax {
		t.Errorf("%d bytes, more than SenseMax", len(b))
	}
}

// FuzzCommand: whatever the CDB and its data, a command ends with a status that fits, within its limits.
func FuzzCommand(f *testing.F) {
	for op := range 256 {
		f.Add(append(cdb16(byte(op), 1, 2), 0, 0), bytes.Repeat([]byte{1}, 64), uint64(0))
	}
	f.Add(copyList(8, 8, [3]uint16{1, 2, 3}), copyList(8, 8, [3]uint16{1, 2, 3}), uint64(0))
	f.Fuzz(func(t *testing.T, cdb, out []byte, lun uint64) {
		dev := memory.New(128<<10, 512)
		u, a, _ := unit(t, dev, scsi.Identity{ID: [16]byte{8}, Removable: true, AtomicMax: 65536, Persistent: new(keeper)})
		full := make([]byte, 16)
		copy(full, cdb)
		var op scsi.Op
		if a.Begin(&op, lun, full) {
			if op.OutLen > 2*scsi.MaxTransfer || op.InLen > scsi.MaxTransfer {
				t.Fatalf("%s moves %d and %d bytes", op.Name(), op.OutLen, op.InLen)
			}
			data := make([]byte, op.OutLen)
			copy(data, out)
			op.Run(data, make([]byte, op.InLen))
		}
		if op.Status == scsi.CheckCondition && op.Sense.Code == 0 {
			t.Fatalf("%s: CHECK CONDITION without sense", op.Name())
		}
		if b := op.Sense.Append(nil, true); len(b) > scsi.SenseMax {
			t.Fatalf("%d bytes of sense", len(b))
		}
		u.Reset()
		quiet(a)
		if op := do(a, testUnitReady, nil); op.Status == scsi.CheckCondition {
			t.Fatalf("not ready after a reset: %06x", uint32(op.Sense.Code))
		}
	})
}

var _ target.Device = (*recorder)(nil)
