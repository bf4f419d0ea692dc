package lab

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/replicate/codec"
)

// The recipe of the shipped model.
const (
	TrainSeeds  = 6   // volumes that it learns from
	TrainRounds = 3   // of all scenes on each
	judgeSeed   = 100 // first seed of the volumes that it is judged by
)

// Samples collects what an Encoder records.
type Samples struct {
	Runs, Columns []engine.Sample
}

// RunSample implements engine.Recorder.
func (s *Samples) RunSample(x *engine.Run, out *[engine.NumSearch]engine.Outcome) {
	s.Runs = append(s.Runs, engine.Sample{Features: append([]float32(nil), x[:]...), Outcomes: append([]engine.Outcome(nil), out[:]...)})
}

// ColumnSample implements engine.Recorder.
func (s *Samples) ColumnSample(x *engine.Column, out *[engine.NumSqueeze]engine.Outcome) {
	s.Columns = append(s.Columns, engine.Sample{Features: append([]float32(nil), x[:]...), Outcomes: append([]engine.Outcome(nil), out[:]...)})
}

// Generated returns samples of generated workloads: volumes from seeds 1 to seeds. The same arguments give the same
// samples. report, if not nil, is told how far it is.
//
// What runs brought lately is a feature, and depends on the answers. So half of the volumes are packaged with every
// search, and half by what the first half taught.
func Generated(ctx context.Context, seeds, rounds int, report func(done, total int)) (*Samples, error) {
	s := &Samples{}
	model := engine.Fixed(engine.SearchInner, engine.SqueezeNormal)
	for seed := 1; seed <= seeds; seed++ {
		if seed == seeds/2+1 {
			model = engine.Learn("half", s.Runs, s.Columns)
		}
		if report != nil {
			report(seed-1, seeds)
		}
		opt := codec.Options{Model: model, Recorder: s}
		if err := play(ctx, uint64(seed), everything(), rounds, opt, func(string, cost) {}); err != nil {
			return nil, fmt.Errorf("volume of seed %d: %w", seed, err)
		}
	}
	return s, nil
}

// TrainOptions say what a model is learned from and judged by.
type TrainOptions struct {
	Traces        []string // files; none: generated workloads
	Seeds, Rounds int      // of generated workloads
	JudgeSeeds    int      // 0: not judged
	Report        func(api.Progress)
}

// Train learns a model, or takes that of a file ("shipped": the embedded one), and judges it.
func Train(ctx context.Context, o TrainOptions, judged string) (*engine.Model, *Evaluation, error) {
	m, err := o.model(ctx, judged)
	if err != nil || o.JudgeSeeds == 0 {
		return m, nil, err
	}
	e, err := Evaluate(ctx, m, o.JudgeSeeds, 1, o.reporter("judging"))
	return m, e, err
}

func (o *TrainOptions) model(ctx context.Context, judged string) (*engine.Model, error) {
	switch {
	case judged == "shipped":
		return engine.Shipped(), nil
	case judged != "":
		return engine.Load(judged)
	}
	if len(o.Traces) > 0 {
		t, err := readTraces(o.Traces)
		if err != nil {
			return nil, err
		}
		if len(t.Runs) == 0 || len(t.Columns) == 0 {
			return nil, fmt.Errorf("%w: the traces hold %d runs and %d columns: record while hosts write", api.ErrInvalid, len(t.Runs), len(t.Columns))
		}
		return engine.Learn(fmt.Sprintf("traces: %d runs, %d columns", len(t.Runs), len(t.Columns)), t.Runs, t.Columns), nil
	}
	s, err := Generated(ctx, o.Seeds, o.Rounds, o.reporter("generating"))
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("generated volumes 1 to %d, %d rounds: %d runs, %d columns", o.Seeds, o.Rounds, len(s.Runs), len(s.Columns))
	return engine.Learn(name, s.Runs, s.Columns), nil
}

func (o *TrainOptions) reporter(what string) func(done, total int) {
	if o.Report == nil {
		return nil
	}
	return func(done, total int) {
		o.Report(api.Progress{What: what, Done: int64(done), Total: int64(total), Unit: "volumes"})
	}
}
