package iscsi_test

import (
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/memory"
)

// hooks are called before the device does anything; nil ones do nothing.
type hooks struct {
	read, write func(p []byte, off int64) error
	flush       func() error
	zero        func(off, n int64) error
}

// hooked is a memory device whose calls a test can watch, delay and fail.
type hooked struct {
	*memory.Device
	hooks    atomic.Pointer[hooks]
	readOnly atomic.Bool
	grown    atomic.Int64 // added to the size that is told
}

func newHooked(size int64) *hooked {
	d := &hooked{Device: memory.New(size, 512)}
	d.set(hooks{})
	return d
}

func (d *hooked) set(h hooks) { d.hooks.Store(&h) }

func (d *hooked) ReadAt(p []byte, off int64) error {
	if hook := d.hooks.Load().read; hook != nil {
		if err := hook(p, off); err != nil {
			return err
		}
	}
	return d.Device.ReadAt(p, off)
}

func (d *hooked) WriteAt(p []byte, off int64, fua bool) error {
	if hook := d.hooks.Load().write; hook != nil {
		if err := hook(p, off); err != nil {
			return err
		}
	}
	return d.Device.WriteAt(p, off, fua)
}

func (d *hooked) WriteBatch(ops []target.WriteOp) {
	for i := range ops {
		ops[i].Err = d.WriteAt(ops[i].Data, ops[i].Off, ops[i].FUA)
	}
}

func (d *hooked) WriteZeroes(off, n int64, flags target.ZeroFlags) error {
	if hook := d.hooks.Load().zero; hook != nil {
		if err := hook(off, n); err != nil {
			return err
		}
	}
	return d.Device.WriteZeroes(off, n, flags)
}

func (d *hooked) Trim(off, n int64, _ bool) error { return d.WriteZeroes(off, n, 0) }

func (d *hooked) Flush() error {
	if hook := d.hooks.Load().flush; hook != nil {
		return hook()
	}
	return nil
}

func (d *hooked) ReadOnly() bool { return d.readOnly.Load() }
func (d *hooked) Size() int64    { return d.Device.Size() + d.grown.Load() }

// gate holds callers back until it is opened, and counts who has come.
type gate struct {
	came chan struct{}
	open chan struct{}
	once sync.Once
}

func newGate() *gate { return &gate{came: make(chan struct{}, 1024), open: make(chan struct{})} }

// pass announces the caller and waits.
func (g *gate) pass() {
	g.came <- struct{}{}
	<-g.open
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

// holey is a memory device that remembers, in pieces of 4096 bytes, what was unmapped.
type holey struct {
	*memory.Device
	mu    sync.Mutex
	holes []bool
}

func (d *holey) WriteAt(p []byte, off int64, fua bool) error {
	d.note(off, int64(len(p)), false)
	return d.Device.WriteAt(p, off, fua)
}

func (d *holey) WriteBatch(ops []target.WriteOp) {
	for i := range ops {
		ops[i].Err = d.WriteAt(ops[i].Data, ops[i].Off, ops[i].FUA)
	}
}

func (d *holey) WriteZeroes(off, n int64, flags target.ZeroFlags) error {
	d.note(off, n, false)
	return d.Device.WriteZeroes(off, n, flags)
}

func (d *holey) Trim(off, n int64, fua bool) error {
	d.note(off, n, true)
	return d.Device.Trim(off, n, fua)
}

func (d *holey) note(off, n int64, hole bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holes == nil {
		d.holes = make([]bool, d.Size()/4096)
	}
	from, to := off/4096, (off+n+4095)/4096
	if hole {
		from, to = (off+4095)/4096, (off+n)/4096
	}
	for i := from; i < to; i++ {
		d.holes[i] = hole
	}
}

func (d *holey) Extents(off, n int64) ([]target.Extent, error) {
	if err := target.CheckRange(off, n, d.Size()); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []target.Extent
	for end := off + n; off < end; {
		next := min(off/4096*4096+4096, end)
		kind := target.Data
		if d.holes != nil && d.holes[off/4096] {
			kind = target.Hole
		}
		if last := len(list) - 1; last >= 0 && list[last].Kind == kind {
			list[last].Len += next - off
		} else {
			list = append(list, target.Extent{Off: off, Len: next - off, Kind: kind})
		}
		off = next
	}
	return list, nil
}

// keeper keeps reservations in memory.
type keeper struct {
	mu      sync.Mutex
	records map[[16]byte][]byte
	fail    error
}

func newKeeper() *keeper { return &keeper{records: make(map[[16]byte][]byte)} }

func (k *keeper) Load(id [16]byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.records[id], nil
}

func (k *keeper) Save(id [16]byte, record []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.records[id] = record
	return nil
}
