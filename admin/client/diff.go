package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/weirstor/weir/admin/api"
)

// Diff compares two points of a volume, given by name or end; to may be empty for the volume as it is now. At most limit
// files are listed, 0 for the daemon's default. report may be nil.
func (c *Client) Diff(ctx context.Context, volume, from, to string, limit int, report func(api.Progress)) (api.SnapshotDiff, error) {
	q := url.Values{"from": {from}}
	if to != "" {
		q.Set("to", to)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var v api.SnapshotDiff
	err := c.long(ctx, root+"/volumes/"+segment(volume)+"/diff?"+q.Encode(), report, &v)
	return v, err
}
