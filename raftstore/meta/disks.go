package meta

import (
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// MaxDisks bounds the disks of a cluster.
const MaxDisks = 1 << 16

// apply takes the same disk again as done.
func (m *AddDisk) apply(s *State, _ uint64) Result {
	d := m.Disk
	if d.ID.IsZero() || d.Volume.IsZero() || d.Kind == "" || d.Place == "" {
		return refuse(rpc.ErrBadRequest, "disk %+v", d)
	}
	if _, err := s.group(d.Group); err != nil {
		return Result{Err: err}
	}
	if _, ok := s.nodes[d.Node]; !ok {
		return refuse(rpc.ErrUnknown, "node %q", d.Node)
	}
	for _, o := range s.disks {
		if o == d {
			return Result{}
		}
		if o.ID == d.ID || o.Node == d.Node && o.Kind == d.Kind && o.Place == d.Place {
			return refuse(rpc.ErrExists, "disk %s follows %s at %s:%s", o.ID, o.VolumeName, o.Node, o.Place)
		}
	}
	if len(s.disks) == MaxDisks {
		return refuse(rpc.ErrFull, "%d disks", MaxDisks)
	}
	s.disks[d.ID] = d
	return Result{Disks: true, Changed: []ident.GroupID{d.Group}}
}

func (m *RemoveDisk) apply(s *State, _ uint64) Result {
	d, ok := s.disks[m.ID]
	if !ok {
		return refuse(rpc.ErrUnknown, "disk %s", m.ID)
	}
	delete(s.disks, m.ID)
	return Result{Disks: true, Changed: []ident.GroupID{d.Group}}
}
