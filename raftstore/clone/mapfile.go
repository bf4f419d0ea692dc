package clone

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// The map is written anew when its records have grown past longBytes and longFactor times what a new one would have.
const (
	longBytes    = 4 << 20
	longFactor   = 4
	mapBytesMax  = 1 << 32
	newMapSuffix = ".new"
)

// mapFile is the open map of an overlay. Safe for concurrent use.
type mapFile struct {
	fs   vfs.FS
	name string
	head header

	longBytes int64 // see long

	mu      sync.Mutex
	f       vfs.File
	at      int64 // where the next record goes
	settled int64 // every record before is covered by a durable commit
	short   int64 // length of the file when it was written anew
}

// createMap writes a map of the blocks of set in place of the file name, if there is one. It is durable on return.
func createMap(fsys vfs.FS, name string, head header, set *roaring64.Bitmap) (*mapFile, error) {
	m := &mapFile{fs: fsys, name: name, head: head, longBytes: longBytes}
	if err := m.rewrite(set); err != nil {
		return nil, err
	}
	return m, nil
}

// readMap returns the header and what the records say.
func readMap(fsys vfs.FS, name string) (*header, *replayed, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("map of a clone: %w", err)
	}
	b, err := readAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, fmt.Errorf("map of a clone %s: %w", name, err)
	}
	h, err := decodeHeader(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	r, err := replay(b, h)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return h, r, nil
}

func readAll(f vfs.File) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > mapBytesMax {
		return nil, fmt.Errorf("%w: map of %d bytes, at most %d are read", ErrDamaged, size, int64(mapBytesMax))
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return nil, err
	}
	return b, nil
}

// end returns where the records end.
func (m *mapFile) end() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// append writes a record, which survives the process on return.
func (m *mapFile) append(r record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appendLocked(r)
}

func (m *mapFile) appendLocked(r record) error {
	b := appendRecord(nil, m.head.seed(), m.at, r)
	if _, err := m.f.WriteAt(b, m.at); err != nil {
		return err
	}
	m.at += int64(len(b))
	return nil
}

// commit makes all records before line durable, and that they are complete. One call at a time.
func (m *mapFile) commit(line int64) error {
	m.mu.Lock()
	if line == m.settled {
		m.mu.Unlock()
		return nil
	}
	at, f := m.at, m.f
	err := m.appendLocked(record{kind: recordCommit, first: uint64(line)})
	end := m.at
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.Datasync(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	alone := at == line && m.at == end // no other record since line
	if err := m.appendLocked(record{kind: recordDurable, first: uint64(end)}); err != nil {
		return err
	}
	if m.settled = line; alone {
		m.settled = m.at
	}
	return nil
}

// long reports whether the file is worth writing anew.
func (m *mapFile) long() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at > m.longBytes+longFactor*m.short
}

// rewrite replaces the file by one that tells of the blocks of set, durably. Nothing is appended meanwhile.
func (m *mapFile) rewrite(set *roaring64.Bitmap) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	head := m.head
	head.incarnation = ident.NewUUID()
	b := appendCheckpoint(head.encode(), head.seed(), set)
	f, err := m.writeNew(b)
	if err != nil {
		return fmt.Errorf("new map of a clone: %w", err)
	}
	if m.f != nil {
		err = m.f.Close()
	}
	m.f, m.head = f, head
	m.at, m.settled, m.short = int64(len(b)), int64(len(b)), int64(len(b))
	return err
}

func (m *mapFile) writeNew(b []byte) (vfs.File, error) {
	temp := m.name + newMapSuffix
	if err := removeFile(m.fs, temp); err != nil {
		return nil, err
	}
	f, err := m.fs.Create(temp)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = m.fs.Rename(temp, m.name)
	}
	if err == nil {
		err = m.fs.SyncDir(filepath.Dir(m.name))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func removeFile(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *mapFile) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.f.Close()
}
