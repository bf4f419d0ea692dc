package intercept

import (
	"sync/atomic"

	"github.com/weirstor/weir/classify"
)

// Count is a number of operations and the bytes that they were for.
type Count struct {
	Ops   uint64 `json:"ops"`
	Bytes uint64 `json:"bytes"`
}

// Stats is what a host did to a volume since the group was opened.
type Stats struct {
	Reads   Count  `json:"reads"`
	Writes  Count  `json:"writes"`
	Zeroes  Count  `json:"zeroes"`
	Trims   Count  `json:"trims"`
	Flushes uint64 `json:"flushes"`
	// Tags counts the writes by the class that their in-path tag names.
	Tags [classify.NumClasses]Count `json:"tags"`
}

// counter is a Count that is counted up concurrently.
type counter struct{ ops, bytes atomic.Uint64 }

func (c *counter) add(n int64) {
	c.ops.Add(1)
	c.bytes.Add(uint64(n))
}

func (c *counter) load() Count { return Count{Ops: c.ops.Load(), Bytes: c.bytes.Load()} }

// stats counts what a host does.
type stats struct {
	reads, zeroes, trims counter
	flushes              atomic.Uint64
	tags                 [classify.NumClasses]counter
}

func (s *stats) wrote(t classify.Tag, n int64) { s.tags[t.Class()].add(n) }
func (s *stats) read(n int64)                  { s.reads.add(n) }
func (s *stats) zeroed(n int64)                { s.zeroes.add(n) }
func (s *stats) trimmed(n int64)               { s.trims.add(n) }
func (s *stats) flushed()                      { s.flushes.Add(1) }

// Stats returns what the host did since the group was opened. Safe for concurrent use.
func (v *Volume) Stats() Stats {
	s := Stats{Reads: v.stats.reads.load(), Zeroes: v.stats.zeroes.load(), Trims: v.stats.trims.load(),
		Flushes: v.stats.flushes.Load()}
	for i := range s.Tags {
		c := v.stats.tags[i].load()
		s.Tags[i] = c
		s.Writes.Ops += c.Ops
		s.Writes.Bytes += c.Bytes
	}
	return s
}
