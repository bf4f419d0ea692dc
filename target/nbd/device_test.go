package nbd

import (
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/memory"
)

// probe is a device that watches its calls and can be told to fail or to wait.
type probe struct {
	*memory.Device
	readOnly bool

	mu     sync.Mutex
	fail   map[string]error         // by method
	gate   map[string]chan struct{} // by method: each call waits until it can receive
	calls  map[string]int
	fuas   int
	flags  []target.ZeroFlags
	holes  []target.Extent
	inside atomic.Int64
	peak   atomic.Int64
	uses   atomic.Int64
}

func newProbe(size int64, blockSize int) *probe {
	return &probe{
		Device: memory.New(size, blockSize),
		fail:   map[string]error{}, gate: map[string]chan struct{}{}, calls: map[string]int{},
	}
}

// enter counts a call of method, waits at its gate, and returns the error it shall fail with.
func (p *probe) enter(method string) error {
	n := p.inside.Add(1)
	defer p.inside.Add(-1)
	for {
		old := p.peak.Load()
		if n <= old || p.peak.CompareAndSwap(old, n) {
			break
		}
	}
	p.mu.Lock()
	p.calls[method]++
	gate, err := p.gate[method], p.fail[method]
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return err
}

func (p *probe) count(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[method]
}

func (p *probe) setFail(method string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail[method] = err
}

// hold makes calls of method wait; open lets all of them go on.
func (p *probe) hold(method string) (open func()) {
	gate := make(chan struct{})
	p.mu.Lock()
	p.gate[method] = gate
	p.mu.Unlock()
	return sync.OnceFunc(func() {
		p.mu.Lock()
		delete(p.gate, method)
		p.mu.Unlock()
		close(gate)
	})
}

func (p *probe) ReadAt(b []byte, off int64) error {
	if err := p.enter("read"); err != nil {
		return err
	}
	return p.Device.ReadAt(b, off)
}

func (p *probe) WriteAt(b []byte, off int64, fua bool) error {
	if err := p.enter("write"); err != nil {
		return err
	}
	p.noteFUA(fua)
	return p.Device.WriteAt(b, off, fua)
}

func (p *probe) WriteBatch(ops []target.WriteOp) {
	p.mu.Lock()
	p.calls["batch"]++
	p.mu.Unlock()
	for i := range ops {
		ops[i].Err = p.WriteAt(ops[i].Data, ops[i].Off, ops[i].FUA)
	}
}

func (p *probe) noteFUA(fua bool) {
	if fua {
		p.mu.Lock()
		p.fuas++
		p.mu.Unlock()
	}
}

func (p *probe) WriteZeroes(off, n int64, flags target.ZeroFlags) error {
	p.mu.Lock()
	p.flags = append(p.flags, flags)
	p.mu.Unlock()
	if err := p.enter("zero"); err != nil {
		return err
	}
	return p.Device.WriteZeroes(off, n, flags)
}

func (p *probe) Trim(off, n int64, fua bool) error {
	if err := p.enter("trim"); err != nil {
		return err
	}
	p.noteFUA(fua)
	return p.Device.Trim(off, n, fua)
}

func (p *probe) Flush() error { return p.enter("flush") }

func (p *probe) ReadOnly() bool { return p.readOnly }

func (p *probe) Extents(off, n int64) ([]target.Extent, error) {
	if err := p.enter("extents"); err != nil {
		return nil, err
	}
	if p.holes == nil {
		return p.Device.Extents(off, n)
	}
	var out []target.Extent
	for _, e := range p.holes {
		lo, hi := max(e.Off, off), min(e.Off+e.Len, off+n)
		if lo < hi {
			out = append(out, target.Extent{Off: lo, Len: hi - lo, Kind: e.Kind})
		}
	}
	return out, nil
}

func (p *probe) Release() { p.uses.Add(-1) }
