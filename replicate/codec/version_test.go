package codec

import (
	"bytes"
	"os"
	"testing"

	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
)

// TestFrameTypeOne decodes what the builds before S2 columns wrote of sample.
func TestFrameTypeOne(t *testing.T) {
	b, err := os.ReadFile("testdata/frame-type-1.pack")
	if err != nil {
		t.Fatal(err)
	}
	old, new, _ := sample()
	v := volumeID(1)
	got := apply(t, [][]byte{b}, map[ident.VolumeID][]byte{v: old}, map[ident.VolumeID]int64{v: int64(len(new))})
	if !bytes.Equal(got[v], new) {
		t.Errorf("differs at %d", matchForward(got[v], new))
	}
}

// TestEveryAnswer encodes sample with each answer to each question.
func TestEveryAnswer(t *testing.T) {
	old, new, xs := sample()
	v := volumeID(1)
	for a := range engine.NumSearch {
		for b := range engine.NumSqueeze {
			e := NewEncoder(Options{Model: engine.Fixed(a, b)})
			_, packs := encodeAll(t, e, []VolumeChange{{Volume: v, Size: int64(len(new)), Extents: xs, Old: memView(old), New: memView(new)}})
			got := apply(t, packs, map[ident.VolumeID][]byte{v: old}, map[ident.VolumeID]int64{v: int64(len(new))})
			if !bytes.Equal(got[v], new) {
				t.Errorf("%v, %v: differs at %d", a, b, matchForward(got[v], new))
			}
		}
	}
}

// samples counts what a recorder gets.
type samples struct{ runs, columns int }

func (s *samples) RunSample(_ *engine.Run, out *[engine.NumSearch]engine.Outcome) {
	s.runs++
	for i := 1; i < len(out); i++ {
		if out[i].Work < out[i-1].Work {
			s.runs = -1 << 30 // each search includes the one before
		}
	}
}

func (s *samples) ColumnSample(*engine.Column, *[engine.NumSqueeze]engine.Outcome) { s.columns++ }

// TestRecorder encodes with and without a recorder: the packs are the same.
func TestRecorder(t *testing.T) {
	old, new, xs := sample()
	ch := []VolumeChange{{Volume: volumeID(1), Size: int64(len(new)), Extents: xs, Old: memView(old), New: memView(new)}}
	s := &samples{}
	_, plain := encodeAll(t, NewEncoder(Options{}), ch)
	_, recorded := encodeAll(t, NewEncoder(Options{Recorder: s}), ch)
	if !bytes.Equal(plain[0], recorded[0]) {
		t.Errorf("%d bytes without, %d with a recorder", len(plain[0]), len(recorded[0]))
	}
	if s.runs < 4 || s.columns < 3 {
		t.Errorf("%d runs, %d columns", s.runs, s.columns)
	}
}
