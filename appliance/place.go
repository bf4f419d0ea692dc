package appliance

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify/origin"
	"github.com/weirstor/weir/target"
)

// FilePlace implements admin.Places.
func (s *System) FilePlace(ctx context.Context, volume, path string) (api.FilePlace, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.FilePlace{}, err
	}
	d, name, err := g.explained(volume)
	if err != nil {
		return api.FilePlace{}, err
	}
	tree, err := readTree(ctx, d)
	if err != nil {
		return api.FilePlace{}, err
	}
	f := tree.File(path)
	if f == nil {
		return api.FilePlace{}, fmt.Errorf("%w: file %q on %s (%s)", api.ErrNotFound, path, volume, orNothing(tree.FileSystem()))
	}
	out := api.FilePlace{Volume: name, Path: f.Path(), Inode: f.Number, Type: f.Type.String(), Size: f.Size}
	for _, r := range tree.Runs(f) {
		out.Runs = append(out.Runs, api.FileRun{FileOffset: r.File, Range: api.Range{Off: r.Off, Len: r.Len}})
	}
	return out, nil
}

func orNothing(fileSystem string) string {
	if fileSystem == "" {
		return "no file system is known on it"
	}
	return fileSystem
}

// readTree reads the files of a volume or a point.
func readTree(ctx context.Context, d target.Device) (*origin.Tree, error) {
	t, err := origin.Read(ctx, newReadAhead(d), d.Size())
	if err != nil {
		return nil, fmt.Errorf("file system: %w", err)
	}
	return t, nil
}
