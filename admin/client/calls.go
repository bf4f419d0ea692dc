package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirstor/weir/admin/api"
)

const root = "/api/v1"

func segment(s string) string { return url.PathEscape(s) }

// Status returns the whole system.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var v api.Status
	err := c.call(ctx, http.MethodGet, root+"/status", nil, &v)
	return v, err
}

// Health returns nil error exactly while the doors are open.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	resp, err := c.send(ctx, http.MethodGet, "/healthz", "application/json", nil)
	if err != nil {
		return api.Health{}, err
	}
	defer resp.Body.Close()
	var h api.Health
	healthy := resp.StatusCode == http.StatusOK
	resp.StatusCode = http.StatusOK // the body is a Health in both cases
	if err := decodeAnswer(resp, &h); err != nil {
		return h, err
	}
	if !healthy {
		return h, api.Advise(api.ErrUnavailable, "the system is %s: %s", h.State, h.Reason)
	}
	return h, nil
}

// Sessions lists the connections at the doors.
func (c *Client) Sessions(ctx context.Context) ([]api.Session, error) {
	var v api.SessionList
	err := c.call(ctx, http.MethodGet, root+"/sessions", nil, &v)
	return v.Items, err
}

// Volumes lists the volumes.
func (c *Client) Volumes(ctx context.Context) ([]api.Volume, error) {
	var v api.VolumeList
	err := c.call(ctx, http.MethodGet, root+"/volumes", nil, &v)
	return v.Items, err
}

// Volume returns one volume, by name or UUID.
func (c *Client) Volume(ctx context.Context, name string) (api.Volume, error) {
	var v api.Volume
	err := c.call(ctx, http.MethodGet, root+"/volumes/"+segment(name), nil, &v)
	return v, err
}

// CreateVolume makes a volume of zeroes.
func (c *Client) CreateVolume(ctx context.Context, in api.VolumeCreate) (api.Volume, error) {
	var v api.Volume
	err := c.call(ctx, http.MethodPost, root+"/volumes", in, &v)
	return v, err
}

// ResizeVolume grows a volume to size bytes.
func (c *Client) ResizeVolume(ctx context.Context, name string, size int64) (api.Volume, error) {
	var v api.Volume
	err := c.call(ctx, http.MethodPatch, root+"/volumes/"+segment(name), api.VolumeResize{Size: size}, &v)
	return v, err
}

// DeleteVolume removes a volume from the gateway; with drop, from under the clients that are attached.
func (c *Client) DeleteVolume(ctx context.Context, name string, drop bool) error {
	path := root + "/volumes/" + segment(name)
	if drop {
		path += "?drop=true"
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// Explain describes how [off, off+n) of a volume is classified, and what its newest point changed there; VOLUME@POINT
// asks for another point. n = 0 means to the end.
func (c *Client) Explain(ctx context.Context, name string, off, n int64) (api.Explanation, error) {
	q := url.Values{"off": {strconv.FormatInt(off, 10)}, "len": {strconv.FormatInt(n, 10)}}
	var v api.Explanation
	err := c.call(ctx, http.MethodGet, root+"/volumes/"+segment(name)+"/explain?"+q.Encode(), nil, &v)
	return v, err
}

// Snapshots lists the kept points of a group, newest first.
func (c *Client) Snapshots(ctx context.Context, group string) ([]api.Snapshot, error) {
	var v api.SnapshotList
	err := c.call(ctx, http.MethodGet, root+"/groups/"+segment(group)+"/snapshots", nil, &v)
	return v.Items, err
}

// Snapshot describes one point, by name or end sequence, with what its epoch did to each volume.
func (c *Client) Snapshot(ctx context.Context, group, point string) (api.Snapshot, error) {
	var v api.Snapshot
	err := c.call(ctx, http.MethodGet, root+"/groups/"+segment(group)+"/snapshots/"+segment(point), nil, &v)
	return v, err
}

// CreateSnapshot names the group's content as it is now and returns when the point is committed.
func (c *Client) CreateSnapshot(ctx context.Context, group, name string) (api.Snapshot, error) {
	var v api.Snapshot
	err := c.call(ctx, http.MethodPost, root+"/groups/"+segment(group)+"/snapshots", api.SnapshotCreate{Name: name}, &v)
	return v, err
}

// DeleteSnapshot drops a point, by name or end sequence.
func (c *Client) DeleteSnapshot(ctx context.Context, group, point string) error {
	return c.call(ctx, http.MethodDelete, root+"/groups/"+segment(group)+"/snapshots/"+segment(point), nil, nil)
}

// Disks lists the disks that follow volumes.
func (c *Client) Disks(ctx context.Context) ([]api.Disk, error) {
	var v api.DiskList
	err := c.call(ctx, http.MethodGet, root+"/disks", nil, &v)
	return v.Items, err
}

// AddDisk lets a disk follow a volume.
func (c *Client) AddDisk(ctx context.Context, in api.DiskAdd) (api.Disk, error) {
	var v api.Disk
	err := c.call(ctx, http.MethodPost, root+"/disks", in, &v)
	return v, err
}

// VerifyDisk reads a whole disk and compares it with the point that it shows. report may be nil.
func (c *Client) VerifyDisk(ctx context.Context, id string, report func(api.Progress)) (api.DiskReport, error) {
	var v api.DiskReport
	err := c.long(ctx, root+"/disks/"+segment(id)+"/verify", report, &v)
	return v, err
}

// DetachDisk stops following.
func (c *Client) DetachDisk(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, root+"/disks/"+segment(id), nil, nil)
}

// Cluster describes the provider cluster.
func (c *Client) Cluster(ctx context.Context) (api.Cluster, error) {
	var v api.Cluster
	err := c.call(ctx, http.MethodGet, root+"/cluster", nil, &v)
	return v, err
}

// RemoveNode removes a provider from the cluster.
func (c *Client) RemoveNode(ctx context.Context, name string) (api.Cluster, error) {
	var v api.Cluster
	err := c.call(ctx, http.MethodDelete, root+"/cluster/nodes/"+segment(name), nil, &v)
	return v, err
}

// Wait returns when all that was written to the volume before the call is committed and on each of its disks, or
// after limit (0: none) with api.ErrTimeout. report may be nil.
func (c *Client) Wait(ctx context.Context, volume string, limit time.Duration, report func(api.Progress)) (api.WaitResult, error) {
	path := root + "/volumes/" + segment(volume) + "/wait"
	if limit > 0 {
		path += "?timeout=" + strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)
	}
	var v api.WaitResult
	err := c.long(ctx, path, report, &v)
	return v, err
}

// Verify compares a volume, or all when the name is empty, on both sides. report may be nil.
func (c *Client) Verify(ctx context.Context, volume string, report func(api.Progress)) (api.VerifyResult, error) {
	path := root + "/verify"
	if volume != "" {
		path += "?volume=" + url.QueryEscape(volume)
	}
	var v api.VerifyResult
	err := c.long(ctx, path, report, &v)
	return v, err
}

// ChangeGroup changes how a group works, until the gateway's next start.
func (c *Client) ChangeGroup(ctx context.Context, group string, change api.GroupChange) (api.Group, error) {
	var g api.Group
	return g, c.call(ctx, http.MethodPatch, root+"/groups/"+segment(group), change, &g)
}
