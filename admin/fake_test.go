package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// fake is a Backend in memory.
type fake struct {
	mu      sync.Mutex
	health  string
	volumes map[string]api.Volume
	disks   map[string]api.Disk
	snaps   []api.Snapshot
	clones  map[string]api.Clone
	rule    api.Retention
	nodes   map[string]string
	block   chan struct{} // Wait returns when it is closed
	access  api.Access
}

var _ Backend = (*fake)(nil)

func newFake() *fake {
	return &fake{health: api.HealthOK, volumes: map[string]api.Volume{}, disks: map[string]api.Disk{},
		nodes: map[string]string{"n1": "127.0.0.1:1"}}
}

func (f *fake) Health() api.Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	return api.Health{State: f.health}
}

func (f *fake) Status() api.Status {
	h := f.Health()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := api.Status{Version: "1", Role: api.RoleAll, Now: time.Now(), Health: h,
		Groups: []api.Group{{Name: "main", ID: "g1", Replication: "on", LagSeconds: 1.5,
			Wire: api.Wire{HostBytes: 1 << 20, SentBytes: 1 << 12}, Committed: api.Point{End: 7}}}}
	for _, v := range f.volumes {
		s.Volumes = append(s.Volumes, v)
	}
	for _, d := range f.disks {
		s.Disks = append(s.Disks, d)
	}
	c := f.clusterLocked()
	s.Cluster = &c
	s.Store = &api.Store{StorePacks: 2, WrittenBytes: 100, RewrittenBytes: 30}
	return s
}

func (f *fake) Sessions() []api.Session { return []api.Session{{Door: "nbd", Remote: "127.0.0.1:9"}} }

func (f *fake) CreateVolume(_ context.Context, v api.VolumeCreate) (api.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.volumes[v.Name]; taken {
		return api.Volume{}, fmt.Errorf("%w: volume %q exists", api.ErrConflict, v.Name)
	}
	if v.Size <= 0 {
		return api.Volume{}, fmt.Errorf("%w: size %d", api.ErrInvalid, v.Size)
	}
	f.volumes[v.Name] = api.Volume{Name: v.Name, ID: "id-" + v.Name, Group: "main", Size: v.Size, BlockSize: v.BlockSize,
		Host:   api.HostCounters{WrittenBytes: 4096, WriteOps: 1},
		Chunks: []api.ChunkCount{{Class: "SmallData", Encoding: "copy", Chunks: 3, Bytes: 300}, {Class: "LargeData", Encoding: "raw", Chunks: 1, Bytes: 100}}}
	return f.volumes[v.Name], nil
}

func (f *fake) volumeLocked(name string) (api.Volume, error) {
	v, ok := f.volumes[name]
	if !ok {
		return v, fmt.Errorf("%w: volume %q", api.ErrNotFound, name)
	}
	return v, nil
}

func (f *fake) ResizeVolume(_ context.Context, name string, size int64) (api.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.volumeLocked(name)
	if err == nil {
		v.Size = size
		f.volumes[name] = v
	}
	return v, err
}

func (f *fake) DeleteVolume(_ context.Context, name string, drop bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.volumeLocked(name)
	delete(f.volumes, name)
	return err
}

func (f *fake) Explain(_ context.Context, name string, off, n int64) (api.Explanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.volumeLocked(name)
	return api.Explanation{Volume: name, Range: api.Range{Off: off, Len: n}}, err
}

func (f *fake) Snapshots(context.Context, string) ([]api.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snaps, nil
}

func (f *fake) Snapshot(_ context.Context, _, point string) (api.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.snaps {
		if s.Name == point {
			s.Volumes = []api.SnapshotVolume{{Name: "v", Chunks: []api.ChunkCount{{Class: "SmallData", Encoding: "differential"}}}}
			return s, nil
		}
	}
	return api.Snapshot{}, fmt.Errorf("%w: point %q", api.ErrNotFound, point)
}

func (f *fake) CreateSnapshot(_ context.Context, group, name string) (api.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := api.Snapshot{Group: group, Name: name, KeptBy: "name"}
	f.snaps = append(f.snaps, s)
	return s, nil
}

func (f *fake) DeleteSnapshot(_ context.Context, _, point string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.snaps {
		if s.Name == point {
			f.snaps = append(f.snaps[:i], f.snaps[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("%w: point %q", api.ErrNotFound, point)
}

func (f *fake) Disks(context.Context) ([]api.Disk, error) { return f.Status().Disks, nil }

func (f *fake) AddDisk(_ context.Context, d api.DiskAdd) (api.Disk, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.volumeLocked(d.Volume); err != nil {
		return api.Disk{}, err
	}
	f.disks["d1"] = api.Disk{ID: "d1", Volume: d.Volume, Kind: d.Kind, Place: d.Place, State: "clean"}
	return f.disks["d1"], nil
}

func (f *fake) VerifyDisk(_ context.Context, id string, report func(api.Progress)) (api.DiskReport, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.disks[id]
	if !ok {
		return api.DiskReport{}, fmt.Errorf("%w: disk %q", api.ErrNotFound, id)
	}
	report(api.Progress{What: "reading", Done: 1, Total: 2, Unit: "bytes"})
	return api.DiskReport{Disk: d, Equal: true, Checked: 2}, nil
}

func (f *fake) DetachDisk(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.disks, id)
	return nil
}

func (f *fake) clusterLocked() api.Cluster {
	c := api.Cluster{ID: "c1", Leader: "n1"}
	for n, a := range f.nodes {
		c.Nodes = append(c.Nodes, api.Node{Name: n, Address: a, Voter: true, Leader: n == "n1", Reachable: true})
	}
	return c
}

func (f *fake) Cluster(context.Context) (api.Cluster, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clusterLocked(), nil
}

func (f *fake) RemoveNode(_ context.Context, name string) (api.Cluster, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.nodes, name)
	return f.clusterLocked(), nil
}

func (f *fake) Wait(ctx context.Context, volume string, report func(api.Progress)) (api.WaitResult, error) {
	f.mu.Lock()
	_, err := f.volumeLocked(volume)
	f.mu.Unlock()
	if err != nil {
		return api.WaitResult{}, err
	}
	report(api.Progress{What: "committing", Done: 0, Total: 1, Unit: "points"})
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return api.WaitResult{}, ctx.Err()
		}
	}
	return api.WaitResult{Volume: volume, Committed: true, Point: api.Point{End: 7}}, nil
}

func (f *fake) Verify(_ context.Context, volume string, _ func(api.Progress)) (api.VerifyResult, error) {
	if volume == "broken" {
		panic("index out of range")
	}
	return api.VerifyResult{Equal: true, Volumes: []api.VerifyVolume{{Volume: volume, Equal: true}}}, nil
}

func (f *fake) Diff(_ context.Context, volume, from, to string, limit int, report func(api.Progress)) (api.SnapshotDiff, error) {
	report(api.Progress{What: "comparing"})
	return api.SnapshotDiff{Volume: volume, Omitted: limit, Files: []api.FileChange{{Change: "created", Path: "/" + from + to, Type: "file"}}}, nil
}

func (f *fake) Access(_ context.Context, volume string) (api.Access, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.access, nil
}

func (f *fake) SetAccess(_ context.Context, volume string, a api.Access) (api.Access, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a.Revision++
	f.access = a
	return a, nil
}

func (f *fake) DropSession(_ context.Context, id string) error {
	if id != "7" {
		return api.ErrNotFound
	}
	return nil
}

func (f *fake) DecideGroup(_ context.Context, group string, a api.GroupAct) (api.GroupDecision, error) {
	if group != "main" {
		return api.GroupDecision{}, fmt.Errorf("%w: group %q", api.ErrNotFound, group)
	}
	return api.GroupDecision{Act: a.Act, Group: "g1"}, nil
}

func (f *fake) Migration(_ context.Context, group string) (api.Migration, error) {
	return api.Migration{Group: group, State: "following"}, nil
}

func (f *fake) StartMigration(ctx context.Context, group string) (api.Migration, error) {
	return f.Migration(ctx, group)
}

func (f *fake) Cutover(ctx context.Context, group string, report func(api.Progress)) (api.Migration, error) {
	report(api.Progress{What: "hold"})
	m, err := f.Migration(ctx, group)
	m.State = "done"
	return m, err
}

func (f *fake) AbortMigration(ctx context.Context, group string) (api.Migration, error) {
	return f.Migration(ctx, group)
}

func (f *fake) SetGroupMode(_ context.Context, group string, m api.GroupMode) (api.GroupMode, error) {
	if group != "main" {
		return m, fmt.Errorf("%w: group %q", api.ErrNotFound, group)
	}
	return m, nil
}

func (f *fake) FilePlace(_ context.Context, volume, path string) (api.FilePlace, error) {
	return api.FilePlace{Volume: volume, Path: path, Type: "file", Inode: 12}, nil
}
