package raftstore

import (
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/disk"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

func toGroup(b []byte) (ident.GroupID, error) {
	u, err := rpc.ToUUID(b)
	if err != nil {
		return ident.GroupID{}, fmt.Errorf("group: %w", err)
	}
	return ident.GroupID{UUID: u}, nil
}

func toVolume(b []byte) (ident.VolumeID, error) {
	u, err := rpc.ToUUID(b)
	if err != nil {
		return ident.VolumeID{}, fmt.Errorf("volume: %w", err)
	}
	return ident.VolumeID{UUID: u}, nil
}

// toPoint reads a point that must be there.
func toPoint(m *rpc.Point) (ident.Point, error) {
	p, err := rpc.ToPoint(m)
	if err == nil && p.IsZero() {
		err = fmt.Errorf("%w: no point given", rpc.ErrBadRequest)
	}
	return p, err
}

func toPackID(b []byte) (pack.ID, error) {
	if len(b) != len(pack.ID{}) || b[0] != pack.AlgSHA256 {
		return pack.ID{}, fmt.Errorf("%w: pack ID of %d bytes", rpc.ErrBadRequest, len(b))
	}
	return pack.ID(b), nil
}

func checkText(what, s string) error {
	if len(s) > meta.MaxTextBytes {
		return fmt.Errorf("%w: %s of %d bytes, at most %d", rpc.ErrBadRequest, what, len(s), meta.MaxTextBytes)
	}
	return nil
}

func fromVolumes(volumes []replicate.VolumeState) []*rpc.VolumeState {
	out := make([]*rpc.VolumeState, len(volumes))
	for i, v := range volumes {
		state := v.State.Bytes()
		m := &rpc.VolumeState{
			Volume: v.Volume.UUID[:], Name: v.Name, Size: v.Size, BlockSize: uint32(v.BlockSize), StateHash: state[:],
			Partial: v.Partial,
		}
		for _, c := range v.Counts {
			m.Classes = append(m.Classes, &rpc.ClassCount{
				Chunks: c.Chunks, HostBytes: c.HostBytes, WireBytes: c.WireBytes, ShareBytes: c.ShareBytes,
			})
		}
		out[i] = m
	}
	return out
}

func fromEntry(e meta.Entry) (*rpc.PointInfo, error) {
	c, err := e.Commit()
	if err != nil {
		return nil, fmt.Errorf("point %s: %w", e.Point, err)
	}
	return &rpc.PointInfo{
		Point: rpc.FromPoint(e.Point), Number: e.Number, Name: e.Name, Time: e.Time,
		Volumes: fromVolumes(c.Volumes), PackBytes: uint64(c.PackBytes()),
	}, nil
}

func fromExtents(extents []target.Extent) []*rpc.Extent {
	out := make([]*rpc.Extent, len(extents))
	for i, e := range extents {
		out[i] = &rpc.Extent{Offset: e.Off, Length: e.Len, Kind: uint32(e.Kind)}
	}
	return out
}

func toExtents(extents []*rpc.Extent) []target.Extent {
	out := make([]target.Extent, len(extents))
	for i, e := range extents {
		out[i] = target.Extent{Off: e.GetOffset(), Len: e.GetLength(), Kind: target.ExtentKind(e.GetKind())}
	}
	return out
}

func diskSpec(d meta.Disk) replica.DiskSpec {
	return replica.DiskSpec{
		ID: d.ID, Group: d.Group, Volume: d.Volume, Kind: disk.Kind(d.Kind), Place: d.Place, Policy: disk.Policy(d.Policy),
	}
}

func fromDisk(d meta.Disk) *rpc.Disk {
	return &rpc.Disk{
		Id: d.ID[:], Group: d.Group.UUID[:], Volume: d.Volume.UUID[:], VolumeName: d.VolumeName, Node: d.Node,
		Kind: d.Kind, Place: d.Place, Policy: d.Policy,
	}
}

// toDisk reads a disk; its ID and node may be missing.
func toDisk(m *rpc.Disk) (meta.Disk, error) {
	d := meta.Disk{
		VolumeName: m.GetVolumeName(), Node: m.GetNode(), Kind: m.GetKind(), Place: m.GetPlace(), Policy: m.GetPolicy(),
	}
	for _, s := range []string{d.VolumeName, d.Node, d.Kind, d.Place, d.Policy} {
		if err := checkText("field of a disk", s); err != nil {
			return d, err
		}
	}
	var err error
	if d.Group, err = toGroup(m.GetGroup()); err != nil {
		return d, err
	}
	if d.Volume, err = toVolume(m.GetVolume()); err != nil {
		return d, err
	}
	if len(m.GetId()) > 0 {
		if d.ID, err = rpc.ToUUID(m.GetId()); err != nil {
			return d, fmt.Errorf("disk: %w", err)
		}
	}
	return d, nil
}
