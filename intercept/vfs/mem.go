package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync"
)

// SectorBytes is the unit that Mem writes whole or not at all when power is lost.
const SectorBytes = 512

// ErrPowerLost is what every operation returns once the power is off.
var ErrPowerLost = errors.New("power lost")

// Mem is a file system in memory that can lose power. What was written reaches its disk when it is synced, and, sector
// by sector and in any order, at any moment before. Names reach it when their folder is synced, or before. A sync that
// fails leaves what it was to write in the cache, clean, as Linux does: a later sync does not write it. The OpenDirect
// reader sees the disk.
type Mem struct {
	mu      sync.Mutex
	rng     *rand.Rand
	names   map[string]*memNode // as seen now
	durable map[string]*memNode // on disk
	locks   map[string]bool
	links   map[string]string // what Link has named

	ops  int // operations that could fail, so far
	hook func(op Op) error
	off  bool // no power
}

// Op is one operation that changes what is stored, or makes it durable.
type Op struct {
	Number int    // counts from 1
	Name   string // "write", "sync", "create", "rename", "remove", "syncdir", "truncate", "allocate", "punch", "link"
	Path   string
	Off, N int64 // of write, allocate, punch
}

// memNode is a file. cache is what reads see; disk what survives; dirty the sectors that will be written.
type memNode struct {
	cache, disk []byte
	dirty       map[int64]bool
}

// NewMem returns an empty file system whose losses follow seed.
func NewMem(seed uint64) *Mem {
	return &Mem{rng: rand.New(rand.NewPCG(seed, 0)), names: make(map[string]*memNode), durable: make(map[string]*memNode),
		locks: make(map[string]bool), links: make(map[string]string)}
}

// SetHook makes fn run before each operation; an error of fn fails the operation. fn must not call m, except that
// PowerOff may be asked for by returning ErrPowerLost.
func (m *Mem) SetHook(fn func(op Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = fn
}

// Ops is the number of operations so far.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// PowerOff makes every later operation fail.
func (m *Mem) PowerOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
}

// AfterPowerLoss returns the file system as a machine finds it that starts again: of each sector that was not synced
// one of its contents since, of each name that was not synced one of its states. m has no power from then on.
func (m *Mem) AfterPowerLoss() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	n := NewMem(m.rng.Uint64())
	clone := cloner(func(f *memNode) *memNode { return f.afterLoss(m.rng) })
	for name, f := range m.durable {
		n.durable[name] = clone(f)
	}
	for name := range m.changedNames() {
		if m.rng.IntN(2) == 0 {
			continue
		}
		if f := m.names[name]; f != nil {
			n.durable[name] = clone(f)
		} else {
			delete(n.durable, name)
		}
	}
	n.names = maps.Clone(n.durable)
	n.links = maps.Clone(m.links)
	return n
}

// cloner returns a function that clones each file once.
func cloner(clone func(*memNode) *memNode) func(*memNode) *memNode {
	clones := make(map[*memNode]*memNode)
	return func(f *memNode) *memNode {
		if clones[f] == nil {
			clones[f] = clone(f)
		}
		return clones[f]
	}
}

// AfterKill returns the file system as the next process finds it when only the process died: nothing is lost. The two
// share nothing.
func (m *Mem) AfterKill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	n := NewMem(m.rng.Uint64())
	clone := cloner((*memNode).clone)
	for name, f := range m.names {
		n.names[name] = clone(f)
	}
	for name, f := range m.durable {
		n.durable[name] = clone(f)
	}
	n.links = maps.Clone(m.links)
	return n
}

// changedNames are the names whose state on disk is not the present one.
func (m *Mem) changedNames() map[string]bool {
	changed := make(map[string]bool)
	for name, f := range m.names {
		if m.durable[name] != f {
			changed[name] = true
		}
	}
	for name, f := range m.durable {
		if m.names[name] != f {
			changed[name] = true
		}
	}
	return changed
}

// afterLoss is f with each dirty sector written or not.
func (f *memNode) afterLoss(rng *rand.Rand) *memNode {
	disk := append([]byte(nil), f.disk...)
	if rng.IntN(2) == 0 { // the length may have been written, or not
		disk = resize(disk, int64(len(f.cache)))
	}
	for s := range f.dirty {
		if rng.IntN(2) == 0 {
			copySector(&disk, f.cache, s)
		}
	}
	return &memNode{cache: disk, disk: append([]byte(nil), disk...)}
}

func (f *memNode) clone() *memNode {
	return &memNode{cache: bytes.Clone(f.cache), disk: bytes.Clone(f.disk), dirty: maps.Clone(f.dirty)}
}

// copySector copies sector s of src to dst as far as dst goes.
func copySector(dst *[]byte, src []byte, s int64) {
	from := min(s*SectorBytes, int64(len(src)))
	to := min((s+1)*SectorBytes, int64(len(src)), int64(len(*dst)))
	if from < to {
		copy((*dst)[from:to], src[from:to])
	}
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n:n]
	}
	return append(b[:len(b):len(b)], make([]byte, n-int64(len(b)))...)
}

// begin counts an operation and lets the hook fail it; called with mu held.
func (m *Mem) begin(name, path string, off, n int64) error {
	if m.off {
		return ErrPowerLost
	}
	m.ops++
	if m.hook == nil {
		return nil
	}
	err := m.hook(Op{Number: m.ops, Name: name, Path: path, Off: off, N: n})
	if errors.Is(err, ErrPowerLost) {
		m.off = true
	}
	return err
}

func (m *Mem) MkdirAll(string) error { return nil }

func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("create", name, 0, 0); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &memNode{}
	m.names[name] = f
	return &memFile{fs: m, node: f, name: name}, nil
}

func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

func (m *Mem) OpenDirect(name string) (Reader, error) { return m.open(name, true) }

func (m *Mem) open(name string, direct bool) (*memFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerLost
	}
	f := m.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{fs: m, node: f, name: name, direct: direct}, nil
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("rename", to, 0, 0); err != nil {
		return err
	}
	f := m.names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.names, from)
	m.names[to] = f
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("remove", name, 0, 0); err != nil {
		return err
	}
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.names, name)
	delete(m.links, name)
	return nil
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerLost
	}
	var names []string
	for name := range m.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("syncdir", dir, 0, 0); err != nil {
		return err
	}
	for name := range m.changedNames() {
		if filepath.Dir(name) != filepath.Clean(dir) {
			continue
		}
		if f := m.names[name]; f != nil {
			m.durable[name] = f
		} else {
			delete(m.durable, name)
		}
	}
	return nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerLost
	}
	if m.locks[name] {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	m.locks[name] = true
	return &memLock{fs: m, name: name}, nil
}

type memLock struct {
	fs   *Mem
	name string
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}

// Corrupt changes the byte at off of a file by xor, in the cache and on the disk, as a failing disk would.
func (m *Mem) Corrupt(name string, off int64, xor byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil || off >= int64(len(f.cache)) {
		return &fs.PathError{Op: "corrupt", Path: name, Err: fs.ErrNotExist}
	}
	f.cache[off] ^= xor
	if off < int64(len(f.disk)) {
		f.disk[off] ^= xor
	}
	return nil
}
