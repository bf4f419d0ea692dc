package iscsi

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// pace tells whether commands of one class are quick enough to run in the reading goroutine.
type pace struct{ ns atomic.Int64 } // moving average of the duration

// quickNs is the average duration up to which a command is run at once: about what it costs to wake a worker on
// another core and to come back.
const quickNs = 60_000

func (p *pace) quick() bool { return p.ns.Load() < quickNs }

// note takes the duration of n commands. Slow ones count at once, so that a device that begins to block is noticed
// at the first command; one that is quick again, after about eight.
func (p *pace) note(d time.Duration, n int) {
	each := int64(d) / int64(max(n, 1))
	avg := p.ns.Load()
	if each > 4*quickNs {
		p.ns.Store(max(avg, 4*quickNs))
		return
	}
	p.ns.Store(avg + (each-avg)/4)
}

// job is work for a worker.
type job interface{ run() }

// workersIdle is the number of workers that are kept for the next job.
const workersIdle = 32

// workers runs jobs in goroutines that it reuses.
type workers struct {
	jobs chan job
	quit chan struct{}
	idle atomic.Int32
	wg   sync.WaitGroup
}

func newWorkers() *workers { return &workers{jobs: make(chan job), quit: make(chan struct{})} }

// start runs j in an idle worker or in a new one.
func (w *workers) start(j job) {
	select {
	case w.jobs <- j:
	default:
		w.wg.Add(1)
		go w.work(j)
	}
}

func (w *workers) work(j job) {
	defer w.wg.Done()
	for {
		j.run()
		if w.idle.Add(1) > workersIdle {
			w.idle.Add(-1)
			return
		}
		select {
		case j = <-w.jobs:
			w.idle.Add(-1)
		case <-w.quit:
			return
		}
	}
}

// close ends the idle workers and waits for the busy ones.
func (w *workers) close() {
	close(w.quit)
	w.wg.Wait()
}

// batch is a number of writes that arrived together.
type batch struct {
	c     *conn
	tasks []*task
	scsi  scsi.Batch
	bytes int
}

// Limits of a batch: one vectored write of the log.
const (
	batchOps   = 64
	batchBytes = 1 << 20
)

var batchPool = sync.Pool{New: func() any { return new(batch) }}

// add takes a write whose data is complete.
func (b *batch) add(t *task) {
	b.tasks = append(b.tasks, t)
	b.scsi.Add(&t.op, t.out)
	b.bytes += len(t.out)
}

func (b *batch) full() bool { return len(b.tasks) >= batchOps || b.bytes >= batchBytes }

// run executes the writes and queues their answers.
func (b *batch) run() {
	b.execute()
	c := b.c
	b.recycle()
	c.out.flush()
	c.wg.Done()
}

func (b *batch) execute() {
	begin := time.Now()
	b.scsi.Run()
	b.c.paces[scsi.Write].note(time.Since(begin), len(b.tasks))
	for _, t := range b.tasks {
		b.c.finish(t)
	}
}

func (b *batch) recycle() {
	clear(b.tasks)
	b.c, b.tasks, b.bytes = nil, b.tasks[:0], 0
	batchPool.Put(b)
}

// run executes one task in a worker.
func (t *task) run() {
	c := t.c
	c.execute(t)
	c.finish(t)
	c.out.flush()
	c.wg.Done()
}

// execute runs the command of t with its data.
func (c *conn) execute(t *task) {
	var in []byte
	if t.op.Class == scsi.Read && t.buf != nil {
		in = t.buf.b
	}
	begin := time.Now()
	t.op.Run(t.out, in)
	c.paces[t.op.Class].note(time.Since(begin), 1)
}

// submit starts a command whose data-out is complete. Only the reader calls it; held is its mark.
func (c *conn) submit(t *task, held *uint64) error {
	switch class := t.op.Class; {
	case class == scsi.Write:
		return c.submitWrite(t, held)
	case class == scsi.Read && !c.reserveRead(t):
		return nil // goes on when earlier commands have ended
	case c.paces[class].quick():
		return c.inline(held, t)
	}
	c.dispatch(t)
	return nil
}

// submitWrite adds a write to the batch that is run when the input runs dry.
func (c *conn) submitWrite(t *task, held *uint64) error {
	if c.batch == nil {
		c.batch = batchPool.Get().(*batch)
		c.batch.c = c
	}
	c.batch.add(t)
	if c.batch.full() {
		return c.runBatch(held)
	}
	return nil
}

// reserveRead gets t its share of the budget and a buffer, or leaves it waiting.
func (c *conn) reserveRead(t *task) bool {
	t.wants = int64(min(t.op.InLen, t.room()))
	c.setState(t, queued)
	if !c.budget.acquire(t) {
		return false
	}
	c.setState(t, running)
	t.buf = getBuffer(int(t.held))
	return true
}

// granted goes on with a task that has waited for its share of the budget.
func (c *conn) granted(t *task) {
	c.mu.Lock()
	aborted := t.aborted != nil
	t.state = running
	c.mu.Unlock()
	switch {
	case aborted:
		c.finish(t)
	case t.op.Class == scsi.Read:
		t.buf = getBuffer(int(t.held))
		c.dispatch(t)
	default:
		c.enlarge(t)
		c.ask(t)
		c.out.flush()
	}
}

// dispatch runs t in a worker.
func (c *conn) dispatch(t *task) {
	c.wg.Add(1)
	c.srv.workers.start(t)
}

// inline runs t in the reading goroutine.
func (c *conn) inline(held *uint64, t *task) error {
	c.enter(*held)
	c.execute(t)
	c.finish(t)
	return c.leave(held)
}

// runBatch runs the writes that have collected, here if the device is quick.
func (c *conn) runBatch(held *uint64) error {
	b := c.batch
	if b == nil {
		return nil
	}
	c.batch = nil
	if !c.paces[scsi.Write].quick() {
		c.wg.Add(1)
		c.srv.workers.start(b)
		return nil
	}
	c.enter(*held)
	b.execute()
	b.recycle()
	return c.leave(held)
}

// settle ends a round of reading: nothing complete is left in the input, so what has collected is run and answered.
func (c *conn) settle(held *uint64) error {
	if err := c.runBatch(held); err != nil {
		return err
	}
	c.enter(*held)
	c.out.flush()
	return c.leave(held)
}

func (c *conn) enter(held uint64) {
	c.role.enter(held)
	c.srv.watcher.stir()
}

// leave returns errRoleLost, after the answers were sent, if another goroutine reads now.
func (c *conn) leave(held *uint64) error {
	mark, ok := c.role.leave(*held)
	if !ok {
		c.out.flush()
		return errRoleLost
	}
	*held = mark
	return nil
}
