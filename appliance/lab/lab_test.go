package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/replicate/codec"
)

// few are scenes that ask for different answers.
func few() (list []scene) {
	for _, s := range scenes {
		switch s.name {
		case "touch", "log", "saved anew", "git objects":
			list = append(list, s)
		}
	}
	return list
}

// TestSamples plays scenes twice: the samples, and what is learned from them, are the same.
func TestSamples(t *testing.T) {
	var first []byte
	for range 2 {
		s := &Samples{}
		opt := codec.Options{Model: engine.Fixed(engine.SearchInner, engine.SqueezeNormal), Recorder: s}
		if err := play(context.Background(), 1, few(), 1, opt, func(string, cost) {}); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(engine.Learn("test", s.Runs, s.Columns))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(b, first) {
			t.Errorf("learned\n%s\nthen\n%s", first, b)
		}
		first = b
	}
}

// TestJudge plays a volume with the shipped model and with everything tried. The bytes are the same in each run: the
// model must stay near the oracle, and well below a rule that does not look for copies.
func TestJudge(t *testing.T) {
	e := &Evaluation{Scenes: map[string][2]int64{}}
	plan := e.plan(engine.Shipped())
	var oracle, balanced, plain planned
	for _, p := range plan {
		switch {
		case p.row.Kind == "oracle":
			oracle = p
		case p.row.Name == "model, balanced":
			balanced = p
		case p.row.Name == engine.Fixed(engine.SearchPlain, engine.SqueezeNormal).Name:
			plain = p
		}
	}
	wire := func(p planned) (n int64) {
		if err := play(context.Background(), judgeSeed, few(), 1, p.opt, func(_ string, c cost) { n += c.wire }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	o, b, s := wire(oracle), wire(balanced), wire(plain)
	t.Logf("oracle %d, balanced %d, the same address alone %d", o, b, s)
	if float64(b) > 1.06*float64(o) || b > s/2 {
		t.Errorf("balanced sends %d bytes, the oracle %d, a search of the same address alone %d", b, o, s)
	}
}

func TestPrint(t *testing.T) {
	e := &Evaluation{Model: "m", Scenes: map[string][2]int64{"touch": {1, 2}}, order: []string{"touch"}, Rows: []Row{
		{Name: "oracle", Kind: "oracle", Wire: 100, Work: 1e9}, {Name: "model, balanced", Kind: "model", Wire: 102 << 10, Work: 3e8},
		{Name: "always so", Kind: "rule", Wire: 204 << 10, Work: 2e8}}}
	var b strings.Builder
	if err := e.Print(&b); err != nil || !strings.Contains(b.String(), "sends 50.0 % less") {
		t.Errorf("%v\n%s", err, &b)
	}
}
