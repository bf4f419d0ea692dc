package admin

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/admin/api"
)

func (f *fake) Clones(context.Context) ([]api.Clone, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []api.Clone
	for _, c := range f.clones {
		out = append(out, c)
	}
	return out, nil
}

func (f *fake) CreateClone(_ context.Context, in api.CloneCreate) (api.Clone, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := api.Clone{Name: in.Name, Group: in.Group, ReadOnly: !in.Writable, Volumes: []api.CloneVolume{{Volume: "v", Export: "v@" + in.Name}}}
	if f.clones == nil {
		f.clones = map[string]api.Clone{}
	}
	f.clones[in.Name] = c
	return c, nil
}

func (f *fake) DeleteClone(_ context.Context, name string, force bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.clones[name]; !ok {
		return fmt.Errorf("%w: clone %q", api.ErrNotFound, name)
	}
	if !force {
		return fmt.Errorf("%w: clone %q is attached", api.ErrConflict, name)
	}
	delete(f.clones, name)
	return nil
}

func (f *fake) FillClone(_ context.Context, name string, report func(api.Progress)) (api.Clone, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	report(api.Progress{What: "filling", Done: 1, Total: 2, Unit: "bytes"})
	c := f.clones[name]
	c.Filled = true
	f.clones[name] = c
	return c, nil
}

// fakeContent is a volume of which the second half is zero.
type fakeContent struct{}

func (fakeContent) Size() int64 { return 8192 }

func (fakeContent) ReadAt(p []byte, off int64) error {
	for i := range p {
		if p[i] = 0; off+int64(i) < 4096 {
			p[i] = 7
		}
	}
	return nil
}

func (fakeContent) DataRanges(off, n int64) ([]api.Range, error) {
	return []api.Range{{Off: 0, Len: 4096}}, nil
}

func (f *fake) CloneContent(_ context.Context, name, _ string) (Content, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.clones[name]; !ok {
		return nil, fmt.Errorf("%w: clone %q", api.ErrNotFound, name)
	}
	return fakeContent{}, nil
}

func (f *fake) Retention(_ context.Context, group string) (api.RetentionPlan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return api.RetentionPlan{Group: group, Retention: f.rule}, nil
}

func (f *fake) SetRetention(_ context.Context, group string, in api.RetentionSet) (api.RetentionPlan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !in.DryRun {
		f.rule = in.Retention
	}
	return api.RetentionPlan{Group: group, Retention: in.Retention}, nil
}

func (f *fake) Scrub(_ context.Context, rate int64, report func(api.Progress)) (api.ScrubResult, error) {
	report(api.Progress{What: "scrubbing", Unit: "bytes"})
	return api.ScrubResult{Sound: rate == 0, Nodes: []api.ScrubNode{{Node: "n1", Bytes: uint64(rate)}}}, nil
}
