package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// Packaging is how changes are packaged.
type Packaging interface {
	Packaging(ctx context.Context, volume string) (api.Packaging, error)
	// SetPackaging takes effect with the next epoch, and is on stable storage when it returns.
	SetPackaging(ctx context.Context, volume string, p api.Packaging) (api.Packaging, error)
	// Decisions lists what was decided last for [off, off+n) of a volume, at most limit; n = 0 means to the end.
	Decisions(ctx context.Context, volume string, off, n int64, limit int) ([]api.Decision, error)
	// RecordTrace records the decisions of the next epochs, for a time, into a file of at most so many bytes.
	RecordTrace(ctx context.Context, limit time.Duration, bytes int64, report func(api.Progress)) (api.TraceRecorded, error)
}

const (
	decisionsListed = 100
	decisionsMax    = 4096
	traceSecondsMax = 24 * time.Hour
)

func (s *Server) packagingRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/volumes/{volume}/packaging", ID: "getPackaging", Summary: "How changes of a volume are packaged",
			Response: api.Packaging{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.Packaging(ctx, r.segment("volume"))
			}},
		{Method: http.MethodPut, Path: "/volumes/{volume}/packaging", ID: "setPackaging",
			Summary: "Set how hard packaging looks for fewer bytes, from the next epoch on",
			Request: api.Packaging{}, Response: api.Packaging{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				var p api.Packaging
				if err := r.decode(&p); err != nil {
					return nil, err
				}
				return s.backend.SetPackaging(ctx, r.segment("volume"), p)
			}},
		{Method: http.MethodGet, Path: "/volumes/{volume}/decisions", ID: "listDecisions",
			Summary: "What packaging decided last for chunks of a volume, and why",
			Query: []query{{"off", "integer", "first byte; 0 when absent"}, {"len", "integer", "bytes; to the end when absent or 0"},
				{"limit", "integer", fmt.Sprintf("decisions to list; %d when absent", decisionsListed)}},
			Response: api.DecisionList{}, Status: http.StatusOK, serve: s.decisions},
		{Method: http.MethodPost, Path: "/trace", ID: "recordTrace", Long: true,
			Summary: "Record the decisions of packaging into a file on the gateway: numbers only, no content",
			Query: []query{{"seconds", "number", "how long; 60 when absent"},
				{"bytes", "integer", "largest size of the file; 16 MiB when absent"}},
			Response: api.TraceRecorded{}, Status: http.StatusOK, serve: s.recordTrace},
	}
}

func (s *Server) decisions(ctx context.Context, r *request) (any, error) {
	var v [3]int64
	for i, name := range []string{"off", "len", "limit"} {
		var err error
		if v[i], err = r.integer(name); err != nil {
			return nil, err
		}
	}
	if v[2] == 0 {
		v[2] = decisionsListed
	}
	if v[0] < 0 || v[1] < 0 || v[2] < 0 || v[2] > decisionsMax {
		return nil, fmt.Errorf("%w: off and len are not negative, limit is 1 to %d", api.ErrInvalid, decisionsMax)
	}
	items, err := s.backend.Decisions(ctx, r.segment("volume"), v[0], v[1], int(v[2]))
	return api.DecisionList{Items: list(items)}, err
}

func (s *Server) recordTrace(ctx context.Context, r *request) (any, error) {
	limit, err := r.seconds("seconds")
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = time.Minute
	}
	bytes, err := r.integer("bytes")
	if err != nil {
		return nil, err
	}
	if bytes == 0 {
		bytes = 16 << 20
	}
	if bytes < 4096 || limit > traceSecondsMax {
		return nil, fmt.Errorf("%w: want at least 4096 bytes and at most %v", api.ErrInvalid, traceSecondsMax)
	}
	return s.backend.RecordTrace(ctx, limit, bytes, r.report)
}
