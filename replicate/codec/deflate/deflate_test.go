package deflate

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inputs are contents of different kinds and lengths; they never change, since golden digests stand for them.
func inputs() map[string][]byte {
	rnd := rand.New(rand.NewPCG(11, 12))
	words := make([][]byte, 400)
	for i := range words {
		w := make([]byte, 2+rnd.IntN(9))
		for k := range w {
			w[k] = 'a' + byte(rnd.IntN(26))
		}
		words[i] = w
	}
	prose := func(n int) []byte {
		b := make([]byte, 0, n+20)
		for len(b) < n {
			b = append(b, words[min(rnd.IntN(400), rnd.IntN(400))]...)
			b = append(b, " \n,."[min(rnd.IntN(4), rnd.IntN(4))])
		}
		return b[:n]
	}
	random := func(n, span int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.IntN(span))
		}
		return b
	}
	in := map[string][]byte{"empty": {}, "zeroes": make([]byte, 200000), "one": {7}, "two": {7, 7}, "four": []byte("abca")}
	for _, n := range []int{3, 100, 5000, 32767, 65536, 65800, 70000, 300000} {
		in[fmt.Sprintf("prose %d", n)] = prose(n)
	}
	for _, n := range []int{300, 66000, 150000} {
		in[fmt.Sprintf("bytes %d", n)] = random(n, 256)
		in[fmt.Sprintf("digits %d", n)] = random(n, 10)
		in[fmt.Sprintf("bits %d", n)] = random(n, 2)
	}
	mixed := append(prose(40000), random(40000, 256)...)
	mixed = append(append(mixed, make([]byte, 30000)...), mixed[10000:60000]...)
	in["mixed"] = mixed
	skew := make([]byte, 90000) // code lengths beyond 15 bits
	for i, k := 0, 0; i < len(skew); k++ {
		for n := 1 << min(k, 16); n > 0 && i < len(skew); n-- {
			skew[i] = byte(k)
			i++
		}
	}
	rnd.Shuffle(len(skew), func(i, j int) { skew[i], skew[j] = skew[j], skew[i] })
	in["skewed"] = skew
	return in
}

// golden is, by level, the SHA-256 of what zlib 1.2.13 makes of all inputs, in the order of their names, one behind the
// other, with windowBits -15 and memLevel 8.
var golden = [10]string{
	1: "4ed2d3b89ed7e37e53ebab46aa3168dd9081e82394c0528cf8f7bf69c3601ed8",
	2: "b5789a6a8a7e5720ccb569bc191dedb5aa498e68dc8b287f0ba0345c0fd1da5a",
	3: "8aadc9d59914ddb9b7d2d49b2a8d42721e506cca3ecbc6f7347feb58d8bebe0d",
	4: "cc9be200ad3d6634def36363203023ade60385652959d9f463169b19a46b300f",
	5: "ab4fd025cbcd0afa84a0c4579933c267fda19910359f2067c3b673a857608e3b",
	6: "69d1ab30bf1d184221d42c8f7e1cbec0c111820f143120c850f9eb7fe2fcab3f",
	7: "b4bce2a9ae5ceb91f2b32bfa8d308f373c2a80c87a803ee978f11668cb446a27",
	8: "c2eb2daf0d2566a9b6e5db4de3511a461ac08028aff633ef58018e1f41822614",
	9: "dba8efb385e51c7c32504a91fa1baccef6d9a69cb48524c605a80861bb2a92c0",
}

// TestLikeZlib compares with digests of zlib's own output.
func TestLikeZlib(t *testing.T) {
	in := inputs()
	c := NewCompressor()
	for level := 1; level <= 9; level++ {
		h := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(in)) {
			h.Write(c.Append(nil, in[name], level))
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != golden[level] {
			t.Errorf("level %d: digest is %s, want %s", level, got, golden[level])
		}
	}
}

// TestRoundTrip has the standard library decompress what we make, and our Inflater find its end.
func TestRoundTrip(t *testing.T) {
	c, f := NewCompressor(), NewInflater()
	for name, b := range inputs() {
		for _, level := range []int{1, 3, 4, 6, 9} {
			z := c.Append([]byte("before"), b, level)[6:]
			if back, err := io.ReadAll(flate.NewReader(bytes.NewReader(z))); err != nil || !bytes.Equal(back, b) {
				t.Fatalf("%s at level %d: %d bytes come back, %v", name, level, len(back), err)
			}
			back, used, err := f.Append(nil, append(z, "behind"...), len(b))
			if err != nil || used != len(z) || !bytes.Equal(back, b) {
				t.Fatalf("%s at level %d: Inflater used %d of %d: %v", name, level, used, len(z), err)
			}
			if !c.Equal(b, z, nil, level) {
				t.Fatalf("%s at level %d is not equal to itself", name, level)
			}
		}
	}
}

// TestNotEqual changes streams: Equal must see it.
func TestNotEqual(t *testing.T) {
	c := NewCompressor()
	b := inputs()["prose 70000"]
	z := c.Append(nil, b, 6)
	for _, at := range []int{0, 1, len(z) / 2, len(z) - 1} {
		other := bytes.Clone(z)
		other[at] ^= 4
		if c.Equal(b, other, nil, 6) {
			t.Errorf("byte %d changed: still equal", at)
		}
	}
	if c.Equal(b, z[:len(z)-1], nil, 6) || c.Equal(b, append(z, 0), nil, 6) || c.Equal(b, z, nil, 5) {
		t.Error("another stream is equal")
	}
}

func TestInflateLimits(t *testing.T) {
	z := NewCompressor().Append(nil, make([]byte, 100000), 6)
	f := NewInflater()
	if _, _, err := f.Append(nil, z, 99999); !errors.Is(err, ErrTooLong) {
		t.Errorf("one byte too many: %v", err)
	}
	for n := range len(z) {
		if _, _, err := f.Append(nil, z[:n], 1<<20); err == nil {
			t.Errorf("a stream cut at %d of %d is accepted", n, len(z))
		}
	}
}

// TestGitObject compares with a loose object that git has written.
func TestGitObject(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: install the Debian package git")
	}
	dir := t.TempDir()
	git := func(in []byte, args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git(nil, "init", "-q")
	body := inputs()["prose 300000"]
	id := git(body, "hash-object", "-w", "--stdin")
	z, err := os.ReadFile(filepath.Join(dir, ".git", "objects", id[:2], id[2:]))
	if err != nil {
		t.Fatal(err)
	}
	content := append(fmt.Appendf(nil, "blob %d\x00", len(body)), body...)
	// git's default for loose objects is level 1 (core.looseCompression); 2 bytes of zlib header, 4 of trailer.
	if !NewCompressor().Equal(content, z[2:len(z)-4], nil, 1) {
		t.Error("git's object is not what level 1 makes")
	}
}

// FuzzCompress compresses anything at any level: the standard library must give it back.
func FuzzCompress(f *testing.F) {
	f.Add([]byte("abcabcabcabcdabcd"), byte(6))
	f.Add(bytes.Repeat([]byte("0123456789"), 7000), byte(1))
	c := NewCompressor()
	f.Fuzz(func(t *testing.T, b []byte, level byte) {
		z := c.Append(nil, b, 1+int(level)%9)
		if back, err := io.ReadAll(flate.NewReader(bytes.NewReader(z))); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%d bytes come back of %d: %v", len(back), len(b), err)
		}
	})
}

// FuzzInflate decompresses anything: no panic, no more than the limit, and what is accepted the standard library
// accepts too.
func FuzzInflate(f *testing.F) {
	f.Add(NewCompressor().Append(nil, []byte("abcabcabcabcdabcd"), 6))
	inf := NewInflater()
	f.Fuzz(func(t *testing.T, b []byte) {
		out, used, err := inf.Append(nil, b, 1<<16)
		if err != nil {
			return
		}
		if len(out) > 1<<16 || used > len(b) {
			t.Fatalf("%d bytes out of %d of %d", len(out), used, len(b))
		}
		if back, err := io.ReadAll(flate.NewReader(bytes.NewReader(b[:used]))); err != nil || !bytes.Equal(back, out) {
			t.Fatalf("the standard library says %v", err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	in := inputs()["prose 300000"]
	c := NewCompressor()
	for _, level := range []int{1, 6, 9} {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = c.Append(out[:0], in, level)
			}
		})
	}
}
