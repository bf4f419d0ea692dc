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
	in := map[string][]byte{"empty": {}, "zeroes": make([]byte, 70000), "one": {7}, "two": {7, 7}, "four": []byte("abca")}
	for _, n := range []int{3, 100, 32767, 65800, 140000} {
		in[fmt.Sprintf("prose %d", n)] = prose(n)
	}
	for _, n := range []int{300, 66000} {
		in[fmt.Sprintf("bytes %d", n)] = random(n, 256)
		in[fmt.Sprintf("digits %d", n)] = random(n, 10)
		in[fmt.Sprintf("bits %d", n)] = random(n, 2)
	}
	mixed := append(prose(20000), random(20000, 256)...)
	mixed = append(append(mixed, make([]byte, 10000)...), mixed[5000:30000]...)
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
	1: "069297f21728a668246807de6bc6965369c6b5aea8d6464a03e05749e59bf317",
	2: "912a395cab0cb0a9c4399d0ed20d1d1943dae7612140619e1470ab320bc38c45",
	3: "712b2b887b616121d10f9bd892d44182651c4b8d850cd440849a7b590011bf41",
	4: "3aaee62d39d3e283ed203c851685404fbdb60486f080fb1785561311e8b1119c",
	5: "2ddac2ff961a96c2e4d2c5064c2ac1b7dea0622f75277d35fc7b30cb61e4e2f4",
	6: "005d6e7eb5beb472979c4d7e9fe9897d53ca02ee50115a27b2d77a64360088d8",
	7: "b31e4e0d8d698540be5312889d0ef8ed14161b4b6cc88ac29a0af0f3b4af80b8",
	8: "1a441046f9921fd1a22d061dfad23ef5240ed42fcb7526b002a7a696c313fbc2",
	9: "fc02931a94c3576307c3900aa1b624872764670020785bec7de48650988224d5",
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
		for _, level := range []int{1, 6} {
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
	b := inputs()["prose 65800"]
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
	body := inputs()["prose 140000"]
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
	in := inputs()["prose 140000"]
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
