package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// query describes one query parameter for the OpenAPI document.
type query struct {
	name, kind, doc string
}

// route is one call of the API. Request and Response are zero values of the JSON bodies, nil for none.
type route struct {
	Method, Path, ID, Summary string
	Query                     []query
	Request, Response         any
	Status                    int  // of success
	Long                      bool // answers with progress as server-sent events when asked to
	serve                     func(context.Context, *request) (any, error)
	write                     func(http.ResponseWriter, *http.Request, *request) error // instead of serve: answers with bytes
}

// routes is the API. Paths are below /api/v1, parameters in braces.
func (s *Server) routes() []route {
	var all []route
	for _, part := range [][]route{
		s.overviewRoutes(), s.volumeRoutes(), s.snapshotRoutes(), s.cloneRoutes(), s.diskRoutes(), s.clusterRoutes(),
		s.workRoutes(), s.accessRoutes(), s.groupRoutes(), s.diffRoutes(), s.retentionRoutes(), s.migrationRoutes(),
		s.scrubRoutes(), s.placeRoutes(), s.packagingRoutes(),
	} {
		all = append(all, part...)
	}
	return all
}

func (s *Server) overviewRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/status", ID: "getStatus", Summary: "The whole system on one screen",
			Response: api.Status{}, Status: http.StatusOK,
			serve: func(context.Context, *request) (any, error) { return s.backend.Status(), nil }},
		{Method: http.MethodGet, Path: "/sessions", ID: "listSessions", Summary: "Connections at the doors",
			Response: api.SessionList{}, Status: http.StatusOK,
			serve: func(context.Context, *request) (any, error) {
				return api.SessionList{Items: list(s.backend.Sessions())}, nil
			}},
		{Method: http.MethodGet, Path: "/groups", ID: "listGroups", Summary: "Consistency groups",
			Response: api.GroupList{}, Status: http.StatusOK,
			serve: func(context.Context, *request) (any, error) {
				return api.GroupList{Items: list(s.backend.Status().Groups)}, nil
			}},
		{Method: http.MethodGet, Path: "/groups/{group}", ID: "getGroup", Summary: "One consistency group",
			Response: api.Group{}, Status: http.StatusOK, serve: s.getGroup},
	}
}

func (s *Server) getGroup(_ context.Context, r *request) (any, error) {
	name := r.segment("group")
	for _, g := range s.backend.Status().Groups {
		if g.Name == name || g.ID == name {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: group %q", api.ErrNotFound, name)
}

func (s *Server) volumeRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/volumes", ID: "listVolumes", Summary: "Volumes",
			Response: api.VolumeList{}, Status: http.StatusOK,
			serve: func(context.Context, *request) (any, error) {
				return api.VolumeList{Items: list(s.backend.Status().Volumes)}, nil
			}},
		{Method: http.MethodPost, Path: "/volumes", ID: "createVolume", Summary: "Make a volume of zeroes",
			Request: api.VolumeCreate{}, Response: api.Volume{}, Status: http.StatusCreated, serve: s.createVolume},
		{Method: http.MethodGet, Path: "/volumes/{volume}", ID: "getVolume", Summary: "One volume",
			Response: api.Volume{}, Status: http.StatusOK, serve: s.getVolume},
		{Method: http.MethodPatch, Path: "/volumes/{volume}", ID: "resizeVolume", Summary: "Grow a volume",
			Request: api.VolumeResize{}, Response: api.Volume{}, Status: http.StatusOK, serve: s.resizeVolume},
		{Method: http.MethodDelete, Path: "/volumes/{volume}", ID: "deleteVolume",
			Summary: "Remove a volume with its content on the gateway; points that hold it stay",
			Query:   []query{{"drop", "boolean", "end the sessions of clients that are attached; without it they are a conflict"}},
			Status:  http.StatusNoContent, serve: s.deleteVolume},
		{Method: http.MethodGet, Path: "/volumes/{volume}/explain", ID: "explainVolume",
			Summary: "How a range of a volume, or of VOLUME@POINT, is classified and sent, and what the point changed",
			Query: []query{{"off", "integer", "first byte; 0 when absent"},
				{"len", "integer", "bytes; to the end when absent or 0"}},
			Response: api.Explanation{}, Status: http.StatusOK, serve: s.explain},
	}
}

func (s *Server) createVolume(ctx context.Context, r *request) (any, error) {
	var v api.VolumeCreate
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if v.BlockSize == 0 {
		v.BlockSize = 512
	}
	return s.backend.CreateVolume(ctx, v)
}

func (s *Server) getVolume(_ context.Context, r *request) (any, error) {
	name := r.segment("volume")
	for _, v := range s.backend.Status().Volumes {
		if v.Name == name || v.ID == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: volume %q", api.ErrNotFound, name)
}

func (s *Server) resizeVolume(ctx context.Context, r *request) (any, error) {
	var v api.VolumeResize
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	return s.backend.ResizeVolume(ctx, r.segment("volume"), v.Size)
}

func (s *Server) explain(ctx context.Context, r *request) (any, error) {
	off, err1 := r.integer("off")
	n, err2 := r.integer("len")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return s.backend.Explain(ctx, r.segment("volume"), off, n)
}

func (s *Server) snapshotRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/groups/{group}/snapshots", ID: "listSnapshots",
			Summary:  "Kept points of a group, newest first",
			Response: api.SnapshotList{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				items, err := s.backend.Snapshots(ctx, r.segment("group"))
				return api.SnapshotList{Items: list(items)}, err
			}},
		{Method: http.MethodPost, Path: "/groups/{group}/snapshots", ID: "createSnapshot",
			Summary: "Name the group's content as it is now; answers when the point is committed",
			Request: api.SnapshotCreate{}, Response: api.Snapshot{}, Status: http.StatusCreated,
			serve: func(ctx context.Context, r *request) (any, error) {
				var v api.SnapshotCreate
				if err := r.decode(&v); err != nil {
					return nil, err
				}
				return s.backend.CreateSnapshot(ctx, r.segment("group"), v.Name)
			}},
		{Method: http.MethodGet, Path: "/groups/{group}/snapshots/{point}", ID: "getSnapshot",
			Summary:  "One point, by name or end sequence, with what its epoch did to each volume",
			Response: api.Snapshot{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.Snapshot(ctx, r.segment("group"), r.segment("point"))
			}},
		{Method: http.MethodDelete, Path: "/groups/{group}/snapshots/{point}", ID: "deleteSnapshot",
			Summary: "Drop a point, by name or end sequence", Status: http.StatusNoContent,
			serve: func(ctx context.Context, r *request) (any, error) {
				return nil, s.backend.DeleteSnapshot(ctx, r.segment("group"), r.segment("point"))
			}},
	}
}

func (s *Server) diskRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/disks", ID: "listDisks", Summary: "Disks that follow volumes",
			Response: api.DiskList{}, Status: http.StatusOK,
			serve: func(ctx context.Context, _ *request) (any, error) {
				items, err := s.backend.Disks(ctx)
				return api.DiskList{Items: list(items)}, err
			}},
		{Method: http.MethodPost, Path: "/disks", ID: "addDisk", Summary: "Let a disk follow a volume",
			Request: api.DiskAdd{}, Response: api.Disk{}, Status: http.StatusCreated,
			serve: func(ctx context.Context, r *request) (any, error) {
				var d api.DiskAdd
				if err := r.decode(&d); err != nil {
					return nil, err
				}
				return s.backend.AddDisk(ctx, d)
			}},
		{Method: http.MethodPost, Path: "/disks/{disk}/verify", ID: "verifyDisk", Long: true,
			Summary:  "Read a whole disk and compare it with the point that it shows",
			Response: api.DiskReport{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.VerifyDisk(ctx, r.segment("disk"), r.report)
			}},
		{Method: http.MethodDelete, Path: "/disks/{disk}", ID: "detachDisk",
			Summary: "Stop following; the disk keeps the point that it shows", Status: http.StatusNoContent,
			serve: func(ctx context.Context, r *request) (any, error) {
				return nil, s.backend.DetachDisk(ctx, r.segment("disk"))
			}},
	}
}

func (s *Server) clusterRoutes() []route {
	return []route{
		{Method: http.MethodGet, Path: "/cluster", ID: "getCluster", Summary: "The provider cluster",
			Response: api.Cluster{}, Status: http.StatusOK,
			serve: func(ctx context.Context, _ *request) (any, error) { return s.backend.Cluster(ctx) }},
		{Method: http.MethodDelete, Path: "/cluster/nodes/{node}", ID: "removeNode",
			Summary: "Remove a provider from the cluster", Response: api.Cluster{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.RemoveNode(ctx, r.segment("node"))
			}},
	}
}

func (s *Server) workRoutes() []route {
	return []route{
		{Method: http.MethodPost, Path: "/volumes/{volume}/wait", ID: "waitVolume", Long: true,
			Summary: "Seal the current epoch and wait until what was written before is committed and on every disk",
			Query:   []query{{"timeout", "number", "seconds; without limit when absent or 0"}},
			Request: nil, Response: api.WaitResult{}, Status: http.StatusOK, serve: s.wait},
		{Method: http.MethodPost, Path: "/verify", ID: "verify", Long: true,
			Summary:  "Compare volumes on both sides by state hash, and their disks",
			Query:    []query{{"volume", "string", "one volume; all when absent"}},
			Response: api.VerifyResult{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.Verify(ctx, r.http.URL.Query().Get("volume"), r.report)
			}},
	}
}

func (s *Server) wait(ctx context.Context, r *request) (any, error) {
	limit, err := r.seconds("timeout")
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: not done after %v", api.ErrTimeout, limit))
		defer cancel()
	}
	res, err := s.backend.Wait(ctx, r.segment("volume"), r.report)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, api.ErrTimeout) && !errors.Is(err, api.ErrTimeout) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return res, err
}

// list makes a nil slice an empty one, so that it is [] and not null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
