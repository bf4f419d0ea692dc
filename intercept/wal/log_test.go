package wal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// fixture is a log on a file system in memory, and its durable start.
type fixture struct {
	t     *testing.T
	fs    *vfs.Mem
	log   *Log
	start Start
	group ident.GroupID
}

const testSegment = 16 * PageBytes

func (f *fixture) options() Options {
	return Options{FS: f.fs, Dir: "/log", Group: f.group, SegmentBytes: testSegment, SegmentsMax: 5,
		SpaceWait: 200 * time.Millisecond, Retry: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, fs: vfs.NewMem(rand.Uint64()), group: ident.GroupID{UUID: ident.NewUUID()}}
	var err error
	if f.log, f.start, err = Create(f.options()); err != nil {
		t.Fatal(err)
	}
	f.log.Begin("first", Usage{})
	log := f.log
	t.Cleanup(func() { _ = log.Close() })
	return f
}

// recovered is a record as a recovery saw it.
type recovered struct {
	seq     ident.Seq
	kind    Kind
	off     int64
	payload []byte
}

// recover opens the log on m; the fixture goes on with it.
func (f *fixture) recover(m *vfs.Mem) ([]recovered, Recovered, error) {
	f.t.Helper()
	f.fs = m
	var list []recovered
	log, found, err := Recover(f.options(), f.start, func(r *Record) error {
		list = append(list, recovered{r.Seq, r.Kind, r.Off, bytes.Clone(r.Payload)})
		return nil
	})
	if err != nil {
		return list, found, err
	}
	f.log = log
	f.start.Cuts = found.Cuts
	log.Begin("again", Usage{})
	f.t.Cleanup(func() { _ = log.Close() })
	return list, found, nil
}

func (f *fixture) mustRecover(m *vfs.Mem) []recovered {
	f.t.Helper()
	list, _, err := f.recover(m)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// payload is n bytes that tell which record they are of.
func payload(id byte, n int) []byte { return bytes.Repeat([]byte{id}, n) }

// append logs one write.
func (f *fixture) append(id byte, n int) (*Batch, error) {
	b := &Batch{Records: []Record{{Kind: KindWrite, Volume: 1, Off: int64(id) << 20, Len: int64(n), Payload: payload(id, n)}}}
	if err := f.log.Reserve(b); err != nil {
		return b, err
	}
	if err := f.log.Write(b); err != nil {
		_ = f.log.Complete(b)
		return b, err
	}
	return b, f.log.Complete(b)
}

func (f *fixture) mustAppend(id byte, n int) *Batch {
	f.t.Helper()
	b, err := f.append(id, n)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *fixture) sync() {
	f.t.Helper()
	if err := f.log.Sync(f.log.Watermark()); err != nil {
		f.t.Fatal(err)
	}
}

// ids are the records in list, without those that are no writes.
func ids(list []recovered) (s []byte) {
	for _, r := range list {
		if r.kind == KindWrite {
			s = append(s, byte(r.off>>20))
		}
	}
	return s
}

// Records of every kind and length come back in order, over segment borders, and their payloads can be read.
func TestAppendAndRecover(t *testing.T) {
	f := newFixture(t)
	var want []byte
	for i := range 40 {
		id := byte(i + 1)
		n := []int{1, 511, 4096, 5000, 12288}[i%5]
		b := f.mustAppend(id, n)
		want = append(want, id)
		got := make([]byte, n)
		if err := f.log.ReadPayload(got, b.Records[0].Pos, int64(n), 0); err != nil || !bytes.Equal(got, payload(id, n)) {
			t.Fatalf("record %d: %v", id, err)
		}
		if id%9 == 0 { // the log may hold no more than its segments
			f.sync()
			f.log.Free(f.log.Segment(b.Records[0].Pos))
			f.start.Pos, f.start.Seq, want = b.Records[0].Pos, b.Records[0].Seq, []byte{id}
		}
	}
	f.sync()
	list := f.mustRecover(f.fs.AfterPowerLoss())
	if got := ids(list); !bytes.Equal(got, want) {
		t.Fatalf("recovered %v, want %v", got, want)
	}
}

// Any part of a payload can be read, with its checksums.
func TestReadPayloadParts(t *testing.T) {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 20_000)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	b := &Batch{Records: []Record{{Kind: KindWrite, Len: int64(len(data)), Payload: data}}}
	if err := errors.Join(f.log.Reserve(b), f.log.Write(b), f.log.Complete(b)); err != nil {
		t.Fatal(err)
	}
	pos := b.Records[0].Pos
	for range 300 {
		from := rng.Int64N(int64(len(data)))
		p := make([]byte, 1+rng.Int64N(int64(len(data))-from))
		if err := f.log.ReadPayload(p, pos, int64(len(data)), from); err != nil || !bytes.Equal(p, data[from:from+int64(len(p))]) {
			t.Fatalf("%d+%d: %v", from, len(p), err)
		}
	}
	s := f.log.find(f.log.Segment(pos))
	off := int64(uint64(pos)%testSegment) + prefixBytes(int64(len(data)))
	if err := f.fs.Corrupt(s.name, off+4096+7, 1); err != nil {
		t.Fatal(err)
	}
	if err := f.log.ReadPayload(make([]byte, 100), pos, int64(len(data)), 4096); !errors.Is(err, errPayload) {
		t.Fatalf("a changed byte: %v", err)
	}
	if err := f.log.ReadPayload(make([]byte, 100), pos, int64(len(data)), 8192); err != nil {
		t.Fatalf("beside the changed byte: %v", err)
	}
}

// Batches that are in flight together keep their order, share no page, and are acknowledged only when every earlier
// one is written: a hole below an acknowledged write can not be.
func TestHoleBelowAcknowledged(t *testing.T) {
	f := newFixture(t)
	batch := func(id byte) *Batch {
		b := &Batch{Records: []Record{{Kind: KindWrite, Off: int64(id) << 20, Len: 100, Payload: payload(id, 100)}}}
		if err := f.log.Reserve(b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, second := batch(1), batch(2)
	if first.Records[0].Pos/PageBytes == second.Records[0].Pos/PageBytes {
		t.Fatalf("positions %d and %d share a page", first.Records[0].Pos, second.Records[0].Pos)
	}
	if err := f.log.Write(second); err != nil {
		t.Fatal(err)
	}
	acked := make(chan error, 1)
	go func() { acked <- f.log.Complete(second) }()
	// The process dies now, with the first one not written: the second one is not there either, and was not promised.
	if f.log.Watermark() >= second.Last() {
		t.Fatal("watermark has passed a hole")
	}
	for range 1000 {
		runtime.Gosched()
		select {
		case <-acked:
			t.Fatal("acknowledged above a hole")
		default:
		}
	}
	if err := errors.Join(f.log.Write(first), f.log.Complete(first), <-acked); err != nil {
		t.Fatal(err)
	}
	if f.log.Watermark() != second.Last() {
		t.Fatalf("watermark %d, want %d", f.log.Watermark(), second.Last())
	}
	if got := ids(f.mustRecover(f.fs.AfterKill())); !bytes.Equal(got, []byte{1, 2}) {
		t.Fatalf("recovered %v", got)
	}
}

// A hole that a power loss leaves ends the log, whatever is complete behind it.
func TestHoleEndsLog(t *testing.T) {
	f := newFixture(t)
	f.mustAppend(1, 5000)
	f.sync()
	lost := f.mustAppend(2, 5000)
	f.mustAppend(3, 5000)
	m := f.fs.AfterKill()
	off := int64(uint64(lost.Records[0].Pos) % testSegment)
	if err := m.Corrupt("/log/log-000000.seg", off+3000, 0xff); err != nil {
		t.Fatal(err)
	}
	list, found, err := f.recover(m)
	if err != nil || !bytes.Equal(ids(list), []byte{1}) || found.Dropped != 2 {
		t.Fatalf("recovered %v, dropped %d, %v", ids(list), found.Dropped, err)
	}
}

// What a recovery cut off does not come back, neither when the log goes on, nor when the segment is used again.
func TestCutOffRecordStaysAway(t *testing.T) {
	f := newFixture(t)
	f.mustAppend(1, 5000)
	f.sync()
	lost := f.mustAppend(2, 3000)
	f.mustAppend(3, 3000)
	m := f.fs.AfterKill()
	off := int64(uint64(lost.Records[0].Pos) % testSegment)
	flip := func(m *vfs.Mem) {
		if err := m.Corrupt("/log/log-000000.seg", off+2000, 0xff); err != nil {
			t.Fatal(err)
		}
	}
	flip(m)
	if got := ids(f.mustRecover(m)); !bytes.Equal(got, []byte{1}) {
		t.Fatalf("recovered %v", got)
	}
	// The disk turns up with the sector after all: records 2 and 3 are whole again, and 4 has the sequence of 2.
	four := f.mustAppend(4, 3000)
	if four.Last() != lost.Last() {
		t.Fatalf("sequence %d, want %d", four.Last(), lost.Last())
	}
	f.sync()
	m = f.fs.AfterKill()
	flip(m)
	if got := ids(f.mustRecover(m)); !bytes.Equal(got, []byte{1, 4}) {
		t.Fatalf("recovered %v", got)
	}
	// The segment is used again. Its old records lie where new ones may end.
	five := f.mustAppend(5, 100)
	f.sync()
	f.start.Pos, f.start.Seq = five.Records[0].Pos, five.Records[0].Seq
	f.log.Free(f.log.Segment(five.Records[0].Pos))
	want := []byte{5}
	for id := byte(6); ; id++ {
		b := f.mustAppend(id, 10)
		want = append(want, id)
		if b.seg.name == "/log/log-000000.seg" {
			break
		}
		for b.seg == f.log.mu.cur && f.log.mu.off+20_000 < testSegment {
			f.mustAppend(id, 9000)
			want = append(want, id)
		}
	}
	if got := ids(f.mustRecover(f.fs.AfterKill())); !bytes.Equal(got, want) {
		t.Fatalf("recovered %v, want %v", got, want)
	}
}

// Records of an earlier use of a segment do not check, even where a recovery looks for exactly their sequence.
func TestIncarnation(t *testing.T) {
	f := newFixture(t)
	f.mustAppend(1, 2000)
	f.mustAppend(2, 2000)
	s := f.log.mu.cur
	m := f.fs.AfterKill()
	file, err := m.Open(s.name)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Header
	h.Incarnation++ // the file is used again, as the same segment of a log in which these sequences come next
	if _, err := file.WriteAt(h.encode(), 0); err != nil {
		t.Fatal(err)
	}
	if got := ids(f.mustRecover(m)); len(got) != 0 {
		t.Fatalf("recovered %v", got)
	}
}

// What a recovery has read is durable: a power loss behind it takes nothing of it away.
func TestRecoveredTailIsSynced(t *testing.T) {
	for range 20 {
		f := newFixture(t)
		f.mustAppend(1, 5000)
		f.sync()
		f.mustAppend(2, 9000) // acknowledged, never synced
		first := ids(f.mustRecover(f.fs.AfterKill()))
		if !bytes.Equal(first, []byte{1, 2}) {
			t.Fatalf("recovered %v", first)
		}
		if again := ids(f.mustRecover(f.fs.AfterPowerLoss())); !bytes.Equal(again, first) {
			t.Fatalf("recovered %v, and after a power loss %v", first, again)
		}
	}
}

// A changed bit in what was flushed is damage, with its place, and never the end of the log.
func TestBitFlipInFlushedLog(t *testing.T) {
	f := newFixture(t)
	var batches []*Batch
	for id := byte(1); id <= 30; id++ {
		batches = append(batches, f.mustAppend(id, 2000))
		f.sync()
	}
	last := f.mustAppend(31, 10) // says that all before is synced
	if f.log.Segment(last.Records[0].Pos) < 2 {
		t.Fatal("one segment holds everything")
	}
	for _, b := range batches {
		seq, pos := b.Last(), b.Records[0].Pos
		for range 4 {
			m := f.fs.AfterKill()
			off := int64(uint64(pos)%testSegment) + rand.Int64N(RecordBytes(2000))
			name := b.seg.name
			if err := m.Corrupt(name, off, 1<<rand.IntN(8)); err != nil {
				t.Fatal(err)
			}
			g := &fixture{t: t, group: f.group, start: f.start}
			list, _, err := g.recover(m)
			var damage *DamageError
			switch {
			case err == nil && len(ids(list)) == 31: // padding, or a field that says nothing: nothing is lost
			case !errors.As(err, &damage):
				t.Fatalf("byte %d of record %d: recovered %d records, %v", off, seq, len(list), err)
			case damage.Path != name || damage.Seq != seq || damage.Off != int64(uint64(pos)%testSegment):
				t.Fatalf("byte %d of record %d: %v", off, seq, err)
			}
		}
	}
}

// A segment that is missing, or whose header is damaged, is damage when the log needs it.
func TestMissingSegment(t *testing.T) {
	f := newFixture(t)
	var names []string
	for id := byte(1); len(names) < 3; id++ {
		b := f.mustAppend(id, 9000)
		if n := len(names); n == 0 || names[n-1] != b.seg.name {
			names = append(names, b.seg.name)
		}
	}
	f.sync()
	for i, name := range names {
		m := f.fs.AfterKill()
		if i%2 == 0 {
			if err := m.Remove(name); err != nil {
				t.Fatal(err)
			}
		} else if err := m.Corrupt(name, 20, 1); err != nil {
			t.Fatal(err)
		}
		g := &fixture{t: t, group: f.group, start: f.start}
		var damage *DamageError
		if _, _, err := g.recover(m); !errors.As(err, &damage) {
			t.Fatalf("segment %d: %v", i, err)
		}
	}
}

// A log of a newer version is refused by name.
func TestNewerVersion(t *testing.T) {
	f := newFixture(t)
	m := f.fs.AfterKill()
	if err := m.Corrupt("/log/log-000000.seg", offHdrVersion+1, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.recover(m); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

// A full log makes writers wait, then fails them; control records still find room; once a segment is freed it goes on.
func TestFull(t *testing.T) {
	f := newFixture(t)
	var id byte
	var err error
	var last *Batch
	for err == nil {
		id++
		var b *Batch
		if b, err = f.append(id, 9000); err == nil {
			last = b
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	b := &Batch{Control: true, Records: []Record{{Kind: KindSeal, Payload: []byte("named")}}}
	if err := errors.Join(f.log.Reserve(b), f.log.Write(b), f.log.Complete(b)); err != nil {
		t.Fatalf("control record in a full log: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := f.append(id, 9000)
		waiting <- err
	}()
	f.sync()
	f.log.Free(f.log.Segment(last.Records[0].Pos))
	if err := <-waiting; err != nil {
		t.Fatalf("after a segment was freed: %v", err)
	}
	if _, err := f.append(1, testSegment); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a batch longer than a segment: %v", err)
	}
}

// The first failed write or sync latches the log: nothing is acknowledged any more, and who waits is told.
func TestFailureLatches(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		f := newFixture(t)
		f.mustAppend(1, 100)
		var fail bool
		var mu sync.Mutex
		f.fs.SetHook(func(o vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if fail && o.Name == op { // from then on always: a segment that is prepared meanwhile may meet it first
				return syscall.EIO
			}
			return nil
		})
		hole := &Batch{Records: []Record{{Kind: KindWrite, Len: 10, Payload: payload(9, 10)}}}
		if err := f.log.Reserve(hole); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 1)
		b := &Batch{Records: []Record{{Kind: KindWrite, Len: 10, Payload: payload(8, 10)}}}
		if err := errors.Join(f.log.Reserve(b), f.log.Write(b)); err != nil {
			t.Fatal(err)
		}
		go func() { waiting <- f.log.Complete(b) }()
		mu.Lock()
		fail = true
		mu.Unlock()
		var err error
		if op == "write" {
			err = f.log.Write(hole)
		} else {
			err = f.log.Sync(f.log.Watermark())
		}
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: %v", op, err)
		}
		if err := <-waiting; !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: who waited got %v", op, err)
		}
		if _, err := f.append(2, 100); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: a later write got %v", op, err)
		}
		if err := f.log.Sync(1); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: a later sync got %v", op, err)
		}
	}
}

// A sync that failed may have left its pages clean in the cache. The next start reads the disk, so what is not there is
// not taken for recovered.
func TestFailedSyncIsReadFromDisk(t *testing.T) {
	for range 30 {
		f := newFixture(t)
		f.mustAppend(1, 5000)
		f.sync()
		f.mustAppend(2, 9000)
		f.fs.SetHook(func(o vfs.Op) error {
			if o.Name == "sync" {
				return syscall.EIO
			}
			return nil
		})
		if err := f.log.Sync(f.log.Watermark()); err == nil {
			t.Fatal("sync succeeded")
		}
		m := f.fs.AfterKill()
		first := ids(f.mustRecover(m))
		if again := ids(f.mustRecover(m.AfterPowerLoss())); !bytes.Equal(first, again) {
			t.Fatalf("recovered %v, and after a power loss %v", first, again)
		}
	}
}

// One sync serves all who wait.
func TestGroupCommit(t *testing.T) {
	f := newFixture(t)
	const callers, rounds = 8, 6
	before := f.fs.Ops()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for range rounds {
				b, err := f.append(byte(c+1), 10)
				if err == nil {
					err = f.log.Sync(b.Last())
				}
				if err != nil {
					t.Error(err)
					return
				}
				if f.log.Synced() < b.Last() {
					t.Errorf("synced %d, want %d", f.log.Synced(), b.Last())
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d operations for %d writes with a sync each", f.fs.Ops()-before, callers*rounds)
}

// Dump shows what a segment holds and where it stops.
func TestDump(t *testing.T) {
	f := newFixture(t)
	f.mustAppend(7, 100)
	b := &Batch{Control: true, Records: []Record{{Kind: KindSeal, Aux: 1, Payload: []byte("named")},
		{Kind: KindZero, Flags: FlagTrim, Len: 4096}}}
	if err := errors.Join(f.log.Reserve(b), f.log.Write(b), f.log.Complete(b)); err != nil {
		t.Fatal(err)
	}
	seg := make([]byte, testSegment)
	if _, err := f.log.mu.cur.file.ReadAt(seg, 0); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Dump(&out, seg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"segment 1 of group", "write", "7340032+100", `name "named"`, "trim", "no further record"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := Dump(&out, make([]byte, testSegment)); !errors.Is(err, ErrNotSegment) {
		t.Errorf("zeroes: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []Record{
		{Kind: KindWrite, Seq: 3, Synced: 2, Volume: 1, Off: 4096, Len: 5000, Payload: payload(1, 5000), Tag: 3},
		{Kind: KindZero, Seq: 4, Off: 1, Len: 1 << 40, Flags: FlagTrim},
		{Kind: KindSeal, Seq: 5, Aux: 77, Payload: []byte("name")},
		{Kind: KindEnd, Seq: 6, Aux: 2, Aux2: 3},
	} {
		b := appendPrefix(nil, &r, 9)
		b = append(b, r.Payload...)
		f.Add(append(b, make([]byte, 16)...), uint32(9))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		r, total, err := decodeRecord(b, seed)
		if err != nil {
			return
		}
		if total > int64(len(b)) || total < HeaderBytes+int64(len(r.Payload)) {
			t.Fatalf("%d bytes of %d, payload %d", total, len(b), len(r.Payload))
		}
		if _, _, err := decodeRecord(b, seed+1); err == nil {
			t.Fatal("checks under another incarnation too")
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	h := Header{Number: 7, Incarnation: 9, Bytes: testSegment}
	f.Add(h.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		if again, err := DecodeHeader(h.encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(h) {
			t.Fatalf("%+v becomes %+v, %v", h, again, err)
		}
	})
}
