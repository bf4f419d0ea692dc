package vfs

import (
	"bytes"
	"io"
)

// memFile is an open file of a Mem.
type memFile struct {
	fs     *Mem
	node   *memNode
	name   string
	direct bool
}

var (
	_ FS   = (*Mem)(nil)
	_ File = (*memFile)(nil)
)

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.off {
		return 0, ErrPowerLost
	}
	content := f.node.cache
	if f.direct {
		content = f.node.direct()
	}
	if off >= int64(len(content)) {
		return 0, io.EOF
	}
	n := copy(p, content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// direct is what a read past the cache sees: the disk, and what is dirty, which goes to the disk's own cache before.
func (n *memNode) direct() []byte {
	b := resize(n.disk, int64(len(n.cache)))
	if len(n.dirty) > 0 {
		b = bytes.Clone(b)
	}
	for s := range n.dirty {
		copySector(&b, n.cache, s)
	}
	return b
}

func (f *memFile) ReadvAt(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		n, err := f.ReadAt(b, off)
		if n < len(b) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		off += int64(n)
	}
	return nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.WritevAt([][]byte{p}, off)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// WritevAt stores all of bufs or, when it fails, some of their sectors.
func (f *memFile) WritevAt(bufs [][]byte, off int64) error {
	var all []byte
	for _, b := range bufs {
		all = append(all, b...)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	wasOff := f.fs.off
	err := f.fs.begin("write", f.name, off, int64(len(all)))
	if wasOff {
		return err
	}
	if err != nil {
		end := (off + f.fs.rng.Int64N(int64(len(all))+1)) / SectorBytes * SectorBytes
		all = all[:max(0, end-off)]
	}
	f.node.write(all, off, func() bool { return f.fs.rng.IntN(8) == 0 })
	return err
}

// write changes the cache. early says, for each sector that is overwritten while it is dirty, whether what it held had
// reached the disk by then.
func (n *memNode) write(p []byte, off int64, early func() bool) {
	end := off + int64(len(p))
	if end > int64(len(n.cache)) {
		n.cache = resize(n.cache, end)
	}
	for s := off / SectorBytes; s*SectorBytes < end; s++ {
		if n.dirty[s] && early() {
			n.settle(s)
		}
	}
	copy(n.cache[off:], p)
	n.touch(off, end)
}

// touch makes the sectors of [off, end) dirty.
func (n *memNode) touch(off, end int64) {
	if n.dirty == nil {
		n.dirty = make(map[int64]bool)
	}
	for s := off / SectorBytes; s*SectorBytes < end; s++ {
		n.dirty[s] = true
	}
}

// settle writes sector s to the disk.
func (n *memNode) settle(s int64) {
	if need := min((s+1)*SectorBytes, int64(len(n.cache))); need > int64(len(n.disk)) {
		n.disk = resize(n.disk, need)
	}
	copySector(&n.disk, n.cache, s)
}

// flush writes everything that is dirty to the disk.
func (n *memNode) flush() {
	n.disk = resize(n.disk, int64(len(n.cache)))
	for s := range n.dirty {
		n.settle(s)
	}
	clear(n.dirty)
}

func (f *memFile) Datasync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	wasOff := f.fs.off
	err := f.fs.begin("sync", f.name, 0, 0)
	switch {
	case wasOff || err != nil && f.fs.off:
		return err
	case err != nil:
		f.node.lose(func() bool { return f.fs.rng.IntN(2) == 0 })
		return err
	}
	f.node.flush()
	return nil
}

// lose is a sync that fails: what is dirty becomes clean, written or not.
func (n *memNode) lose(written func() bool) {
	for s := range n.dirty {
		if written() {
			n.settle(s)
		}
	}
	clear(n.dirty)
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("truncate", f.name, size, 0); err != nil {
		return err
	}
	f.node.cache = resize(f.node.cache, size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.off {
		return 0, ErrPowerLost
	}
	return int64(len(f.node.cache)), nil
}

// NextData knows holes of whole sectors.
func (f *memFile) NextData(off int64) (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.off {
		return 0, ErrPowerLost
	}
	for ; off < int64(len(f.node.cache)); off = (off/SectorBytes + 1) * SectorBytes {
		end := min((off/SectorBytes+1)*SectorBytes, int64(len(f.node.cache)))
		if !bytes.Equal(f.node.cache[off:end], zeroes[:end-off]) {
			return off, nil
		}
	}
	return 0, io.EOF
}

// NextHole knows holes of whole sectors.
func (f *memFile) NextHole(off int64) (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.off {
		return 0, ErrPowerLost
	}
	size := int64(len(f.node.cache))
	for ; off < size; off = (off/SectorBytes + 1) * SectorBytes {
		end := min((off/SectorBytes+1)*SectorBytes, size)
		if bytes.Equal(f.node.cache[off:end], zeroes[:end-off]) {
			return off, nil
		}
	}
	return size, nil
}

func (f *memFile) Allocate(off, n int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("allocate", f.name, off, n); err != nil {
		return err
	}
	if off+n > int64(len(f.node.cache)) {
		f.node.cache = resize(f.node.cache, off+n)
	}
	return nil
}

func (f *memFile) Punch(off, n int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("punch", f.name, off, n); err != nil {
		return err
	}
	end := min(off+n, int64(len(f.node.cache)))
	if off < end {
		f.node.write(make([]byte, end-off), off, func() bool { return f.fs.rng.IntN(8) == 0 })
	}
	return nil
}

func (f *memFile) StartWriteback(int64, int64) {}

func (f *memFile) Drop(int64, int64) {}

func (f *memFile) Close() error { return nil }
