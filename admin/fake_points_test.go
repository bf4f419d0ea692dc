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
