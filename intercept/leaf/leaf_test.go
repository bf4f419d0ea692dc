package leaf

import (
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
)

// stateOf computes a state hash from scratch.
func stateOf(v ident.VolumeID, content []byte) State {
	var s State
	for i := 0; i < len(content); i += BlockSize {
		s = s.Replace(v, uint64(i/BlockSize), 0, Of(content[i:min(i+BlockSize, len(content))]))
	}
	return s
}

func TestStateFollowsChangesInAnyOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	v := ident.VolumeID{UUID: ident.NewUUID()}
	content := make([]byte, 20*BlockSize+512)
	s := State{}
	for range 2000 {
		i := r.IntN(21)
		b := content[i*BlockSize : min((i+1)*BlockSize, len(content))]
		before := Of(b)
		if r.IntN(4) == 0 {
			clear(b)
		} else {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		s = s.Replace(v, uint64(i), before, Of(b))
		if want := stateOf(v, content); s != want {
			t.Fatalf("state is %v, from scratch %v", s, want)
		}
	}
}

func TestStateTellsApart(t *testing.T) {
	v, w := ident.VolumeID{UUID: ident.NewUUID()}, ident.VolumeID{UUID: ident.NewUUID()}
	a, b := make([]byte, 2*BlockSize), make([]byte, 2*BlockSize)
	a[0], b[BlockSize] = 1, 1
	if stateOf(v, a) == stateOf(v, b) {
		t.Error("the same block at another place has the same state")
	}
	if stateOf(v, a) == stateOf(w, a) {
		t.Error("the same content of another volume has the same state")
	}
	if stateOf(v, make([]byte, 3*BlockSize+1)) != (State{}) {
		t.Error("zeroes do not have state 0")
	}
}

func TestLeafZeroMeansZero(t *testing.T) {
	for _, n := range []int{1, 512, BlockSize} {
		b := make([]byte, n)
		if Of(b) != 0 {
			t.Errorf("%d zero bytes: leaf %x", n, Of(b))
		}
		b[n-1] = 1
		if Of(b) == 0 {
			t.Errorf("%d bytes that are not zero have leaf 0", n)
		}
	}
	if !IsZero(make([]byte, 3*BlockSize+7)) || IsZero(append(make([]byte, 2*BlockSize), 1)) {
		t.Error("IsZero is wrong beyond one block")
	}
}

func TestStateText(t *testing.T) {
	want := State{Hi: 1 << 63, Lo: 42}
	b, _ := want.MarshalText()
	var got State
	if err := got.UnmarshalText(b); err != nil || got != want || StateOf(want.Bytes()) != want {
		t.Fatalf("%s: %v, %v", b, got, err)
	}
	if got.UnmarshalText([]byte("zz")) == nil {
		t.Error("nonsense accepted")
	}
}
