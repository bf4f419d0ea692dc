package raftstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/target"
)

// fakeCopies takes points in without decoding them: a point is verified once all of its packs are here.
type fakeCopies struct {
	n      *Node
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	panics atomic.Bool
	*fakeDisk

	queue []replica.Entry
	wake  chan struct{}
}

// fakeDisk is what fakeCopies would find again after a restart.
type fakeDisk struct {
	mu       sync.Mutex
	verified map[ident.GroupID]ident.Point
	numbers  map[ident.GroupID]uint64
}

func (c *testCluster) openFakeCopies(n *Node) (copies, error) {
	c.mu.Lock()
	disk := c.fakes[n.ID()]
	if disk == nil {
		disk = &fakeDisk{verified: map[ident.GroupID]ident.Point{}, numbers: map[ident.GroupID]uint64{}}
		c.fakes[n.ID()] = disk
	}
	c.mu.Unlock()
	f := &fakeCopies{n: n, fakeDisk: disk, wake: make(chan struct{}, 1)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Add(1)
	go f.run()
	return f, nil
}

func (f *fakeCopies) run() {
	defer f.wg.Done()
	for {
		select {
		case <-f.wake:
		case <-f.ctx.Done():
			return
		}
		f.mu.Lock()
		queue := f.queue
		f.queue = nil
		f.mu.Unlock()
		for _, e := range queue {
			f.take(e)
		}
	}
}

func (f *fakeCopies) take(e replica.Entry) {
	f.mu.Lock()
	known := e.Number <= f.numbers[e.Commit.Group]
	f.mu.Unlock()
	if known {
		return
	}
	for _, ref := range e.Commit.Packs {
		for !f.n.packs.Has(ref.ID) && f.ctx.Err() == nil {
			b, err := f.n.fetch(f.ctx, e.Commit.Group, ref.ID)
			if err == nil {
				err = f.n.packs.Put(ref.ID, b)
			}
			if err != nil && !sleep(f.ctx, 20*time.Millisecond) {
				return
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verified[e.Commit.Group], f.numbers[e.Commit.Group] = e.Commit.Point(), e.Number
}

func (f *fakeCopies) Advance(e replica.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, e)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fakeCopies) Reconcile(_ ident.GroupID, kept []replica.Entry) {
	for _, e := range kept {
		f.Advance(e)
	}
}

func (f *fakeCopies) Forget(ident.GroupID, ...uint64) {}

func (f *fakeCopies) SetDisks([]replica.DiskSpec) {}

func (f *fakeCopies) Point(p ident.Point) (reader, error) {
	if f.panics.Load() {
		panic("asked for")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.verified[p.Group] != p {
		return nil, replica.ErrNotIngested
	}
	return fakeReader{}, nil
}

func (f *fakeCopies) Verified(g ident.GroupID) ident.Point {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.verified[g]
}

func (f *fakeCopies) WaitApplied(context.Context, ident.Point, ...ident.UUID) error { return nil }
func (f *fakeCopies) Err(ident.GroupID) error                                       { return nil }
func (f *fakeCopies) Disks() []replica.DiskStatus                                   { return nil }

func (f *fakeCopies) VerifyDisk(context.Context, ident.UUID) (replica.Report, error) {
	return replica.Report{}, replica.ErrNoDisk
}

func (f *fakeCopies) Close() error {
	f.cancel()
	f.wg.Wait()
	return nil
}

// fakeReader is a volume of which every byte is 7.
type fakeReader struct{}

func (fakeReader) ReadAt(_ ident.VolumeID, p []byte, _ int64) error {
	for i := range p {
		p[i] = 7
	}
	return nil
}

func (fakeReader) Extents(_ ident.VolumeID, off, n int64) ([]target.Extent, error) {
	return []target.Extent{{Off: off, Len: n, Kind: target.Data}}, nil
}

func (fakeReader) Leaves(_ ident.VolumeID, _ uint64, count int) ([]leaf.Leaf, error) {
	return make([]leaf.Leaf, count), nil
}

func (fakeReader) Explain(context.Context, ident.VolumeID, int64, int64, int) (replica.Explanation, error) {
	return replica.Explanation{}, nil
}

func (fakeReader) Content(context.Context, ident.VolumeID, int64, int64, int) (replica.Explanation, error) {
	return replica.Explanation{}, nil
}

func (fakeReader) Device(ident.VolumeID) (target.Device, error) { return nil, replica.ErrNoVolume }

func (f *fakeCopies) Usage() replica.Usage { return replica.Usage{} }

func (f *fakeCopies) Scrub(context.Context, int64) (replica.ScrubReport, error) {
	return replica.ScrubReport{}, nil
}
