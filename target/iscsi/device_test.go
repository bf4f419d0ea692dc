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
