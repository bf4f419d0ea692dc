package meta

import (
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// Rule says which unnamed points of a group are kept: the newest Last, and of each of the newest hours, days, weeks (from
// Monday), months and years that have points the newest point. Calendars are those of UTC. A point that one part of the
// rule keeps is kept; the rule of all zeroes keeps everything.
type Rule struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly uint32
}

// IsZero reports whether the rule keeps everything.
func (r Rule) IsZero() bool { return r == Rule{} }

// calendar reports whether the rule looks at the time of points.
func (r Rule) calendar() bool { return r.Hourly|r.Daily|r.Weekly|r.Monthly|r.Yearly != 0 }

func (r *Rule) code(c *coder) {
	for _, n := range []*uint32{&r.Last, &r.Hourly, &r.Daily, &r.Weekly, &r.Monthly, &r.Yearly} {
		c.uint32(n)
	}
}

// SetRule replaces the retention rule of a group.
type SetRule struct {
	Group ident.GroupID
	Rule  Rule
}

func (*SetRule) Kind() Kind { return KindSetRule }

func (m *SetRule) code(c *coder) {
	c.fixed(m.Group.UUID[:])
	m.Rule.code(c)
}

func (m *SetRule) apply(s *State, _ uint64) Result {
	g, err := s.group(m.Group)
	if err != nil {
		return Result{Err: err}
	}
	if m.Rule.calendar() && m.Rule.Last == 0 {
		return refuse(rpc.ErrBadRequest, "a rule with hours, days, weeks, months or years must keep the last point at least")
	}
	g.keepLast = m.Rule.Last
	delete(s.rules, m.Group)
	if m.Rule.calendar() {
		s.rules[m.Group] = m.Rule
	}
	return Result{}
}

// RuleOf returns the retention rule of a group.
func (s *State) RuleOf(id ident.GroupID) Rule {
	if r, ok := s.rules[id]; ok {
		return r
	}
	if g := s.groups[id]; g != nil {
		return Rule{Last: g.keepLast}
	}
	return Rule{}
}

// bucket numbers the hours, days, … that a time falls into.
type bucket func(t time.Time) int

func hourOf(t time.Time) int  { return int(t.Unix() / 3600) }
func dayOf(t time.Time) int   { return int(t.Unix() / 86400) }
func weekOf(t time.Time) int  { return int((t.Unix()/86400 + 3) / 7) } // 1970-01-01 was a Thursday
func monthOf(t time.Time) int { return t.Year()*12 + int(t.Month()) }
func yearOf(t time.Time) int  { return t.Year() }

// slots is one calendar part of a rule at work, from the newest point to older ones.
type slots struct {
	left uint32
	of   bucket
	last int
	any  bool
}

// takes reports whether the part keeps a point of time t: the newest of its hour, day, ….
func (s *slots) takes(t time.Time) bool {
	if s.left == 0 {
		return false
	}
	b := s.of(t)
	if s.any && b == s.last {
		return false
	}
	s.left, s.last, s.any = s.left-1, b, true
	return true
}

// keeper decides for one point after the other, from the newest on, whether the rule keeps it.
type keeper struct {
	last  uint32
	parts [5]slots
}

func (r Rule) keeper() *keeper {
	return &keeper{last: r.Last, parts: [5]slots{
		{left: r.Hourly, of: hourOf}, {left: r.Daily, of: dayOf}, {left: r.Weekly, of: weekOf},
		{left: r.Monthly, of: monthOf}, {left: r.Yearly, of: yearOf},
	}}
}

func (k *keeper) keeps(at int64) bool {
	keep := k.last > 0
	if keep {
		k.last--
	}
	t := time.Unix(0, at).UTC()
	for i := range k.parts {
		if k.parts[i].takes(t) {
			keep = true
		}
	}
	return keep
}

// excessByCalendar is ExcessBy for a rule with a calendar: it names the oldest points that the rule does not keep.
func (g *group) excessByCalendar(r Rule, limit int, pinned func(number uint64) bool) []uint64 {
	var drop []uint64 // newest first
	k := r.keeper()
	g.points.Reverse(func(p stored) bool {
		n := p.number()
		if p.hidden || g.names[n] != "" {
			return true
		}
		if !k.keeps(g.unpack(p).time) && n != g.numbers && !pinned(n) {
			drop = append(drop, n)
		}
		return true
	})
	slices.Reverse(drop)
	return drop[:min(len(drop), limit)]
}
