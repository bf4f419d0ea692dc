package admin

import (
	"context"

	"github.com/weirstor/weir/admin/api"
)

// Backend is what admin needs of the running system. Every method may be called from any number of goroutines, even
// while the system starts or stops; what a role does not offer answers api.ErrUnsupported, what is not up yet
// api.ErrUnavailable. Errors wrap the sentinels of admin/api.
type Backend interface {
	Overview
	Volumes
	Snapshots
	Clones
	Differ
	Places
	Retention
	Scrubber
	Disks
	Cluster
	Groups
	Migrations
	Worker
	Access
	Packaging
}

// Overview describes the system without waiting for anything: neither method takes a lock of the write path or asks
// another machine.
type Overview interface {
	// Health is ok or degraded exactly while all doors of the role are open.
	Health() api.Health
	// Status may be some hundred milliseconds old in what it says of other machines.
	Status() api.Status
	// Sessions lists the connections at the doors.
	Sessions() []api.Session
}

// Volumes makes and changes volumes. What a method has done is on stable storage when it returns.
type Volumes interface {
	// CreateVolume answers api.ErrConflict when the name is taken.
	CreateVolume(ctx context.Context, v api.VolumeCreate) (api.Volume, error)
	// ResizeVolume grows a volume; a smaller size is api.ErrInvalid.
	ResizeVolume(ctx context.Context, name string, size int64) (api.Volume, error)
	// DeleteVolume removes a volume with its content on the gateway. Points that hold it stay. Clients that are
	// attached are api.ErrConflict, unless drop is set: then their sessions end.
	DeleteVolume(ctx context.Context, name string, drop bool) error
	// Explain describes [off, off+n) of a volume, or of VOLUME@POINT; n = 0 means to the end.
	Explain(ctx context.Context, name string, off, n int64) (api.Explanation, error)
}

// Snapshots keeps and drops points. A group is given by name or UUID, a point by name or end sequence.
type Snapshots interface {
	Snapshots(ctx context.Context, group string) ([]api.Snapshot, error)
	// Snapshot describes one point, with what its epoch did to each volume.
	Snapshot(ctx context.Context, group, point string) (api.Snapshot, error)
	// CreateSnapshot returns when the point is committed.
	CreateSnapshot(ctx context.Context, group, name string) (api.Snapshot, error)
	DeleteSnapshot(ctx context.Context, group, point string) error
}

// Disks is the destination side.
type Disks interface {
	Disks(ctx context.Context) ([]api.Disk, error)
	AddDisk(ctx context.Context, d api.DiskAdd) (api.Disk, error)
	// VerifyDisk reads the whole disk.
	VerifyDisk(ctx context.Context, id string, report func(api.Progress)) (api.DiskReport, error)
	// DetachDisk stops following; the disk keeps the point that it shows.
	DetachDisk(ctx context.Context, id string) error
}

// Cluster is the membership of the provider cluster.
type Cluster interface {
	Cluster(ctx context.Context) (api.Cluster, error)
	RemoveNode(ctx context.Context, name string) (api.Cluster, error)
}

// Worker does what takes long. report may be called from any goroutine until the method has returned.
type Worker interface {
	// Wait seals the current epoch and returns when all that was written to the volume before the call is committed
	// and on each of its disks.
	Wait(ctx context.Context, volume string, report func(api.Progress)) (api.WaitResult, error)
	// Verify compares a volume, or all when the name is empty, on both sides.
	Verify(ctx context.Context, volume string, report func(api.Progress)) (api.VerifyResult, error)
}
