package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Places finds files on volumes.
type Places interface {
	// FilePlace says where a file lies on a volume, or on VOLUME@POINT.
	FilePlace(ctx context.Context, volume, path string) (api.FilePlace, error)
}

func (s *Server) placeRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/volumes/{volume}/file", ID: "placeFile", Summary: "Where a file lies on a volume, or on VOLUME@POINT",
			Query:    []query{{"path", "string", "from the root of its file system, behind the name of its partition if there are several; required"}},
			Response: api.FilePlace{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				path := r.http.URL.Query().Get("path")
				if path == "" {
					return nil, fmt.Errorf("%w: path is required", api.ErrInvalid)
				}
				return s.backend.FilePlace(ctx, r.segment("volume"), path)
			}},
	}
}
