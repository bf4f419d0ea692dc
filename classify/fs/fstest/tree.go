package fstest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Entry is what a walk of a mounted file system sees of a file.
type Entry struct {
	Inode uint64
	Mode  fs.FileMode
	Size  int64
	Sum   [32]byte // SHA-256 of the content of a regular file
}

// Populate makes a tree of a few hundred files: nested and large directories, files in pieces, sparse files, links, and
// the gaps that deleted files leave.
func Populate(t testing.TB, dir string, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	p := &populate{t: t, dir: dir, rng: rng}
	for i := range 300 {
		p.write(fmt.Sprintf("many/file-with-a-rather-long-name-%04d", i), rng.IntN(9000))
	}
	deep := "deep"
	for i := range 12 {
		deep += fmt.Sprintf("/level%d", i)
		p.write(deep+"/leaf", rng.IntN(50000))
	}
	p.interleave("pieces", 6, 20)
	p.sparse("sparse", 3<<20)
	p.write("big", 3<<20)
	for i := 0; i < 300; i += 3 {
		p.do(os.Remove(filepath.Join(dir, fmt.Sprintf("many/file-with-a-rather-long-name-%04d", i))))
	}
	p.write("after", 1<<20)
	p.do(os.Link(filepath.Join(dir, "big"), filepath.Join(dir, "deep/hard")))
	p.do(os.Symlink("big", filepath.Join(dir, "soft")))
	p.write("tiny", 5)
	p.write("umlaut-äöü", 77)
}

// populate writes files.
type populate struct {
	t   testing.TB
	dir string
	rng *rand.Rand
}

func (p *populate) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *populate) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.rng.Uint32())
	}
	return b
}

func (p *populate) write(name string, n int) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	p.do(os.MkdirAll(filepath.Dir(path), 0o755))
	p.do(os.WriteFile(path, p.bytes(n), 0o644))
}

// interleave appends to several files in turn, each time to the disk, so that their blocks alternate.
func (p *populate) interleave(dir string, files, rounds int) {
	p.t.Helper()
	p.do(os.MkdirAll(filepath.Join(p.dir, dir), 0o755))
	for range rounds {
		for i := range files {
			f, err := os.OpenFile(filepath.Join(p.dir, dir, fmt.Sprint(i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			p.do(err)
			_, err = f.Write(p.bytes(4096 + p.rng.IntN(8192)))
			p.do(err)
			p.do(f.Sync())
			p.do(f.Close())
		}
	}
}

// sparse writes every other piece of a file.
func (p *populate) sparse(name string, n int64) {
	p.t.Helper()
	f, err := os.Create(filepath.Join(p.dir, name))
	p.do(err)
	for off := int64(0); off < n; off += 128 << 10 {
		_, err := f.WriteAt(p.bytes(20000), off)
		p.do(err)
	}
	p.do(f.Truncate(n + 12345))
	p.do(f.Close())
}

// Walk lists all files of a mounted file system by path, "/" first.
func Walk(t testing.TB, dir string) map[string]Entry {
	t.Helper()
	out := map[string]Entry{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		e := Entry{Inode: info.Sys().(*syscall.Stat_t).Ino, Mode: info.Mode(), Size: info.Size()}
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.Sum = sha256.Sum256(b)
		}
		out[filepath.Join("/", rel)] = e
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
