package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Access is who may attach volumes, and who is attached.
type Access interface {
	// Access returns the rules of a volume, without secrets.
	Access(ctx context.Context, volume string) (api.Access, error)
	// SetAccess replaces the rules. They are on stable storage, and clients that they do not let be are gone, when it
	// returns.
	SetAccess(ctx context.Context, volume string, a api.Access) (api.Access, error)
	// DropSession ends a session and returns when it is gone.
	DropSession(ctx context.Context, id string) error
}

func (s *Server) accessRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/volumes/{volume}/access", ID: "getAccess", Summary: "Who may attach a volume",
			Response: api.Access{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.Access(ctx, r.segment("volume"))
			}},
		{Method: http.MethodPut, Path: "/volumes/{volume}/access", ID: "setAccess",
			Summary: "Replace the rules that say who may attach a volume; clients that they do not let be are cut off",
			Request: api.Access{}, Response: api.Access{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				var a api.Access
				if err := r.decode(&a); err != nil {
					return nil, err
				}
				return s.backend.SetAccess(ctx, r.segment("volume"), a)
			}},
		{Method: http.MethodDelete, Path: "/sessions/{session}", ID: "dropSession",
			Summary: "End a session at a door", Status: http.StatusNoContent,
			serve: func(ctx context.Context, r *request) (any, error) {
				return nil, s.backend.DropSession(ctx, r.segment("session"))
			}},
	}
}

func (s *Server) deleteVolume(ctx context.Context, r *request) (any, error) {
	drop, err := r.boolean("drop")
	if err != nil {
		return nil, err
	}
	return nil, s.backend.DeleteVolume(ctx, r.segment("volume"), drop)
}

// boolean returns a query parameter, false when absent.
func (r *request) boolean(name string) (bool, error) {
	switch s := r.http.URL.Query().Get(name); s {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, fmt.Errorf("%w: query parameter %s: %q is neither true nor false", api.ErrInvalid, name, s)
	}
}
