package memory

import (
	"sync"

	"github.com/weirstor/weir/target"
)

var (
	_ target.Device      = (*Device)(nil)
	_ target.BatchWriter = (*Device)(nil)
)

// Device keeps its content in one slice. Safe for concurrent use; nothing survives the process.
type Device struct {
	mu        sync.RWMutex
	content   []byte
	blockSize int
}

// New returns a zero-filled device of size bytes with the given logical block size.
func New(size int64, blockSize int) *Device {
	return &Device{content: make([]byte, size), blockSize: blockSize}
}

func (d *Device) ReadAt(p []byte, off int64) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := target.CheckRange(off, int64(len(p)), int64(len(d.content))); err != nil {
		return err
	}
	copy(p, d.content[off:])
	return nil
}

func (d *Device) WriteAt(p []byte, off int64, _ bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writeLocked(p, off)
}

func (d *Device) writeLocked(p []byte, off int64) error {
	if err := target.CheckRange(off, int64(len(p)), int64(len(d.content))); err != nil {
		return err
	}
	copy(d.content[off:], p)
	return nil
}

func (d *Device) WriteBatch(ops []target.WriteOp) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range ops {
		ops[i].Err = d.writeLocked(ops[i].Data, ops[i].Off)
	}
}

func (d *Device) WriteZeroes(off, n int64, _ target.ZeroFlags) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := target.CheckRange(off, n, int64(len(d.content))); err != nil {
		return err
	}
	clear(d.content[off : off+n])
	return nil
}

func (d *Device) Trim(off, n int64, _ bool) error { return d.WriteZeroes(off, n, 0) }

func (d *Device) Flush() error { return nil }

func (d *Device) Size() int64 { return int64(len(d.content)) }

func (d *Device) BlockSize() int { return d.blockSize }

func (d *Device) ReadOnly() bool { return false }

func (d *Device) Extents(off, n int64) ([]target.Extent, error) {
	if err := target.CheckRange(off, n, d.Size()); err != nil || n == 0 {
		return nil, err
	}
	return []target.Extent{{Off: off, Len: n, Kind: target.Data}}, nil
}
