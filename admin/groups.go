package admin

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Groups decides about groups whose history and the cluster's have parted.
type Groups interface {
	// DecideGroup makes an operator's decision durable; the gateway then starts anew and carries it out. Connections at
	// all doors end. api.ErrConflict when there is nothing to decide.
	DecideGroup(ctx context.Context, group string, act api.GroupAct) (api.GroupDecision, error)
}

func (s *Server) groupRoutes() []route {
	return []route{
		{Method: http.MethodPost, Path: "/groups/{group}/act", ID: "decideGroup",
			Summary: "Decide about a group that is read-only: restore, takeover or overwrite; the gateway starts anew with it",
			Request: api.GroupAct{}, Response: api.GroupDecision{}, Status: http.StatusAccepted,
			serve: func(ctx context.Context, r *request) (any, error) {
				var a api.GroupAct
				if err := r.decode(&a); err != nil {
					return nil, err
				}
				return s.backend.DecideGroup(ctx, r.segment("group"), a)
			}},
	}
}
