package engine

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// samples are those of a world in which runs that the index knows are worth a look, and long streams one more.
func samples(rnd *rand.Rand, n int) (runs, columns []Sample) {
	for range n {
		x := Run{RunKnown: rnd.Float32(), RunStreams: rnd.Float32(), RunLength: 12 + 8*rnd.Float32()}
		out := []Outcome{{4000, 1000}, {4000, 2000}, {4000, 9000}, {4000, 90000}}
		if x[RunKnown] > 0.5 {
			out[SearchIndex].Bytes, out[SearchInner].Bytes = 40, 40
		}
		if x[RunStreams] > 0.75 {
			out[SearchInner].Bytes = 10
		}
		runs = append(runs, Sample{Features: x[:], Outcomes: out})
		c := Column{ColumnRatio: rnd.Float32(), ColumnLength: 16, ColumnDone: 24}
		size := int64(65536 * c[ColumnRatio])
		columns = append(columns, Sample{Features: c[:], Outcomes: []Outcome{
			{65536, 0}, {size, 100000}, {size - size/8, 300000}, {size - size/7, 400000}, {size - size/6, 900000}, {size - size/5, 60000000},
		}})
	}
	return runs, columns
}

func TestLearn(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	runs, columns := samples(rnd, 2000)
	m := Learn("test", runs, columns)
	for _, c := range []struct {
		known, streams float32
		s              Sensitivity
		want           Search
	}{
		{0.2, 0.2, Balanced, SearchPlain}, {0.9, 0.2, Balanced, SearchIndex}, {0.2, 0.9, Thorough, SearchInner},
		{0.2, 0.9, Fast, SearchPlain}, {0.9, 0.2, Fast, SearchIndex},
	} {
		x := Run{RunKnown: c.known, RunStreams: c.streams, RunLength: 14}
		if got := m.Search(c.s, &x); got != c.want {
			t.Errorf("known %v, streams %v, %v: %v, want %v; %v", c.known, c.streams, c.s, got, c.want, m.Why(c.s, &x))
		}
	}
	text, dull := Column{ColumnRatio: 0.3, ColumnLength: 16, ColumnDone: 24}, Column{ColumnRatio: 0.999, ColumnLength: 16, ColumnDone: 24}
	if got := m.Squeeze(Fast, &text); got != SqueezeS2 {
		t.Errorf("text, fast: %v", got)
	}
	if got := m.Squeeze(Thorough, &text); got <= SqueezeS2 {
		t.Errorf("text, thorough: %v", got)
	}
	if got := m.Squeeze(Fast, &dull); got == SqueezeMost {
		t.Errorf("dull, fast: %v", got)
	}
}

// TestLearnTwice learns the same model from the same samples, and one that survives its file.
func TestLearnTwice(t *testing.T) {
	var files [2][]byte
	for i := range files {
		runs, columns := samples(rand.New(rand.NewPCG(1, 1)), 500)
		b, err := json.Marshal(Learn("test", runs, columns))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = b
	}
	if string(files[0]) != string(files[1]) {
		t.Errorf("learned\n%s\nthen\n%s", files[0], files[1])
	}
	m, err := Parse(files[0])
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(m)
	if err != nil || string(again) != string(files[0]) {
		t.Errorf("read as\n%s\nwritten as\n%s, %v", files[0], again, err)
	}
}

// TestShipped reads the embedded model; every path of it ends with an answer.
func TestShipped(t *testing.T) {
	m := Shipped()
	rapid.Check(t, func(t *rapid.T) {
		var x Run
		for i := range x {
			x[i] = rapid.Float32().Draw(t, SearchQuestion.Features[i])
		}
		var c Column
		for i := range c {
			c[i] = rapid.Float32().Draw(t, SqueezeQuestion.Features[i])
		}
		for s := range NumSensitivities {
			if m.Search(s, &x) >= NumSearch || m.Squeeze(s, &c) >= NumSqueeze {
				t.Fatalf("%v: %v, %v", s, m.Search(s, &x), m.Squeeze(s, &c))
			}
		}
	})
}

func TestQuestions(t *testing.T) {
	if len(SearchQuestion.Features) != NumRunFeatures || len(SearchQuestion.Answers) != int(NumSearch) ||
		len(SqueezeQuestion.Features) != NumColumnFeatures || len(SqueezeQuestion.Answers) != int(NumSqueeze) {
		t.Error("a feature or an answer has no name")
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := json.Marshal(Fixed(SearchIndex, SqueezeLow))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to string }{
		{"another version", `"version":1`, `"version":2`},
		{"another format", `"weir-model"`, `"weir"`},
		{"an unknown key", `"name"`, `"title"`},
		{"an unknown answer", `"index"`, `"guess"`},
		{"an unknown feature", `{"answer":"index"}`, `{"feature":"moon","less":1,"more":1}`},
		{"a loop", `{"answer":"index"}`, `{"feature":"class","less":0,"more":0}`},
		{"a node that is not there", `{"answer":"index"}`, `{"feature":"class","less":1,"more":2}`},
		{"no tree", `[{"answer":"index"}]`, `[]`},
		{"cut off", `}}}`, ``},
	} {
		if _, err := Parse([]byte(strings.Replace(string(good), c.from, c.to, 1))); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
	path := filepath.Join(t.TempDir(), "model")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := Load(path); err != nil || m.Search(Balanced, &Run{}) != SearchIndex {
		t.Errorf("loaded %v", err)
	}
	if err := os.Truncate(path, maxModelBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("a file that is too large is read")
	}
}

func FuzzParse(f *testing.F) {
	b, err := json.Marshal(Fixed(SearchInner, SqueezeMost))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(shipped)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		for s := range NumSensitivities {
			m.Search(s, &Run{})
			m.Squeeze(s, &Column{})
		}
	})
}

func BenchmarkSearch(b *testing.B) {
	m, x := Shipped(), &Run{RunKnown: 0.5, RunEntropy: 6, RunLength: 13}
	b.ReportAllocs()
	for b.Loop() {
		m.Search(Balanced, x)
	}
}
