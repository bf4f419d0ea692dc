package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Retention returns the retention rule of a group.
func (c *Client) Retention(ctx context.Context, group string) (api.RetentionPlan, error) {
	var v api.RetentionPlan
	err := c.call(ctx, http.MethodGet, root+"/groups/"+segment(group)+"/retention", nil, &v)
	return v, err
}

// SetRetention replaces the rule, or tells what it would drop.
func (c *Client) SetRetention(ctx context.Context, group string, in api.RetentionSet) (api.RetentionPlan, error) {
	var v api.RetentionPlan
	err := c.call(ctx, http.MethodPut, root+"/groups/"+segment(group)+"/retention", in, &v)
	return v, err
}

// Scrub has the provider nodes read everything that they store, at most rate bytes a second each; 0: without a limit.
// report may be nil.
func (c *Client) Scrub(ctx context.Context, rate int64, report func(api.Progress)) (api.ScrubResult, error) {
	var v api.ScrubResult
	err := c.long(ctx, fmt.Sprintf("%s/scrub?rate=%d", root, rate), report, &v)
	return v, err
}
