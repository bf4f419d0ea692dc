package export

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"golang.org/x/sys/unix"
)

// memory is a Source that describes one range at a time.
type memory struct {
	b   []byte
	cut int64 // content ends early from here on; 0: never
}

func (m *memory) Ranges(_ context.Context, off int64) ([]Range, int64, error) {
	next := min(off+100<<10, int64(len(m.b)))
	var out []Range
	for at := off; at < next; at += 3000 { // not whole blocks
		end := min(at+3000, next)
		if !leaf.IsZero(m.b[at:end]) {
			out = append(out, Range{at, end - at})
		}
	}
	return out, next, nil
}

func (m *memory) Content(_ context.Context, off, n int64) (io.ReadCloser, error) {
	end := off + n
	if m.cut > 0 {
		end = max(off, min(end, m.cut))
	}
	return io.NopCloser(bytes.NewReader(m.b[off:end])), nil
}

// sample is content with holes, of a size that is not a multiple of a block, and its volume.
func sample(seed uint64) ([]byte, Volume) {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 3<<20+512)
	for range 40 {
		n := rng.IntN(60000)
		off := rng.IntN(len(b) - n)
		for i := range n {
			b[off+i] = byte(rng.Uint32())
		}
	}
	b[len(b)-1] = 1
	v := Volume{ID: ident.VolumeID{UUID: ident.UUID{7}}, Size: int64(len(b))}
	for off := 0; off < len(b); off += leaf.BlockSize {
		v.State = v.State.Replace(v.ID, uint64(off/leaf.BlockSize), 0, leaf.Of(b[off:min(off+leaf.BlockSize, len(b))]))
	}
	return b, v
}

func TestFileIsSparseAndRight(t *testing.T) {
	b, v := sample(1)
	clear(b[1<<20 : 2<<20])
	v.State = stateOf(v, b)
	name := filepath.Join(t.TempDir(), "v.img")
	f, err := NewFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	if err := errors.Join(Run(t.Context(), &memory{b: b}, v, f, func(n int64) { last = n }), f.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, b) || last != v.Size {
		t.Errorf("image of %d bytes, progress ended at %d: %v", len(got), last, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil || st.Blocks*512 > v.Size-1<<19 {
		t.Errorf("image of %d bytes takes %d: %v", v.Size, st.Blocks*512, err)
	}
	if _, err := NewFile(name); !errors.Is(err, os.ErrExist) {
		t.Errorf("an image is replaced: %v", err)
	}
	nothingBeside(t, name)
}

func stateOf(v Volume, b []byte) leaf.State {
	var s leaf.State
	for off := 0; off < len(b); off += leaf.BlockSize {
		s = s.Replace(v.ID, uint64(off/leaf.BlockSize), 0, leaf.Of(b[off:min(off+leaf.BlockSize, len(b))]))
	}
	return s
}

func nothingBeside(t *testing.T, names ...string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(names[0]))
	if err != nil || len(list) != len(names) {
		t.Errorf("beside %v: %v, %v", names, list, err)
	}
}

func TestPipe(t *testing.T) {
	b, v := sample(2)
	v.Size += 5 << 20 // ends in zeroes
	b = append(b, make([]byte, 5<<20)...)
	v.State = stateOf(v, b)
	var out bytes.Buffer
	if err := Run(t.Context(), &memory{b: b}, v, NewPipe(&out), nil); err != nil || !bytes.Equal(out.Bytes(), b) {
		t.Errorf("%d of %d bytes: %v", out.Len(), len(b), err)
	}
}

// TestWrongContent: what is not the point leaves no file.
func TestWrongContent(t *testing.T) {
	b, v := sample(3)
	bad := bytes.Clone(b)
	bad[len(bad)-1] ^= 1
	for name, step := range map[string]struct {
		src  *memory
		want error
	}{"one bit": {&memory{b: bad}, ErrMismatch}, "cut off": {&memory{b: b, cut: 2 << 20}, io.ErrUnexpectedEOF}} {
		path := filepath.Join(t.TempDir(), "v.img")
		f, err := NewFile(path)
		if err != nil {
			t.Fatal(err)
		}
		err = Run(t.Context(), step.src, v, f, nil)
		if !errors.Is(err, step.want) && !(errors.Is(step.want, io.ErrUnexpectedEOF) && errors.Is(err, io.EOF)) {
			t.Errorf("%s: %v, want %v", name, err, step.want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) > 0 {
			t.Errorf("%s leaves %v, %v", name, list, err)
		}
	}
}

func TestQCOW2(t *testing.T) {
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		if os.Getenv("WEIR_REQUIRE_TOOLS") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	b, v := sample(4)
	dir := t.TempDir()
	name, raw := filepath.Join(dir, "v.qcow2"), filepath.Join(t.TempDir(), "raw")
	s, err := NewQCOW2(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Run(t.Context(), &memory{b: b}, v, s, nil), s.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "convert", "-f", "qcow2", "-O", "raw", name, raw).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(raw); err != nil || !bytes.Equal(got, b) {
		t.Errorf("image of %d bytes: %v", len(got), err)
	}
	nothingBeside(t, name)
	t.Setenv("PATH", t.TempDir())
	if _, err := NewQCOW2(t.Context(), filepath.Join(dir, "w.qcow2")); !errors.Is(err, ErrNoTool) {
		t.Errorf("without qemu-img: %v", err)
	}
}
