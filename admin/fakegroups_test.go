package admin

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/admin/api"
)

func (f *fake) ChangeGroup(_ context.Context, group string, c api.GroupChange) (api.Group, error) {
	if group != "main" {
		return api.Group{}, fmt.Errorf("%w: group %q", api.ErrNotFound, group)
	}
	return api.Group{Name: group, Rates: api.Rates{Throttle: c.Throttle != nil && *c.Throttle}}, nil
}
