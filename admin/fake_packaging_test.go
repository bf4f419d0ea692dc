package admin

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
)

func (f *fake) Packaging(_ context.Context, volume string) (api.Packaging, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.volumeLocked(volume)
	return api.Packaging{Sensitivity: "balanced"}, err
}

func (f *fake) SetPackaging(_ context.Context, _ string, p api.Packaging) (api.Packaging, error) {
	return p, nil
}

func (f *fake) Decisions(_ context.Context, _ string, off, n int64, limit int) ([]api.Decision, error) {
	return []api.Decision{{Offset: off, Length: n, Class: "SmallData", Encoding: "patch", Out: int64(limit)}}, nil
}

func (f *fake) RecordTrace(_ context.Context, limit time.Duration, bytes int64, _ func(api.Progress)) (api.TraceRecorded, error) {
	return api.TraceRecorded{Path: "t", Bytes: bytes, Seconds: limit.Seconds()}, nil
}

func TestPackaging(t *testing.T) {
	_, h := start(t, newFake(), true)
	c, ctx := connect(t, h, testToken), t.Context()
	if _, err := c.Packaging(ctx, "v"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a volume that is not there: %v", err)
	}
	if p, err := c.SetPackaging(ctx, "v", api.Packaging{Sensitivity: "fast"}); err != nil || p.Sensitivity != "fast" {
		t.Errorf("set to %+v, %v", p, err)
	}
	if d, err := c.Decisions(ctx, "v", 4096, 8192, 7); err != nil || len(d) != 1 || d[0].Offset != 4096 || d[0].Length != 8192 || d[0].Out != 7 {
		t.Errorf("decisions %+v, %v", d, err)
	}
	if _, err := c.Decisions(ctx, "v", -1, 0, 1); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("decisions before the beginning: %v", err)
	}
	if r, err := c.RecordTrace(ctx, 2*time.Second, 8192, nil); err != nil || r.Seconds != 2 || r.Bytes != 8192 {
		t.Errorf("recorded %+v, %v", r, err)
	}
	if _, err := c.RecordTrace(ctx, time.Second, 10, nil); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("a trace of ten bytes: %v", err)
	}
}
