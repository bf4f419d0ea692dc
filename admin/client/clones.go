package client

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Clones lists the points that the daemon serves.
func (c *Client) Clones(ctx context.Context) ([]api.Clone, error) {
	var v api.CloneList
	err := c.call(ctx, http.MethodGet, root+"/clones", nil, &v)
	return v.Items, err
}

// CreateClone serves a point.
func (c *Client) CreateClone(ctx context.Context, in api.CloneCreate) (api.Clone, error) {
	var v api.Clone
	err := c.call(ctx, http.MethodPost, root+"/clones", in, &v)
	return v, err
}

// DeleteClone stops serving a point and removes what was written to the clone.
func (c *Client) DeleteClone(ctx context.Context, name string, force bool) error {
	path := root + "/clones/" + segment(name)
	if force {
		path += "?force=true"
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// FillClone copies the point into the clone. report may be nil.
func (c *Client) FillClone(ctx context.Context, name string, report func(api.Progress)) (api.Clone, error) {
	var v api.Clone
	err := c.long(ctx, root+"/clones/"+segment(name)+"/fill", report, &v)
	return v, err
}
