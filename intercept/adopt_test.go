package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/todo"
	"github.com/weirstor/weir/intercept/vfs"
)

const imagePath = "/images/old.img"

// putImage stores content as an image, durably.
func putImage(t *testing.T, m *vfs.Mem, content []byte) {
	t.Helper()
	f, err := m.Create(imagePath)
	if err == nil {
		_, err = f.WriteAt(content, 0)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = m.SyncDir(filepath.Dir(imagePath))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func syncOptions(m *vfs.Mem) Options {
	opt := scenarioOptions(m)
	opt.pieceMin, opt.pieceMax = 2*todo.UnitBytesMin, 2*todo.UnitBytesMin
	return opt
}

// follower is a provider that knows nothing but what epochs tell.
type follower struct {
	t       *testing.T
	content map[string][]byte
	sent    int64 // bytes of extents
}

// take checks that the old view of each volume is what the follower has, and applies the extents.
func (f *follower) take(e *Epoch) {
	f.t.Helper()
	if err := f.tryTake(e); err != nil {
		f.t.Fatal(err)
	}
}

// tryTake is take where views may fail.
func (f *follower) tryTake(e *Epoch) error {
	t := f.t
	t.Helper()
	for _, v := range e.Volumes() {
		have := f.content[v.Name]
		if grown := v.Size - int64(len(have)); grown > 0 {
			have = append(have, make([]byte, grown)...)
		}
		old, now := make([]byte, v.Size), make([]byte, v.Size)
		if err := errors.Join(v.Old.ReadAt(old, 0), v.New.ReadAt(now, 0)); err != nil {
			return err
		}
		same(t, "old view of "+v.Name, old, have)
		for _, x := range v.Extents {
			copy(have[x.Off:x.Off+x.Len], now[x.Off:])
			f.sent += x.Len
		}
		same(t, "new view of "+v.Name, now, have)
		f.content[v.Name] = have
	}
	return nil
}

// An image becomes a volume, and the provider gets it piece by piece while a host goes on writing, over returned epochs,
// crashes and restarts: each epoch begins with what the one before left, holes are not sent, and in the end all is there.
func TestAdopt(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, crash := range []string{"none", "kill", "power"} {
		t.Run(crash, func(t *testing.T) { testAdopt(t, seed, crash) })
	}
}

func testAdopt(t *testing.T, seed uint64, crash string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	const size = 20*todo.UnitBytesMin + 3*512
	image := make([]byte, size)
	for unit := range 20 {
		if unit%3 != 1 { // a third are holes
			at := unit*todo.UnitBytesMin + 5000
			copy(image[at:], fill(byte(1+unit), 9000))
		}
	}
	image[size-1] = 77
	m := vfs.NewMem(seed)
	putImage(t, m, image)
	g, err := Create(scenarioDir, syncOptions(m))
	if err != nil {
		t.Fatal(err)
	}
	other := mustCreateVolume(t, g, "other", 64<<10)
	v, err := g.CreateVolume(VolumeSpec{Name: "v", BlockSize: 512, Adopt: imagePath})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "adopted volume", content(t, v), image)
	f := &follower{t: t, content: map[string][]byte{}}
	left := int64(1 << 40)
	rounds := 0
	for ; ; rounds++ {
		s, going := v.FirstSync()
		if !going {
			break
		}
		if s.Left > left || s.Total != 14*todo.UnitBytesMin {
			t.Fatalf("round %d: %+v, %d were left", rounds, s, left)
		}
		left = s.Left
		for range 3 {
			n := 1 + rng.Int64N(6000)
			off := rng.Int64N(size - n)
			p := fill(byte(1+rng.IntN(255)), int(n))
			mustWrite(t, v, off, p)
			copy(image[off:], p)
			mustWrite(t, other, rng.Int64N(60000), p[:min(100, n)])
		}
		if rng.IntN(2) == 0 {
			seal(t, g, "")
		}
		e := next(t, g)
		if rng.IntN(4) == 0 {
			g.Return(e)
			continue
		}
		f.take(e)
		switch p := (ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: e.End()}); {
		case crash != "none" && rng.IntN(3) == 0:
			if err := g.MarkSent(e, p); err != nil {
				t.Fatal(err)
			}
			e.Release()
			if err := v.Flush(); err != nil {
				t.Fatal(err)
			}
			if crash == "kill" {
				_ = g.Close()
				m = m.AfterKill()
			} else {
				m.PowerOff()
				_ = g.Close()
				m = m.AfterPowerLoss()
			}
			if g, err = Open(scenarioDir, syncOptions(m)); err != nil {
				t.Fatal(err)
			}
			v, other = volume(t, g, "v"), volume(t, g, "other")
			if err := g.ResolveSent(true, nil); err != nil {
				t.Fatal(err)
			}
		default:
			commit(t, g, e)
		}
	}
	if rounds < 5 {
		t.Fatalf("all was sent in %d rounds", rounds)
	}
	end := seal(t, g, "last")
	e := next(t, g)
	f.take(e)
	commit(t, g, e)
	same(t, "what the provider has", f.content["v"], image)
	same(t, "what the volume has", content(t, v), image)
	if f.sent > 3*14*todo.UnitBytesMin {
		t.Errorf("%d bytes were sent of an image with %d", f.sent, 14*todo.UnitBytesMin)
	}
	awaitDestaged(t, g, end)
	for _, name := range mustList(t, m) {
		if strings.HasPrefix(name, todoPrefix) {
			t.Errorf("%s is left", name)
		}
	}
	same(t, "the image", readFile(t, m, imagePath), image)
	if err := m.Corrupt(imagePath, 5001, 1); err != nil {
		t.Fatal(err)
	}
	if err := v.ReadAt(make([]byte, 1), 5001); err == nil {
		t.Error("a changed byte of the image was returned: no leaf was noted")
	}
	closeGroup(t, g)
}

// Power is lost at each operation of the making of a volume from an image, and of its first epochs: the volume is there
// with the image's content, or it is not there; what was committed is what the follower has.
func TestAdoptPowerLoss(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const size = 4 * todo.UnitBytesMin
	image := bytes.Repeat([]byte{1, 2, 3, 4}, size/4)
	for k := 1; ; k += strideOf(2) {
		m := vfs.NewMem(seed + uint64(k))
		putImage(t, m, image)
		g, err := Create(scenarioDir, syncOptions(m))
		if err != nil {
			t.Fatal(err)
		}
		start, fired := m.Ops(), false
		m.SetHook(func(op vfs.Op) error {
			if op.Number < start+k {
				return nil
			}
			fired = true
			return vfs.ErrPowerLost
		})
		f := &follower{t: t, content: map[string][]byte{}}
		before, created, err := adoptAndSend(g, f)
		if !fired && err != nil {
			t.Fatal(err)
		}
		m.PowerOff()
		_ = g.Close()
		if !fired {
			break
		}
		what := fmt.Sprintf("seed %d, power lost at operation %d (%v)", seed, k, err)
		m = m.AfterPowerLoss()
		if g, err = Open(scenarioDir, syncOptions(m)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		v, err := g.Volume("v")
		if created && err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err == nil {
			same(t, what, content(t, v), image)
			committed := g.Ledger().Sent != nil && g.Ledger().Sent.End == f.end()
			if g.Ledger().Sent != nil {
				if err := g.ResolveSent(committed, nil); err != nil {
					t.Fatal(err)
				}
			}
			if g.Ledger().Committed.End < f.end() {
				f.content = before
			}
			for _, going := v.FirstSync(); going; _, going = v.FirstSync() {
				e := next(t, g)
				f.take(e)
				commit(t, g, e)
			}
			same(t, what+", sent", f.content["v"], image)
		}
		closeGroup(t, g)
	}
}

// end is set by adoptAndSend.
func (f *follower) end() ident.Seq { return ident.Seq(f.sent >> 40) }

// adoptAndSend makes a volume of the image and sends two pieces. before is what the follower had before the last one.
func adoptAndSend(g *Group, f *follower) (before map[string][]byte, created bool, err error) {
	if _, err := g.CreateVolume(VolumeSpec{Name: "v", Adopt: imagePath}); err != nil {
		return nil, false, err
	}
	for range 2 {
		e, err := g.Next(context.Background())
		if err != nil {
			return before, true, err
		}
		before = map[string][]byte{"v": bytes.Clone(f.content["v"])}
		if err := f.tryTake(e); err != nil {
			return before, true, err
		}
		f.sent = int64(e.End()) << 40
		p := ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: e.End()}
		if err = g.MarkSent(e, p); err == nil {
			err = g.Committed(e, p, map[ident.VolumeID]leaf.State{})
		}
		e.Release()
		if err != nil {
			return before, true, err
		}
	}
	return before, true, nil
}

// What can not be a volume is refused by name, with what to do, and nothing is left.
func TestAdoptRefuses(t *testing.T) {
	g, m := memGroup(t)
	ok := bytes.Repeat([]byte{5}, 8192)
	putImage(t, m, ok)
	with := func(at int, magic string) []byte {
		b := make([]byte, 8192)
		copy(b[at:], magic)
		return b
	}
	for name, c := range map[string]struct {
		content []byte
		spec    VolumeSpec
		want    error
		text    string
	}{
		"qcow2":    {with(0, "QFI\xfb"), VolumeSpec{}, ErrImage, "qemu-img convert -O raw"},
		"VMDK":     {with(0, "KDMV"), VolumeSpec{}, ErrImage, "VMDK"},
		"VHD":      {with(8192-512, "conectix"), VolumeSpec{}, ErrImage, "VHD"},
		"odd size": {make([]byte, 5000), VolumeSpec{}, ErrImage, "5000 bytes"},
		"empty":    {nil, VolumeSpec{}, ErrImage, "empty"},
		"size":     {ok, VolumeSpec{Size: 4096}, ErrImage, "leave the size out"},
		"missing":  {nil, VolumeSpec{Adopt: "/no/such"}, ErrImage, "/no/such"},
		"relative": {ok, VolumeSpec{Adopt: "x.img"}, ErrArgument, "absolute"},
		"own":      {ok, VolumeSpec{Adopt: scenarioDir + "/checkpoint"}, ErrImage, "folder of the group"},
	} {
		if err := m.Remove(imagePath); err != nil {
			t.Fatal(err)
		}
		putImage(t, m, c.content)
		if c.spec.Adopt == "" {
			c.spec.Adopt = imagePath
		}
		c.spec.Name = "v"
		if _, err := g.CreateVolume(c.spec); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.Remove(imagePath); err != nil {
		t.Fatal(err)
	}
	putImage(t, m, ok)
	claim, err := m.Claim(imagePath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.CreateVolume(VolumeSpec{Name: "v", Adopt: imagePath}); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	claim.Close()
	files := func() int { // the log makes segments when it likes
		return len(slices.DeleteFunc(mustList(t, m), func(name string) bool { return strings.HasPrefix(name, "log-") }))
	}
	before := files()
	if _, err := g.CreateVolume(VolumeSpec{Name: "v", Adopt: imagePath}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.CreateVolume(VolumeSpec{Name: "w", Adopt: imagePath}); !errors.Is(err, ErrInUse) {
		t.Errorf("adopted twice: %v", err)
	}
	if n := files(); n > before+3 { // its name, its leaves, what is to do
		t.Errorf("%d files, %d before", n, before)
	}
	closeGroup(t, g)
}

// A volume whose image does not have everything yet is not deleted; one that is deleted leaves its image complete.
func TestDeleteAdopted(t *testing.T) {
	m := vfs.NewMem(rand.Uint64())
	image := bytes.Repeat([]byte{9}, 64<<10)
	putImage(t, m, image)
	opt := syncOptions(m)
	opt.SpaceWait = 50 * time.Millisecond
	g, err := Create(scenarioDir, opt)
	if err != nil {
		t.Fatal(err)
	}
	v, err := g.CreateVolume(VolumeSpec{Name: "v", Adopt: imagePath})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, v, 4000, fill(1, 9000))
	copy(image[4000:], fill(1, 9000))
	if err := g.DeleteVolume("v"); !errors.Is(err, ErrBusy) {
		t.Fatalf("with an epoch that is not committed: %v", err)
	}
	same(t, "the volume", content(t, v), image)
	g.SetReplication(false)
	for err = ErrBusy; errors.Is(err, ErrBusy); {
		err = g.DeleteVolume("v")
	}
	if err != nil {
		t.Fatal(err)
	}
	awaitDestaged(t, g, seal(t, g, "last"))
	closeGroup(t, g)
	same(t, "the image", readFile(t, m, imagePath), image)
}
