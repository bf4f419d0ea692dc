package admin

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Scrubber reads what is stored.
type Scrubber interface {
	// Scrub reads every pack and index of every provider node, at most so many bytes of packs a second each; 0: as fast as
	// they can.
	Scrub(ctx context.Context, bytesPerSecond int64, report func(api.Progress)) (api.ScrubResult, error)
}

func (s *Server) scrubRoutes() []route {
	return []route{
		{Method: http.MethodPost, Path: "/scrub", ID: "scrub", Long: true,
			Summary:  "Read everything that the provider nodes store, and name the points and ranges that are damaged",
			Query:    []query{{"rate", "integer", "bytes per second of each node; as fast as it can when absent or 0"}},
			Response: api.ScrubResult{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				rate, err := r.integer("rate")
				if err != nil {
					return nil, err
				}
				return s.backend.Scrub(ctx, rate, r.report)
			}},
	}
}
