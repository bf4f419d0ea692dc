package nbd

// job is a command for a worker.
type job struct {
	r    request
	cost grant // taken from the budget
}

// dispatch gives r to a worker. It waits when all are busy and the queue is full, or when the budget is used up: so
// the server stops reading, and the client waits. Only the leader calls it.
func (c *conn) dispatch(r request) {
	g, err := c.budget.acquire(int64(replySize(&r)))
	if err != nil {
		return // the connection is broken
	}
	j := job{r: r, cost: g}
	if c.unfinished.Add(1) > c.workers && c.workers < int64(cap(c.jobs)) {
		c.workers++ // so every job has a worker that is not held up by another
		c.others.Add(1)
		go c.work()
	}
	c.jobs <- j
}

// work serves jobs until the last leader closes the queue.
func (c *conn) work() {
	defer c.others.Done()
	for j := range c.jobs {
		c.doJob(&j)
		c.unfinished.Add(-1)
	}
}

func (c *conn) doJob(j *job) {
	v := getBuffer(int(j.cost.n))
	t := now()
	v.b = c.answer(v.b, &j.r)
	c.paces[kindOf(j.r.cmd)].observe(now() - t)
	c.post(v)
	c.budget.release(j.cost)
}
