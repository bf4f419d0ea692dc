package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Differ compares points.
type Differ interface {
	// Diff says what happened to a volume between two of its points, given by name or end; to may be empty for the volume
	// as it is now. At most limit files are listed.
	Diff(ctx context.Context, volume, from, to string, limit int, report func(api.Progress)) (api.SnapshotDiff, error)
}

const (
	diffFiles    = 1000
	diffFilesMax = 1 << 20
)

func (s *Server) diffRoutes() []route {
	return []route{
		{Method: http.MethodPost, Path: "/volumes/{volume}/diff", ID: "diffVolume", Long: true,
			Summary: "Which files of a volume were created, changed, renamed or deleted between two points",
			Query: []query{{"from", "string", "the earlier point, by name or end; required"},
				{"to", "string", "the later point; the volume as it is now when absent"},
				{"limit", "integer", fmt.Sprintf("files to list; %d when absent", diffFiles)}},
			Response: api.SnapshotDiff{}, Status: http.StatusOK, serve: s.diff},
	}
}

func (s *Server) diff(ctx context.Context, r *request) (any, error) {
	q := r.http.URL.Query()
	limit, err := r.integer("limit")
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = diffFiles
	}
	if q.Get("from") == "" || limit < 0 || limit > diffFilesMax {
		return nil, fmt.Errorf("%w: from is required, limit is 1 to %d", api.ErrInvalid, diffFilesMax)
	}
	return s.backend.Diff(ctx, r.segment("volume"), q.Get("from"), q.Get("to"), int(limit), r.report)
}
