package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/weirstor/weir/admin/api"
)

// FilePlace says where a file lies on a volume, or on VOLUME@POINT.
func (c *Client) FilePlace(ctx context.Context, volume, path string) (api.FilePlace, error) {
	var v api.FilePlace
	err := c.call(ctx, http.MethodGet, root+"/volumes/"+segment(volume)+"/file?"+url.Values{"path": {path}}.Encode(), nil, &v)
	return v, err
}
