package admin

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Retention decides which unnamed points stay.
type Retention interface {
	Retention(ctx context.Context, group string) (api.RetentionPlan, error)
	// SetRetention replaces the rule of a group, or only tells what it would drop.
	SetRetention(ctx context.Context, group string, r api.RetentionSet) (api.RetentionPlan, error)
}

func (s *Server) retentionRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/groups/{group}/retention", ID: "getRetention",
			Summary: "The retention rule of a group", Response: api.RetentionPlan{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.Retention(ctx, r.segment("group"))
			}},
		{Method: http.MethodPut, Path: "/groups/{group}/retention", ID: "setRetention",
			Summary: "Replace the retention rule of a group, or tell what a rule would drop",
			Request: api.RetentionSet{}, Response: api.RetentionPlan{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				var in api.RetentionSet
				if err := r.decode(&in); err != nil {
					return nil, err
				}
				return s.backend.SetRetention(ctx, r.segment("group"), in)
			}},
	}
}
