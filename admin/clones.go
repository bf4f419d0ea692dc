package admin

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Clones serves points.
type Clones interface {
	Clones(ctx context.Context) ([]api.Clone, error)
	// CreateClone returns when the clone is served and on stable storage; no content is copied.
	CreateClone(ctx context.Context, c api.CloneCreate) (api.Clone, error)
	// DeleteClone removes a clone with what was written to it; api.ErrConflict while it is attached, unless forced.
	DeleteClone(ctx context.Context, name string, force bool) error
	// CloneContent reads a volume of a clone; it stays valid until the clone is deleted.
	CloneContent(ctx context.Context, name, volume string) (Content, error)
	// FillClone copies the point into the clone, which stays in use.
	FillClone(ctx context.Context, name string, report func(api.Progress)) (api.Clone, error)
}

func (s *Server) cloneRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/clones", ID: "listClones", Summary: "Points that are served, with what each clone holds itself",
			Response: api.CloneList{}, Status: http.StatusOK,
			serve: func(ctx context.Context, _ *request) (any, error) {
				items, err := s.backend.Clones(ctx)
				return api.CloneList{Items: list(items)}, err
			}},
		{Method: http.MethodPost, Path: "/clones", ID: "createClone",
			Summary: "Serve a point, read-only or as a writable clone, over NBD and iSCSI; nothing is copied",
			Request: api.CloneCreate{}, Response: api.Clone{}, Status: http.StatusCreated,
			serve: func(ctx context.Context, r *request) (any, error) {
				var c api.CloneCreate
				if err := r.decode(&c); err != nil {
					return nil, err
				}
				return s.backend.CreateClone(ctx, c)
			}},
		{Method: http.MethodDelete, Path: "/clones/{clone}", ID: "deleteClone",
			Summary: "Stop serving a point; what was written to the clone is gone",
			Query:   []query{{"force", "boolean", "also while it is attached"}},
			Status:  http.StatusNoContent,
			serve: func(ctx context.Context, r *request) (any, error) {
				return nil, s.backend.DeleteClone(ctx, r.segment("clone"), r.http.URL.Query().Get("force") == "true")
			}},
		{Method: http.MethodGet, Path: "/clones/{clone}/volumes/{volume}/ranges", ID: "listCloneRanges",
			Summary: "Which parts of a volume of a clone are not zero",
			Query: []query{{"off", "integer", "first byte; 0 when absent"},
				{"len", "integer", "bytes; to the end when absent or 0"}},
			Response: api.CloneRanges{}, Status: http.StatusOK, serve: s.contentRanges},
		{Method: http.MethodGet, Path: "/clones/{clone}/volumes/{volume}/content", ID: "readClone",
			Summary: "Bytes of a volume of a clone; needs the token on loopback too",
			Query: []query{{"off", "integer", "first byte; 0 when absent"},
				{"len", "integer", "bytes; to the end when absent or 0"}},
			Status: http.StatusOK, write: s.content},
		{Method: http.MethodPost, Path: "/clones/{clone}/fill", ID: "fillClone", Long: true,
			Summary:  "Copy the point into the clone while it is in use, so that it becomes a plain disk",
			Response: api.Clone{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.FillClone(ctx, r.segment("clone"), r.report)
			}},
	}
}
