package lab

import (
	"fmt"
	"os"
	"time"

	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/classify/trace"
	"github.com/weirstor/weir/replicate/codec"
)

// readTraces reads trace files, one after the other.
func readTraces(paths []string) (*trace.Trace, error) {
	all := &trace.Trace{Complete: true}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		t, err := trace.Read(f)
		_ = f.Close() // read only
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all.Runs, all.Columns, all.Epochs = append(all.Runs, t.Runs...), append(all.Columns, t.Columns...), append(all.Epochs, t.Epochs...)
		all.Dropped, all.Complete = all.Dropped+t.Dropped, all.Complete && t.Complete
	}
	return all, nil
}

// Replayed is recorded work under other decisions.
type Replayed struct {
	Prices
	Epochs   int     `json:"epochs"`
	Runs     []Price `json:"runs"`    // where copies are looked for: literals and tokens before they share a stream
	Columns  []Price `json:"columns"` // how columns are compressed
	Dropped  int64   `json:"dropped"`
	Complete bool    `json:"complete"` // false: a trace was cut off
}

// Replay prices traces: as whole blocks, as it was sent, and what each decision would have cost by other rules. Traces
// hold no content, so that zstd --patch-from can not be had; Images has it.
//
// The model is that of a file, or the shipped one when model is empty.
func Replay(model string, paths []string) (*Replayed, error) {
	m, err := modelOf(model)
	if err != nil {
		return nil, err
	}
	t, err := readTraces(paths)
	if err != nil {
		return nil, err
	}
	r := &Replayed{Epochs: len(t.Epochs), Dropped: t.Dropped, Complete: t.Complete}
	var fixed []codec.FixedCost
	sent := Price{Way: "weir, as it was sent"}
	for _, e := range t.Epochs {
		r.Changed += e.Changed
		sent.Bytes += e.Wire
		for i, f := range e.Fixed {
			if i == len(fixed) {
				fixed = append(fixed, codec.FixedCost{BlockBytes: f.BlockBytes})
			}
			fixed[i].Raw, fixed[i].Zstd = fixed[i].Raw+f.Raw, fixed[i].Zstd+f.Zstd
		}
	}
	r.fixed(fixed)
	r.Rows = append(r.Rows, sent)
	r.Runs = priceAnswers(&engine.SearchQuestion, t.Runs, func(s engine.Sensitivity, x []float32) int {
		return int(m.Search(s, (*engine.Run)(x)))
	})
	r.Columns = priceAnswers(&engine.SqueezeQuestion, t.Columns, func(s engine.Sensitivity, x []float32) int {
		return int(m.Squeeze(s, (*engine.Column)(x)))
	})
	return r, nil
}

// priceAnswers sums what samples cost the oracle, the model, and each fixed answer.
func priceAnswers(q *engine.Question, samples []engine.Sample, answer func(engine.Sensitivity, []float32) int) (rows []Price) {
	rows = append(rows, Price{Way: "fewest bytes of all"})
	for s := range engine.NumSensitivities {
		rows = append(rows, Price{Way: "model, " + s.String()})
	}
	for _, a := range q.Answers {
		rows = append(rows, Price{Way: "always " + a})
	}
	for _, x := range samples {
		best, all := x.Outcomes[0], int64(0)
		for i, o := range x.Outcomes {
			if o.Bytes < best.Bytes {
				best = o
			}
			all += o.Work
			rows[1+int(engine.NumSensitivities)+i].add(o.Bytes, o.Work)
		}
		rows[0].add(best.Bytes, all)
		for s := range engine.NumSensitivities {
			o := x.Outcomes[answer(s, x.Features)]
			rows[1+s].add(o.Bytes, o.Work)
		}
	}
	return rows
}

func (p *Price) add(bytes, work int64) {
	p.Bytes += bytes
	p.Work += time.Duration(work)
}

// modelOf loads a model, the shipped one when path is empty.
func modelOf(path string) (*engine.Model, error) {
	if path == "" {
		return engine.Shipped(), nil
	}
	return engine.Load(path)
}
