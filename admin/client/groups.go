package client

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// DecideGroup decides about a group that is read-only. The gateway starts anew with the decision: the next calls may
// fail until it is back.
func (c *Client) DecideGroup(ctx context.Context, group string, act api.GroupAct) (api.GroupDecision, error) {
	var v api.GroupDecision
	err := c.call(ctx, http.MethodPost, root+"/groups/"+segment(group)+"/act", act, &v)
	return v, err
}

// SetGroupMode says whether a flush waits for its commit, and for how long.
func (c *Client) SetGroupMode(ctx context.Context, group string, mode api.GroupMode) (api.GroupMode, error) {
	var v api.GroupMode
	err := c.call(ctx, http.MethodPut, root+"/groups/"+segment(group)+"/mode", mode, &v)
	return v, err
}
