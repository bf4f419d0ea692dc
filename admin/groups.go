package admin

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Groups steers groups, and decides about those whose history and the cluster's have parted.
type Groups interface {
	// DecideGroup makes an operator's decision durable; the gateway then starts anew and carries it out. Connections at
	// all doors end. api.ErrConflict when there is nothing to decide.
	DecideGroup(ctx context.Context, group string, act api.GroupAct) (api.GroupDecision, error)
	// SetGroupMode changes when a flush is answered, for requests that wait already too; kept over restarts.
	SetGroupMode(ctx context.Context, group string, mode api.GroupMode) (api.GroupMode, error)
	// ChangeGroup changes what is given, until the process ends.
	ChangeGroup(ctx context.Context, group string, change api.GroupChange) (api.Group, error)
}

func (s *Server) groupRoutes() []route {
	return []route{
		{Method: http.MethodPatch, Path: "/groups/{group}", ID: "changeGroup", Summary: "Change how a group works, until the next start",
			Request: api.GroupChange{}, Response: api.Group{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				var change api.GroupChange
				if err := r.decode(&change); err != nil {
					return nil, err
				}
				return s.backend.ChangeGroup(ctx, r.segment("group"), change)
			}},
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
		{Method: http.MethodPut, Path: "/groups/{group}/mode", ID: "setGroupMode",
			Summary: "Say whether a flush waits for its commit, and for how long",
			Request: api.GroupMode{}, Response: api.GroupMode{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				var m api.GroupMode
				if err := r.decode(&m); err != nil {
					return nil, err
				}
				return s.backend.SetGroupMode(ctx, r.segment("group"), m)
			}},
	}
}
