package stamp

import (
	"errors"
	"fmt"
	"slices"
)

// ErrViolation is wrapped by every finding of Check.
var ErrViolation = errors.New("not a prefix of the writes")

// Demand says which writes a state must hold at least.
type Demand struct {
	answered Tick // those answered before this moment
	durable  Tick // those covered by a Flush that was answered before this moment, or by their own FUA
}

// ProcessDeath demands everything that was answered: guarantee G1 when the gateway's process dies.
func ProcessDeath() Demand { return Demand{answered: never} }

// PowerLoss demands what an answered Flush covers, and answered writes with FUA: guarantee G1 when power is lost.
func PowerLoss() Demand { return Demand{durable: never} }

// AtLeast demands what was answered before t: a point that was committed since, or a disk that has followed since.
func AtLeast(t Tick) Demand { return Demand{answered: t} }

// AnyPrefix demands nothing but that the state is one (guarantee G3).
func AnyPrefix() Demand { return Demand{} }

// Check reports whether s is the state after a prefix, as the package describes, of the round's writes, with
// everything in it that d demands. The error says what contradicts this.
func (h *History) Check(s State, d Demand) error {
	c := &checker{round: h.round(), state: s}
	c.index()
	if err := c.attribute(); err != nil {
		return err
	}
	if err := c.checkLost(); err != nil {
		return err
	}
	c.demand(d)
	c.closePrefix()
	if err := c.checkPairs(); err != nil {
		return err
	}
	return c.checkOrder()
}

// checker decides one Check. in[i] says whether ops[i] is in the smallest prefix.
type checker struct {
	round
	state   State
	touched map[Place][]*Op // every op of the round that touches the block, by ID
	in      []bool
}

func (c *checker) index() {
	c.in = make([]bool, len(c.ops))
	c.touched = map[Place][]*Op{}
	for _, op := range c.ops {
		for p := range op.places() {
			c.touched[p] = append(c.touched[p], op)
		}
	}
}

// places yields the blocks that op touches.
func (op *Op) places() func(func(Place) bool) {
	return func(yield func(Place) bool) {
		for i := range op.Blocks {
			if !yield(Place{op.Place.Volume, op.Place.Block + i}) {
				return
			}
		}
	}
}

func (c *checker) op(id ID) *Op              { return c.ops[id-c.first] }
func (c *checker) included(op *Op) bool      { return c.in[op.ID-c.first] }
func (c *checker) include(op *Op)            { c.in[op.ID-c.first] = true }
func (c *checker) wrote(id ID, p Place) bool { return slices.Contains(c.touched[p], c.op(id)) }

// attribute finds the write behind every stamp and puts it into the prefix.
func (c *checker) attribute() error {
	for p, id := range c.state {
		switch {
		case id == c.initial[p]:
		case id < c.first:
			return fmt.Errorf("%w: %v shows write %d, of a past that was cut off before this round", ErrViolation, p, id)
		case id >= c.first+ID(len(c.ops)) || c.op(id).Zero || !c.wrote(id, p):
			return fmt.Errorf("%w: %v shows write %d, which did not write there", ErrViolation, p, id)
		default:
			c.include(c.op(id))
		}
	}
	return nil
}

// checkLost finds blocks that held something when the round began, show zeroes now, and were never made zero.
func (c *checker) checkLost() error {
	for p, id := range c.initial {
		if c.state[p] == 0 && !slices.ContainsFunc(c.touched[p], func(op *Op) bool { return op.Zero }) {
			return fmt.Errorf("%w: %v shows zeroes, but it held %s and was never made zero", ErrViolation, p, c.show(id, p))
		}
	}
	return nil
}

// demand puts into the prefix what d demands.
func (c *checker) demand(d Demand) {
	var covered Tick // all answered before this is durable
	for _, f := range c.flushes {
		if f.answered < d.durable {
			covered = max(covered, f.submitted)
		}
	}
	for _, op := range c.ops {
		durable := op.Answered < covered || op.FUA && op.Answered != never && op.Answered < d.durable
		if durable || op.Answered != never && op.Answered < d.answered {
			c.include(op)
		}
	}
}

// closePrefix adds what was answered before any write of the prefix was submitted. What it adds was submitted even
// earlier, so one pass is enough.
func (c *checker) closePrefix() {
	var last Tick
	for _, op := range c.ops {
		if c.included(op) {
			last = max(last, op.Submitted)
		}
	}
	for _, op := range c.ops {
		if op.Answered < last {
			c.include(op)
		}
	}
}

// checkPairs finds the contradictions that two writes are enough to show; their messages are the clear ones.
func (c *checker) checkPairs() error {
	for p, ops := range c.touched {
		id := c.state[p]
		for _, op := range ops {
			if !c.included(op) || op.ID == id {
				continue
			}
			if id == 0 && c.zeroedAfter(p, op) {
				continue
			}
			if id != 0 && id != c.initial[p] && c.op(id).Answered > op.Submitted {
				continue
			}
			if id == 0 && op.Zero {
				continue
			}
			return fmt.Errorf("%w: %v shows %s, but %s must have come later", ErrViolation, p, c.show(id, p), c.show(op.ID, p))
		}
	}
	return nil
}

// zeroedAfter reports whether a zeroing call may have come after op at p.
func (c *checker) zeroedAfter(p Place, op *Op) bool {
	for _, z := range c.touched[p] {
		if z.Zero && z.Answered > op.Submitted {
			return true
		}
	}
	return false
}

func (c *checker) show(id ID, p Place) string {
	if id == 0 {
		return "zeroes"
	}
	if id < c.first {
		return fmt.Sprintf("write %d of an earlier round", id)
	}
	op := c.op(id)
	kind := "write"
	if op.Zero {
		kind = "zeroing"
	}
	answer := "not answered"
	if op.Answered != never {
		answer = fmt.Sprintf("answered at %d", op.Answered)
	}
	return fmt.Sprintf("%s %d of %d blocks at %d (submitted at %d, %s)",
		kind, id, op.Blocks, op.Place.Block, op.Submitted, answer)
}
