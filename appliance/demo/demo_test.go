package demo

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDemo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	r, err := Run(ctx, Options{Rounds: 2, Out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if !r.Equal || len(r.Steps) != 10 || r.WireBytes == 0 || r.WireBytes >= r.HostBytes || len(r.Chunks) == 0 {
		t.Errorf("report %+v", r)
	}
	for _, want := range []string{"equal: state hash", "small updates", "page http://", "byte by byte"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing is said of %q:\n%s", want, &out)
		}
	}
}
