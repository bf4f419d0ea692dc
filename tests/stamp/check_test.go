package stamp

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// story builds histories in tables: "+3:5" submits write 3 at block 5, "+3:5-7" at blocks 5 to 7, "+3:5z" zeroes,
// "+3:5f" with FUA, "=3" answers it, "F" flushes.
func story(t *testing.T, steps string) *History {
	t.Helper()
	h := NewHistory(7)
	var ops []*Op
	for s := range strings.FieldsSeq(steps) {
		switch s[0] {
		case '+':
			_, rest, _ := strings.Cut(s, ":")
			first, last := int64(rest[0]-'0'), int64(rest[0]-'0')
			if len(rest) > 2 && rest[1] == '-' {
				last = int64(rest[2] - '0')
			}
			ops = append(ops, h.Submit(Place{0, first}, last-first+1, strings.HasSuffix(s, "z"), strings.HasSuffix(s, "f")))
		case '=':
			h.Answer(ops[s[1]-'1'])
		case 'F':
			if err := h.Flush(func() error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

// blocks reads "102": block 0 shows write 1, block 1 zeroes, block 2 write 2.
func blocks(s string) State {
	state := State{}
	for i, c := range s {
		if c != '0' {
			state[Place{0, int64(i)}] = ID(c - '0')
		}
	}
	return state
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, steps, state string
		demand             Demand
		ok                 bool
	}{
		{"nothing done", "", "000", ProcessDeath(), true},
		{"answered and there", "+1:0 =1", "1", ProcessDeath(), true},
		{"answered and lost", "+1:0 =1", "0", ProcessDeath(), false},
		{"answered, lost with the power", "+1:0 =1", "0", PowerLoss(), true},
		{"answered with FUA, lost with the power", "+1:0f =1", "0", PowerLoss(), false},
		{"flushed, lost with the power", "+1:0 =1 F", "0", PowerLoss(), false},
		{"flush before the answer covers nothing", "+1:0 F =1", "0", PowerLoss(), true},
		{"in flight and there", "+1:0", "1", ProcessDeath(), true},
		{"in flight and not there", "+1:0", "0", ProcessDeath(), true},
		{"later without earlier", "+1:0 =1 +2:1", "02", AnyPrefix(), false},
		{"later without one in flight beside it", "+1:0 +2:1 =2", "02", ProcessDeath(), true},
		{"overlap in flight, either last", "+1:0 +2:0 =1 =2", "1", ProcessDeath(), true},
		{"overlap in flight, other last", "+1:0 +2:0 =1 =2", "2", ProcessDeath(), true},
		{"overlap in order, older shows", "+1:0 =1 +2:0 =2", "1", ProcessDeath(), false},
		{"overlap in order, older shows, newer not answered", "+1:0 =1 +2:0", "1", ProcessDeath(), true},
		{"half of a write", "+1:0-1 =1", "10", ProcessDeath(), false},
		{"half of a write in flight", "+1:0-1", "10", AnyPrefix(), false},
		{"two writes each half over the other", "+1:0-1 +2:0-1 =1 =2", "12", ProcessDeath(), false},
		{"circle of three", "+1:0-1 +2:1-2 +3:0-2 =1 =2", "131", AnyPrefix(), false},
		{"circle through time", "+1:0-1 +2:2 =2 +3:2-3 +4:1-3", "1143", AnyPrefix(), false},
		{"stamp where it was not written", "+1:0 =1", "11", AnyPrefix(), false},
		{"stamp never submitted", "+1:0 =1", "12", AnyPrefix(), false},
		{"zeroed after", "+1:0 =1 +2:0z =2", "0", ProcessDeath(), true},
		{"zeroed before", "+1:0z =1 +2:0 =2", "0", ProcessDeath(), false},
		{"zeroing undone", "+1:0 =1 +2:0z =2", "1", ProcessDeath(), false},
		{"zeroing in flight, either", "+1:0 =1 +2:0z", "1", ProcessDeath(), true},
		{"stamp of a zeroing", "+1:0z =1", "1", AnyPrefix(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := story(t, c.steps).Check(blocks(c.state), c.demand)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrViolation) {
				t.Errorf("%q showing %q: %v, want accepted %v", c.steps, c.state, err, c.ok)
			}
		})
	}
}

func TestCheckAtLeast(t *testing.T) {
	h := story(t, "+1:0 =1")
	committed := h.Now()
	h.Answer(h.Submit(Place{0, 1}, 1, false, false))
	for state, ok := range map[string]bool{"00": false, "10": true, "12": true, "02": false} {
		if err := h.Check(blocks(state), AtLeast(committed)); (err == nil) != ok {
			t.Errorf("%q: %v, want accepted %v", state, err, ok)
		}
	}
}

func TestNextRound(t *testing.T) {
	h := story(t, "+1:0 =1 +2:1 +3:2")
	if err := h.Check(blocks("102"), ProcessDeath()); err == nil {
		t.Fatal("write 2 shown at a block of write 3 was accepted")
	}
	if err := h.Check(blocks("103"), ProcessDeath()); err != nil {
		t.Fatal(err)
	}
	h.Continue(blocks("103"))
	for state, ok := range map[string]bool{
		"103": true,
		"123": false, // write 2 was cut off and came back
		"100": false, // write 3 had survived
		"003": false,
	} {
		if err := h.Check(blocks(state), ProcessDeath()); (err == nil) != ok {
			t.Errorf("%q in the second round: %v, want accepted %v", state, err, ok)
		}
	}
	h.Answer(h.Submit(Place{0, 2}, 1, false, false))
	if err := h.Check(blocks("104"), ProcessDeath()); err != nil {
		t.Error(err)
	}
	if err := h.Check(blocks("103"), ProcessDeath()); err == nil {
		t.Error("a lost write of the second round was accepted")
	}
}

// world is a model: writes enter an order of their own when the model pleases between submission and answer.
type world struct {
	h       *History
	flying  []*Op // submitted, not yet in the order
	ordered []*Op // in the order, maybe not yet answered
}

func run(t *rapid.T, blocks int64) *world {
	w := &world{h: NewHistory(1)}
	waiting := []*Op{}
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		switch rapid.IntRange(0, 2).Draw(t, "step") {
		case 0:
			first := rapid.Int64Range(0, blocks-1).Draw(t, "block")
			n := rapid.Int64Range(1, min(3, blocks-first)).Draw(t, "blocks")
			zero := rapid.IntRange(0, 9).Draw(t, "zero") == 0
			w.flying = append(w.flying, w.h.Submit(Place{0, first}, n, zero, false))
		case 1:
			if len(w.flying) > 0 {
				i := rapid.IntRange(0, len(w.flying)-1).Draw(t, "ordered")
				op := w.flying[i]
				w.flying = append(w.flying[:i:i], w.flying[i+1:]...)
				w.ordered = append(w.ordered, op)
				waiting = append(waiting, op)
			}
		case 2:
			if len(waiting) > 0 {
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "answered")
				w.h.Answer(waiting[i])
				waiting = append(waiting[:i:i], waiting[i+1:]...)
			}
		}
	}
	return w
}

func after(ops []*Op) State {
	s := State{}
	for _, op := range ops {
		for p := range op.places() {
			s[p] = op.ID
			if op.Zero {
				delete(s, p)
			}
		}
	}
	return s
}

// Every prefix of the true order is accepted, and what must survive decides with ProcessDeath.
func TestEveryPrefixIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := run(t, 6)
		n := rapid.IntRange(0, len(w.ordered)).Draw(t, "prefix")
		if err := w.h.Check(after(w.ordered[:n]), AnyPrefix()); err != nil {
			t.Fatal(err)
		}
		if err := w.h.Check(after(w.ordered), ProcessDeath()); err != nil {
			t.Fatal(err)
		}
	})
}

// For small histories the answer equals that of trying every order and every cut.
func TestCheckEqualsBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHistory(1)
		var ops []*Op
		n := rapid.IntRange(1, 5).Draw(t, "writes")
		var flying []*Op
		for len(ops) < n || len(flying) > 0 && rapid.Bool().Draw(t, "more") {
			if len(flying) == 0 || len(ops) < n && rapid.Bool().Draw(t, "submit") {
				first := rapid.Int64Range(0, 2).Draw(t, "block")
				op := h.Submit(Place{0, first}, rapid.Int64Range(1, 3-first).Draw(t, "blocks"), false, false)
				ops, flying = append(ops, op), append(flying, op)
				continue
			}
			i := rapid.IntRange(0, len(flying)-1).Draw(t, "answered")
			h.Answer(flying[i])
			flying = append(flying[:i:i], flying[i+1:]...)
		}
		s := State{}
		for b := range int64(3) {
			if id := ID(rapid.IntRange(0, n).Draw(t, "shows")); id != 0 {
				s[Place{0, b}] = id
			}
		}
		for name, d := range map[string]Demand{"any": AnyPrefix(), "process death": ProcessDeath()} {
			got, want := h.Check(s, d) == nil, bruteForce(ops, nil, s, d)
			if got != want {
				t.Fatalf("%s: accepted %v, want %v: %v", name, got, want, h.Check(s, d))
			}
		}
	})
}

// bruteForce extends chosen, a prefix of some order, in every way that time allows.
func bruteForce(ops, chosen []*Op, s State, d Demand) bool {
	if maps.Equal(after(chosen), s) && holds(ops, chosen, d) {
		return true
	}
	for _, op := range ops {
		if contains(chosen, op) || !ready(ops, chosen, op) {
			continue
		}
		if bruteForce(ops, append(chosen[:len(chosen):len(chosen)], op), s, d) {
			return true
		}
	}
	return false
}

func holds(ops, chosen []*Op, d Demand) bool {
	for _, op := range ops {
		if op.Answered < d.answered && !contains(chosen, op) {
			return false
		}
	}
	return true
}

// ready reports whether everything that was answered before op was submitted has been chosen.
func ready(ops, chosen []*Op, op *Op) bool {
	for _, o := range ops {
		if o.Answered < op.Submitted && !contains(chosen, o) {
			return false
		}
	}
	return true
}

func contains(ops []*Op, op *Op) bool {
	for _, o := range ops {
		if o == op {
			return true
		}
	}
	return false
}
