package client

import (
	"context"
	"fmt"
	"io"
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

// CloneRanges tells which parts of [off, end of the volume) are not zero, as far as one answer goes.
func (c *Client) CloneRanges(ctx context.Context, clone, volume string, off int64) (api.CloneRanges, error) {
	var v api.CloneRanges
	err := c.call(ctx, http.MethodGet, contentPath(clone, volume, "ranges", off, 0), nil, &v)
	return v, err
}

// CloneContent streams n bytes of a volume from off on. The caller closes the reader, which ends with
// io.ErrUnexpectedEOF when the daemon could not read on.
func (c *Client) CloneContent(ctx context.Context, clone, volume string, off, n int64) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, contentPath(clone, volume, "content", off, n), "application/octet-stream", nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, decodeAnswer(resp, nil)
	}
	return resp.Body, nil
}

func contentPath(clone, volume, what string, off, n int64) string {
	return fmt.Sprintf("%s/clones/%s/volumes/%s/%s?off=%d&len=%d", root, segment(clone), segment(volume), what, off, n)
}
