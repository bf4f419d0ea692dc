package clone

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/target"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "/clones"

// memory is a Base of random content with holes.
type memory struct{ b []byte }

func newMemory(seed uint64, size int) *memory {
	rng := rand.New(rand.NewPCG(seed, 3))
	m := &memory{b: make([]byte, size)}
	for off := 0; off < size; off += BlockBytes {
		if rng.IntN(3) > 0 {
			fillRandom(rng, m.b[off:min(off+BlockBytes, size)])
		}
	}
	return m
}

func fillRandom(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}

func (m *memory) ReadAt(p []byte, off int64) error {
	copy(p, m.b[off:])
	return nil
}

func (m *memory) Extents(off, n int64) ([]target.Extent, error) {
	var out []target.Extent
	for end := off + n; off < end; {
		part := min(BlockBytes-off%BlockBytes, end-off)
		kind := target.Data
		if bytes.Equal(m.b[off:off+part], make([]byte, part)) {
			kind = target.Hole
		}
		out = appendExtent(out, target.Extent{Off: off, Len: part, Kind: kind})
		off += part
	}
	return out, nil
}

var (
	cloneID  = ident.UUID{1}
	volumeID = ident.VolumeID{UUID: ident.UUID{2}}
)

// makeOverlay makes the overlay of a volume as a Set does, and makes its names durable.
func makeOverlay(fs vfs.FS, base *memory) (*overlay, error) {
	v := Volume{ID: volumeID, Name: "v", Size: int64(len(base.b)), BlockSize: 512}
	o, err := files{fs: fs, dir: dir, id: cloneID}.create(&v, base)
	if err != nil {
		return nil, err
	}
	o.maps.longBytes = 512
	return o, fs.SyncDir(dir)
}

func reopen(fs vfs.FS, base *memory) (*overlay, error) {
	v := Volume{ID: volumeID, Name: "v", Size: int64(len(base.b)), BlockSize: 512}
	o, err := files{fs: fs, dir: dir, id: cloneID}.open(&v, base)
	if err == nil {
		o.maps.longBytes = 512
	}
	return o, err
}

// model is what an overlay may hold: of each sector what it holds now, and what it may hold after a power loss.
type model struct {
	now    []byte
	maybe  map[int][][]byte // by sector: contents since the last flush that was answered, the one at that flush first
	doubt  bool             // the last change was not answered
	before []byte           // now, before that change
}

const sector = vfs.SectorBytes

func newModel(base []byte) *model {
	return &model{now: bytes.Clone(base), maybe: map[int][][]byte{}}
}

func (m *model) sectorOf(b []byte, s int) []byte { return b[s*sector : min((s+1)*sector, len(b))] }

// change records that p is written at off.
func (m *model) change(off int64, p []byte) {
	m.before = bytes.Clone(m.now)
	first, last := int(off)/sector, (int(off)+len(p)-1)/sector
	for s := first; s <= last; s++ {
		if m.maybe[s] == nil {
			m.maybe[s] = [][]byte{bytes.Clone(m.sectorOf(m.now, s))}
		}
	}
	copy(m.now[off:], p)
	for s := first; s <= last; s++ {
		m.maybe[s] = append(m.maybe[s], bytes.Clone(m.sectorOf(m.now, s)))
	}
}

func (m *model) flushed() { clear(m.maybe) }

// afterLoss checks what is read after a power loss.
func (m *model) afterLoss(got []byte) error {
	for s := 0; s*sector < len(got); s++ {
		is := m.sectorOf(got, s)
		ok := m.maybe[s] == nil && bytes.Equal(is, m.sectorOf(m.now, s))
		for _, may := range m.maybe[s] {
			ok = ok || bytes.Equal(is, may)
		}
		if !ok {
			return fmt.Errorf("sector %d holds what was never there, or lost what was flushed (%d contents possible)", s, len(m.maybe[s]))
		}
	}
	return nil
}

// afterKill checks what is read after the process died: all that was answered.
func (m *model) afterKill(got []byte) error {
	for s := 0; s*sector < len(got); s++ {
		is := m.sectorOf(got, s)
		if !bytes.Equal(is, m.sectorOf(m.now, s)) && !(m.doubt && bytes.Equal(is, m.sectorOf(m.before, s))) {
			return fmt.Errorf("sector %d lost what was answered", s)
		}
	}
	return nil
}

// step does one random operation on both; it returns the overlay's error.
func (m *model) step(o *overlay, rng *rand.Rand) error {
	size := int64(len(m.now))
	n := 1 + rng.Int64N(3*BlockBytes)
	if rng.IntN(3) == 0 {
		n = sector * (1 + rng.Int64N(16))
	}
	n = min(n, size)
	off := rng.Int64N(size - n + 1)
	if rng.IntN(2) == 0 {
		off, n = off/BlockBytes*BlockBytes, (n+BlockBytes-1)/BlockBytes*BlockBytes
		n = min(n, size-off)
	}
	m.doubt = true
	var err error
	switch k := rng.IntN(10); {
	case k < 5:
		p := make([]byte, n)
		fillRandom(rng, p)
		m.change(off, p)
		err = o.write(p, off)
	case k < 7:
		n = min(size-off, n*3)
		m.change(off, make([]byte, n))
		err = o.zero(off, n, rng.IntN(4) == 0)
	case k < 8:
		m.before = m.now
		first := uint64(off) / BlockBytes
		err = o.fillData(first, blockCount(off+n)-first)
	default:
		m.before = m.now
		if err = o.flush(); err == nil {
			m.flushed()
		}
	}
	if err == nil {
		m.doubt = false
	}
	return err
}

func content(t testing.TB, o *overlay) []byte {
	t.Helper()
	got := make([]byte, o.size)
	if err := o.read(got, 0); err != nil {
		t.Fatal(err)
	}
	return got
}

func checkExtents(t testing.TB, o *overlay, want []byte) {
	t.Helper()
	list, err := o.extents(0, o.size)
	if err != nil {
		t.Fatal(err)
	}
	off := int64(0)
	for _, e := range list {
		if e.Off != off || e.Len <= 0 {
			t.Fatalf("extents %v", list)
		}
		if e.Kind != target.Data && !bytes.Equal(want[e.Off:e.Off+e.Len], make([]byte, e.Len)) {
			t.Fatalf("extent %+v is not zero", e)
		}
		off += e.Len
	}
	if off != o.size {
		t.Fatalf("extents end at %d of %d", off, o.size)
	}
}
