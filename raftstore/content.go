package raftstore

import (
	"context"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/target"
)

// packStore keeps wire packs.
type packStore interface {
	Put(id pack.ID, b []byte) error
	Get(id pack.ID) ([]byte, error)
	Has(id pack.ID) bool
	Delete(id pack.ID) error
	Usage() (count int, bytes int64)
}

// follower is the node's copy of groups as the agreed order of events drives it. None of its calls blocks.
type follower interface {
	Advance(e replica.Entry)
	Reconcile(group ident.GroupID, kept []replica.Entry)
	Forget(group ident.GroupID, numbers ...uint64)
	SetDisks(disks []replica.DiskSpec)
}

// copies is the node's copy of groups as callers see it.
type copies interface {
	follower
	Point(p ident.Point) (reader, error)
	Verified(group ident.GroupID) ident.Point
	WaitApplied(ctx context.Context, p ident.Point, disks ...ident.UUID) error
	Err(group ident.GroupID) error
	Disks() []replica.DiskStatus
	Usage() replica.Usage
	VerifyDisk(ctx context.Context, id ident.UUID) (replica.Report, error)
	Scrub(ctx context.Context, bytesPerSecond int64) (replica.ScrubReport, error)
	Close() error
}

// reader reads one point.
type reader interface {
	ReadAt(v ident.VolumeID, p []byte, off int64) error
	Extents(v ident.VolumeID, off, n int64) ([]target.Extent, error)
	Leaves(v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error)
	Explain(ctx context.Context, v ident.VolumeID, off, n int64, limit int) (replica.Explanation, error)
	Content(ctx context.Context, v ident.VolumeID, off, n int64, limit int) (replica.Explanation, error)
	Device(v ident.VolumeID) (target.Device, error)
}
