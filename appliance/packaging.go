package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/classify/trace"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/codec"
)

// codecOptions are those of the group: the model and the sensitivity of volumes without their own.
func (s *System) codecOptions() (codec.Options, error) {
	opt := codec.Options{Sensitivity: s.cfg.Sensitivity, IndexBytes: int64(s.cfg.IndexBytes), Logger: s.log.With("room", "codec", "group", groupName)}
	if s.cfg.Model == "" {
		return opt, nil
	}
	m, err := engine.Load(s.cfg.Model)
	if err != nil {
		return opt, api.Advise(fmt.Errorf("%w: %w", api.ErrInvalid, err), "make one with: weir train --out FILE; or leave --model away")
	}
	opt.Model = m
	return opt, nil
}

// sensitivities are those of volumes that have their own.
func (f *gatewayFile) sensitivities() map[ident.VolumeID]engine.Sensitivity {
	out := make(map[ident.VolumeID]engine.Sensitivity, len(f.Sensitivity))
	for id, s := range f.Sensitivity {
		out[ident.VolumeID{UUID: id}] = s
	}
	return out
}

// Packaging implements admin.Packaging.
func (s *System) Packaging(_ context.Context, volume string) (api.Packaging, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Packaging{}, err
	}
	v, err := g.volume(volume)
	if err != nil {
		return api.Packaging{}, err
	}
	f := g.file.get()
	if own, ok := f.Sensitivity[v.ID().UUID]; ok {
		return api.Packaging{Sensitivity: own.String()}, nil
	}
	return api.Packaging{Sensitivity: s.cfg.Sensitivity.String()}, nil
}

// SetPackaging implements admin.Packaging.
func (s *System) SetPackaging(_ context.Context, volume string, p api.Packaging) (api.Packaging, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return p, err
	}
	v, err := g.volume(volume)
	if err != nil {
		return p, err
	}
	var own engine.Sensitivity
	if err := own.UnmarshalText([]byte(p.Sensitivity)); err != nil {
		return p, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	err = g.file.change(func(f *gatewayFile) {
		all := make(map[ident.UUID]engine.Sensitivity, len(f.Sensitivity)+1)
		for id, s := range f.Sensitivity {
			all[id] = s
		}
		all[v.ID().UUID] = own
		f.Sensitivity = all
	})
	if err != nil {
		return p, err
	}
	if f := g.file.get(); g.shipper != nil {
		g.shipper.SetSensitivity(f.sensitivities())
	}
	s.event("info", "volume.sensitivity", fmt.Sprintf("volume %s is packaged at sensitivity %v from the next epoch on", v.Name(), own))
	return p, nil
}

// Decisions implements admin.Packaging.
func (s *System) Decisions(_ context.Context, volume string, off, n int64, limit int) (out []api.Decision, err error) {
	g, err := s.gatewayUp()
	if err != nil {
		return nil, err
	}
	v, err := g.volume(volume)
	if err != nil || g.shipper == nil {
		return nil, err
	}
	if n == 0 {
		n = max(v.Size()-off, 0)
	}
	for _, d := range g.shipper.Decisions(v.ID(), off, n, limit) {
		out = append(out, api.Decision{Offset: d.Off, Length: d.Len, Class: d.Class.String(), Encoding: d.Encoding.String(),
			Search: d.Search.String(), Why: d.Why, From: api.DecisionShares(d.From), Out: d.Out})
	}
	return out, nil
}

// RecordTrace implements admin.Packaging.
func (s *System) RecordTrace(ctx context.Context, limit time.Duration, bytes int64, report func(api.Progress)) (out api.TraceRecorded, err error) {
	g, err := s.gatewayUp()
	if err != nil {
		return out, err
	}
	if g.shipper == nil {
		return out, api.Advise(fmt.Errorf("%w: nothing is packaged with replication off", api.ErrConflict), "start with --replication on")
	}
	if !g.tracing.TryLock() {
		return out, fmt.Errorf("%w: a trace is being recorded already", api.ErrConflict)
	}
	defer g.tracing.Unlock()
	dir := filepath.Join(s.cfg.Data, "traces")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return out, fmt.Errorf("trace: %w", err)
	}
	begin := time.Now()
	out.Path = filepath.Join(dir, begin.UTC().Format("20060102T150405.000")+".trace")
	f, err := os.OpenFile(out.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return out, fmt.Errorf("trace: %w", err)
	}
	w := trace.NewWriter(f, bytes)
	g.shipper.Trace(w)
	watch(ctx, limit, w, bytes, report)
	g.shipper.Trace(nil)
	err = errors.Join(w.Close(), f.Sync(), f.Close())
	c := w.Counts()
	out.Bytes, out.Epochs, out.Runs, out.Columns, out.Dropped = c.Bytes, c.Epochs, c.Runs, c.Columns, c.Dropped
	out.Seconds = time.Since(begin).Seconds()
	return out, err
}

// watch reports on a trace until its time is up, it is full, or ctx ends, which ends it early.
func watch(ctx context.Context, limit time.Duration, w *trace.Writer, bytes int64, report func(api.Progress)) {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-tick.C:
		}
		c := w.Counts()
		report(api.Progress{What: "recording", Done: c.Bytes, Total: bytes, Unit: "bytes"})
		if c.Dropped > 0 {
			return
		}
	}
}
