package trace

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify/engine"
)

// fill writes a trace of n decisions of each kind and returns it.
func fill(t testing.TB, n int, limit int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, limit)
	for i := range n {
		w.RunSample(&engine.Run{engine.RunLength: float32(i)}, &[engine.NumSearch]engine.Outcome{{Bytes: int64(i), Work: 7}})
		w.ColumnSample(&engine.Column{engine.ColumnRatio: 0.5}, &[engine.NumSqueeze]engine.Outcome{})
	}
	w.Epoch(Epoch{Host: 8192, Changed: 4096, Wire: 100, Fixed: []Fixed{{4096, 4096, 900}}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTrace(t *testing.T) {
	b := fill(t, 5, 0)
	got, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Runs) != 5 || len(got.Columns) != 5 || len(got.Epochs) != 1 || !got.Complete || got.Dropped != 0 {
		t.Fatalf("%d runs, %d columns, %d epochs, complete %v, %d dropped", len(got.Runs), len(got.Columns), len(got.Epochs), got.Complete, got.Dropped)
	}
	if r := got.Runs[3]; r.Features[engine.RunLength] != 3 || r.Outcomes[0] != (engine.Outcome{Bytes: 3, Work: 7}) {
		t.Errorf("run 3 is %+v", r)
	}
	if e := got.Epochs[0]; e.Changed != 4096 || e.Fixed[0].Zstd != 900 {
		t.Errorf("epoch is %+v", e)
	}
}

// TestBound keeps to the limit, and keeps room for the epochs and the end.
func TestBound(t *testing.T) {
	const limit = 300 << 10
	b := fill(t, 5000, limit)
	if len(b) > limit {
		t.Fatalf("%d bytes, limit %d", len(b), limit)
	}
	got, err := Read(bytes.NewReader(b))
	if err != nil || !got.Complete || len(got.Epochs) != 1 || got.Dropped == 0 || len(got.Runs)+len(got.Columns)+int(got.Dropped) != 10000 {
		t.Errorf("%d runs, %d columns, %d epochs, %d dropped, complete %v, %v", len(got.Runs), len(got.Columns), len(got.Epochs), got.Dropped, got.Complete, err)
	}
}

func TestReadRefuses(t *testing.T) {
	good := string(fill(t, 2, 0))
	for _, c := range []struct {
		name, from, to string
		want           error
	}{
		{"another version", `"version":1`, `"version":9`, ErrVersion},
		{"other features", `"features_version":`, `"features_version":9`, ErrVersion},
		{"no header", `{"header"`, `{"run"`, ErrCorrupt},
		{"an unknown key", `{"epoch"`, `{"content"`, ErrCorrupt},
		{"too few features", `{"x":[0,`, `{"x":[`, ErrCorrupt},
		{"a negative cost", `"out":[[0,7]`, `"out":[[-1,7]`, ErrCorrupt},
		{"a line behind the end", `"dropped":0}}`, "\"dropped\":0}}\n{}", ErrCorrupt},
	} {
		s := strings.Replace(good, c.from, c.to, 1)
		if s == good {
			t.Fatalf("%s: nothing replaced", c.name)
		}
		if _, err := Read(strings.NewReader(s)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	cut := good[:strings.LastIndex(strings.TrimSpace(good), "\n")+1]
	if got, err := Read(strings.NewReader(cut)); err != nil || got.Complete || len(got.Runs) != 2 {
		t.Errorf("cut off: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(fill(f, 2, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, s := range got.Runs {
			if len(s.Features) != engine.NumRunFeatures || len(s.Outcomes) != int(engine.NumSearch) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
