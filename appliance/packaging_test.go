package appliance

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/appliance/lab"
	"github.com/weirstor/weir/classify/engine"
)

// TestPackagingIsSteered changes the sensitivity of a volume, writes, records a trace, and asks why.
func TestPackagingIsSteered(t *testing.T) {
	c := testConfig(t)
	c.Sensitivity = engine.Thorough
	c.Volumes = []config.Volume{{Name: "v", Size: 16 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if p, err := s.Packaging(ctx, "v"); err != nil || p.Sensitivity != "thorough" {
		t.Errorf("at first %+v, %v", p, err)
	}
	if _, err := s.SetPackaging(ctx, "v", api.Packaging{Sensitivity: "hasty"}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("an unknown sensitivity: %v", err)
	}
	if p, err := s.SetPackaging(ctx, "v", api.Packaging{Sensitivity: "fast"}); err != nil || p.Sensitivity != "fast" {
		t.Errorf("set to %+v, %v", p, err)
	}
	type recorded struct {
		t   api.TraceRecorded
		err error
	}
	done := make(chan recorded, 1)
	began := make(chan struct{}, 1000)
	tctx, end := context.WithCancel(ctx)
	go func() {
		r, err := s.RecordTrace(tctx, time.Hour, 1<<20, func(api.Progress) { began <- struct{}{} })
		done <- recorded{r, err}
	}()
	<-began
	if _, err := s.RecordTrace(ctx, time.Second, 1<<20, nil); !errors.Is(err, api.ErrConflict) {
		t.Errorf("a second trace: %v", err)
	}
	conn := dial(t, s, "v")
	defer conn.Close()
	if err := conn.WriteAt(bytes.Repeat([]byte("some text "), 2048), 8192, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wait(ctx, "v", func(api.Progress) {}); err != nil {
		t.Fatal(err)
	}
	end()
	r := <-done
	if r.err != nil || r.t.Runs == 0 || r.t.Columns == 0 || r.t.Epochs == 0 {
		t.Errorf("recorded %+v", r)
	}
	if info, err := os.Stat(r.t.Path); err != nil || info.Size() != r.t.Bytes || filepath.Dir(r.t.Path) != filepath.Join(c.Data, "traces") {
		t.Errorf("file: %v, %v", info, err)
	}
	if p, err := lab.Replay("", []string{r.t.Path}); err != nil || !p.Complete || p.Changed == 0 || len(p.Rows) != 7 {
		t.Errorf("replayed %+v, %v", p, err)
	}
	x, err := s.Explain(ctx, "v", 0, 0)
	if err != nil || len(x.Decisions) == 0 || x.Decisions[0].Encoding != "literal" || x.Decisions[0].Out == 0 {
		t.Errorf("explained %+v, %v", x.Decisions, err)
	}
	found := false
	for _, n := range x.Chunks {
		found = found || n.Encoding == "literal" && n.Chunks > 0 && n.WireBytes > 0
	}
	if !found {
		t.Errorf("counted %+v", x.Chunks)
	}
	stop(t, s)
	s = start(t, api.RoleAll, c)
	defer stop(t, s)
	if p, err := s.Packaging(ctx, "v"); err != nil || p.Sensitivity != "fast" {
		t.Errorf("after a restart %+v, %v", p, err)
	}
}

// TestModelFile refuses a model that it can not read, and says what to do.
func TestModelFile(t *testing.T) {
	c := testConfig(t)
	c.Model = filepath.Join(c.Data, "none")
	s, err := Start(t.Context(), api.RoleAll, c, slog.New(slog.DiscardHandler))
	if err == nil {
		stop(t, s)
		t.Fatal("started without its model")
	}
	if !errors.Is(err, api.ErrInvalid) {
		t.Error(err)
	}
}
