package replicate

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

func sampleCommit(r *rand.Rand) *Commit {
	c := &Commit{
		Group:    ident.GroupID{UUID: ident.NewUUID()},
		Timeline: ident.Timeline{UUID: ident.NewUUID()},
		First:    ident.Seq(1 + r.Uint64N(1000)),
		Time:     r.Int64N(1<<62) - 1<<61,
		Name:     []string{"", "before upgrade", "täglich"}[r.IntN(3)],
	}
	c.End = c.First + ident.Seq(r.Uint64N(1000))
	if r.IntN(2) == 0 {
		c.Previous = ident.Point{Group: c.Group, Timeline: c.Timeline, End: c.First - 1, Digest: ident.Digest{1, 2, 3}}
	}
	for range r.IntN(5) {
		c.Packs = append(c.Packs, pack.Ref{ID: pack.Sum([]byte{byte(r.Uint32())}), Size: r.Uint32N(pack.MaxBytes)})
	}
	for range r.IntN(4) {
		v := VolumeState{Volume: ident.VolumeID{UUID: ident.NewUUID()}, Name: "v", Size: r.Int64N(1<<30) * 4096,
			BlockSize: 4096, State: leaf.State{Hi: r.Uint64(), Lo: r.Uint64()}}
		v.Counts[r.IntN(len(v.Counts))].WireBytes = r.Uint64()
		v.Partial = r.IntN(4) == 0
		c.Volumes = append(c.Volumes, v)
	}
	return c
}

func TestCommitRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		want := sampleCommit(r)
		got, err := DecodeCommit(want.Encode())
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if got.Point() != want.Point() {
			t.Fatalf("point is %v, want %v", got.Point(), want.Point())
		}
	}
}

func TestCommitEveryByteCounts(t *testing.T) {
	c := sampleCommit(rand.New(rand.NewPCG(1, 2)))
	b := c.Encode()
	for i := range b {
		changed := append([]byte(nil), b...)
		changed[i] ^= 1
		other, err := DecodeCommit(changed)
		if err == nil && other.Digest() == c.Digest() {
			t.Errorf("byte %d of %d does not change the digest", i, len(b))
		}
	}
}

func TestCommitRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	good := func() *Commit {
		c := sampleCommit(r)
		c.Volumes = []VolumeState{{Volume: ident.VolumeID{UUID: ident.NewUUID()}, Name: "v", Size: 4096, BlockSize: 512}}
		return c
	}
	cases := map[string]func(c *Commit){
		"no group":           func(c *Commit) { c.Group = ident.GroupID{} },
		"no timeline":        func(c *Commit) { c.Timeline = ident.Timeline{} },
		"goes back":          func(c *Commit) { c.Previous = ident.Point{Timeline: c.Timeline, Group: c.Group, End: c.End} },
		"volume twice":       func(c *Commit) { c.Volumes = append(c.Volumes, c.Volumes[0]) },
		"volume without ID":  func(c *Commit) { c.Volumes[0].Volume = ident.VolumeID{} },
		"odd block size":     func(c *Commit) { c.Volumes[0].BlockSize = 1000 },
		"size off the block": func(c *Commit) { c.Volumes[0].Size = 513 },
		"long name":          func(c *Commit) { c.Name = string(make([]byte, MaxNameSize+1)) },
	}
	for name, spoil := range cases {
		c := good()
		if _, err := DecodeCommit(c.Encode()); err != nil {
			t.Fatalf("unspoilt: %v", err)
		}
		spoil(c)
		if _, err := DecodeCommit(c.Encode()); !errors.Is(err, ErrBadCommit) {
			t.Errorf("%s: got %v, want ErrBadCommit", name, err)
		}
	}
}

func FuzzDecodeCommit(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 8 {
		f.Add(sampleCommit(r).Encode())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommit(b)
		if err != nil {
			if !errors.Is(err, ErrBadCommit) {
				t.Fatalf("error without sentinel: %v", err)
			}
			return
		}
		if string(c.Encode()) != string(b) {
			t.Fatal("accepted bytes that are not canonical")
		}
	})
}
