package lab

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/replicate/codec"
)

// Row is what one way to decide costs on the workloads that the model was not learned from.
type Row struct {
	Name        string             `json:"name"`
	Sensitivity engine.Sensitivity `json:"sensitivity"`
	Kind        string             `json:"kind" enum:"oracle,model,rule,single"`
	Host        int64              `json:"host_bytes"`
	Wire        int64              `json:"wire_bytes"`
	Work        time.Duration      `json:"work_ns"`     // processor time of one core
	OverOracle  float64            `json:"over_oracle"` // bytes, as a share of the oracle's
	OfOracle    float64            `json:"of_oracle"`   // processor time, as a share of the oracle's
}

// Evaluation compares a model with trying everything and with rules that always give the same answer.
type Evaluation struct {
	Model  string              `json:"model"`
	Rows   []Row               `json:"rows"`
	Scenes map[string][2]int64 `json:"scenes"` // wire bytes of oracle and model at balanced
	order  []string
	Seeds  int `json:"seeds"`
	Rounds int `json:"rounds"`
}

// Evaluate judges m on generated volumes that Generated does not make.
func Evaluate(ctx context.Context, m *engine.Model, seeds, rounds int, report func(done, total int)) (*Evaluation, error) {
	e := &Evaluation{Model: m.Name, Scenes: make(map[string][2]int64), Seeds: seeds, Rounds: rounds}
	rows := e.plan(m)
	for i, r := range rows {
		if report != nil {
			report(i, len(rows))
		}
		row := r.row
		for seed := range seeds {
			err := play(ctx, uint64(judgeSeed+seed), everything(), rounds, r.opt, func(scene string, c cost) {
				row.Host, row.Wire, row.Work = row.Host+c.host, row.Wire+c.wire, row.Work+c.work
				e.note(scene, row, c.wire)
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", row.Name, err)
			}
		}
		e.Rows = append(e.Rows, row)
	}
	for i := range e.Rows {
		r := &e.Rows[i]
		r.OverOracle = float64(r.Wire)/float64(e.Rows[0].Wire) - 1
		r.OfOracle = float64(r.Work) / float64(e.Rows[0].Work)
	}
	return e, nil
}

// planned is a row that is to be measured.
type planned struct {
	row Row
	opt codec.Options
}

// plan lists what is compared; the oracle is first.
func (e *Evaluation) plan(m *engine.Model) (list []planned) {
	list = append(list, planned{Row{Name: "oracle: everything tried", Kind: "oracle"}, codec.Options{Model: m, TryAll: true}})
	for _, s := range []engine.Sensitivity{engine.Fast, engine.Balanced, engine.Thorough} {
		list = append(list, planned{Row{Name: "model, " + s.String(), Kind: "model", Sensitivity: s}, codec.Options{Model: m, Sensitivity: s}})
	}
	for a := range engine.NumSearch {
		for b := engine.SqueezeS2; b < engine.NumSqueeze; b++ {
			kind := "rule"
			if a == engine.SearchPlain {
				kind = "single"
			}
			f := engine.Fixed(a, b)
			list = append(list, planned{Row{Name: f.Name, Kind: kind}, codec.Options{Model: f}})
		}
	}
	return list
}

// note sums what each scene cost the oracle and the model at balanced.
func (e *Evaluation) note(scene string, r Row, wire int64) {
	at := 0
	switch {
	case r.Kind == "model" && r.Sensitivity == engine.Balanced:
		at = 1
	case r.Kind != "oracle":
		return
	}
	v, ok := e.Scenes[scene]
	if !ok {
		e.order = append(e.order, scene)
	}
	v[at] += wire
	e.Scenes[scene] = v
}

// BestRule is the rule with the fewest bytes that takes no more processor time than limit; false if none does.
func (e *Evaluation) BestRule(limit time.Duration) (best Row, ok bool) {
	for _, r := range e.Rows {
		if (r.Kind == "rule" || r.Kind == "single") && r.Work <= limit && (!ok || r.Wire < best.Wire) {
			best, ok = r, true
		}
	}
	return best, ok
}

// Print writes the evaluation as a table.
func (e *Evaluation) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "model: %s\n\nDECIDES\tWIRE, KiB\tOVER ORACLE\tCPU\tOF ORACLE'S\tMB/s\n", e.Model)
	for _, r := range e.Rows {
		fmt.Fprintf(w, "%s\t%d\t%+.1f %%\t%.2f s\t%.2f\t%.0f\n", r.Name, r.Wire/1024, 100*r.OverOracle, r.Work.Seconds(),
			r.OfOracle, float64(r.Host)/1e6/r.Work.Seconds())
	}
	for _, r := range e.Rows {
		if r.Kind != "model" {
			continue
		}
		if best, ok := e.BestRule(r.Work + r.Work/50); ok {
			fmt.Fprintf(w, "\n%s: the best rule at the same CPU is %q with %d KiB: the model sends %.1f %% less",
				r.Name, best.Name, best.Wire/1024, 100*(1-float64(r.Wire)/float64(best.Wire)))
		}
	}
	fmt.Fprint(w, "\n\nSCENE\tORACLE, KiB\tMODEL, KiB\n")
	for _, s := range e.order {
		fmt.Fprintf(w, "%s\t%d\t%d\n", s, e.Scenes[s][0]/1024, e.Scenes[s][1]/1024)
	}
	return w.Flush()
}
