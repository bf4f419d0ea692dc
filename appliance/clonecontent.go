package appliance

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/admin"
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/target"
)

// cloneContent is a device of a clone for the admin port.
type cloneContent struct{ target.Device }

var _ admin.Content = cloneContent{}

// CloneContent implements admin.Clones.
func (s *System) CloneContent(_ context.Context, name, volume string) (admin.Content, error) {
	set, err := s.clonesUp()
	if err != nil {
		return nil, err
	}
	c := set.Find(name)
	if c == nil {
		return nil, fmt.Errorf("%w: clone %q", api.ErrNotFound, name)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	d := c.Device(volume)
	if d == nil {
		return nil, fmt.Errorf("%w: volume %q in clone %s", api.ErrNotFound, volume, name)
	}
	return cloneContent{d}, nil
}

// rangeGap is how many bytes of zeroes are not worth a range of their own.
const rangeGap = 64 << 10

// DataRanges implements admin.Content.
func (c cloneContent) DataRanges(off, n int64) ([]api.Range, error) {
	list, err := c.Extents(off, n)
	if err != nil {
		return nil, err
	}
	var out []api.Range
	for _, e := range list {
		if e.Kind != target.Data {
			continue
		}
		if last := len(out) - 1; last >= 0 && e.Off-(out[last].Off+out[last].Len) <= rangeGap {
			out[last].Len = e.Off + e.Len - out[last].Off
			continue
		}
		out = append(out, api.Range{Off: e.Off, Len: e.Len})
	}
	return out, nil
}
