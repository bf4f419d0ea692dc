package client

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Access returns who may attach a volume.
func (c *Client) Access(ctx context.Context, volume string) (api.Access, error) {
	var v api.Access
	err := c.call(ctx, http.MethodGet, root+"/volumes/"+segment(volume)+"/access", nil, &v)
	return v, err
}

// SetAccess replaces the rules that say who may attach a volume. Users without secret keep theirs.
func (c *Client) SetAccess(ctx context.Context, volume string, a api.Access) (api.Access, error) {
	var v api.Access
	err := c.call(ctx, http.MethodPut, root+"/volumes/"+segment(volume)+"/access", a, &v)
	return v, err
}

// DropSession ends a session at a door.
func (c *Client) DropSession(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, root+"/sessions/"+segment(id), nil, nil)
}
