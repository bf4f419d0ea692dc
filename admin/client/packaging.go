package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// Packaging returns how changes of a volume are packaged.
func (c *Client) Packaging(ctx context.Context, volume string) (api.Packaging, error) {
	var v api.Packaging
	err := c.call(ctx, http.MethodGet, root+"/volumes/"+segment(volume)+"/packaging", nil, &v)
	return v, err
}

// SetPackaging sets how changes of a volume are packaged, from the next epoch on.
func (c *Client) SetPackaging(ctx context.Context, volume string, p api.Packaging) (api.Packaging, error) {
	var v api.Packaging
	err := c.call(ctx, http.MethodPut, root+"/volumes/"+segment(volume)+"/packaging", p, &v)
	return v, err
}

// Decisions lists what packaging decided last for [off, off+n) of a volume; n = 0 means to the end.
func (c *Client) Decisions(ctx context.Context, volume string, off, n int64, limit int) ([]api.Decision, error) {
	q := url.Values{"off": {strconv.FormatInt(off, 10)}, "len": {strconv.FormatInt(n, 10)}, "limit": {strconv.Itoa(limit)}}
	var v api.DecisionList
	err := c.call(ctx, http.MethodGet, root+"/volumes/"+segment(volume)+"/decisions?"+q.Encode(), nil, &v)
	return v.Items, err
}

// RecordTrace records the decisions of packaging for a time, into a file of at most so many bytes on the gateway. report
// may be nil.
func (c *Client) RecordTrace(ctx context.Context, limit time.Duration, bytes int64, report func(api.Progress)) (api.TraceRecorded, error) {
	q := url.Values{"seconds": {strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)}, "bytes": {strconv.FormatInt(bytes, 10)}}
	var v api.TraceRecorded
	err := c.long(ctx, root+"/trace?"+q.Encode(), report, &v)
	return v, err
}
