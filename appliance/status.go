package appliance

import (
	"fmt"
	"time"

	"github.com/weirstor/weir/admin"
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/lab"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/rpc"
)

var _ admin.Backend = (*System)(nil)

// Health implements admin.Overview.
func (s *System) Health() api.Health {
	switch p := s.phase(); {
	case p == api.HealthStarting:
		return api.Health{State: p, Reason: s.opening()}
	case p == api.HealthStopping:
		return api.Health{State: p, Reason: "shutting down"}
	}
	if s.gateway != nil {
		if h := s.gateway.health(); h.State != api.HealthOK {
			return h
		}
	}
	return s.cluster.health()
}

// health looks at the write path and the shipper.
func (g *gateway) health() api.Health {
	if err := g.parted.get(); err != nil {
		return api.Health{State: api.HealthDegraded, Reason: "the group is read-only: " + err.Error(), Action: advicePart(err)}
	}
	if err := g.group.Err(); err != nil {
		return api.Health{State: api.HealthFailed, Reason: "writes are refused: " + err.Error(),
			Action: "look at the disk under the data folder; a restart recovers the log"}
	}
	if h := g.spaceHealth(); h.State != api.HealthOK {
		return h
	}
	if g.shipper == nil {
		return api.Health{State: api.HealthOK}
	}
	if g.group.SyncStatus().Degraded {
		return api.Health{State: api.HealthDegraded, Reason: "flushes are answered before they are committed, although the group is in mode sync",
			Action: "look at the providers and at the network; it waits again when commits keep up"}
	}
	switch st := g.shipper.Status(); st.State {
	case replicate.Blocked:
		return api.Health{State: api.HealthDegraded, Reason: "replication waits for an operator: " + st.Reason,
			Action: "decide which side is right: weir group restore or weir group overwrite"}
	case replicate.Connecting:
		if st.Reason != "" {
			return api.Health{State: api.HealthDegraded, Reason: "no session with the provider: " + st.Reason,
				Action: "it is tried again by itself; look at the providers and at the network"}
		}
	case replicate.Fenced, replicate.Stopped:
		return api.Health{State: api.HealthFailed, Reason: "replication has stopped: " + st.Reason}
	}
	return api.Health{State: api.HealthOK}
}

// health looks at the provider cluster and the disks.
func (c *cluster) health() api.Health {
	st, disks, err := c.latest()
	if st == nil {
		reason := "the provider cluster has not answered yet"
		if err != nil {
			reason = "the provider cluster does not answer: " + err.Error()
		}
		return api.Health{State: api.HealthDegraded, Reason: reason, Action: "look at the providers and at the network"}
	}
	for _, d := range disks {
		switch d.GetState() {
		case "conflict":
			return api.Health{State: api.HealthDegraded, Reason: fmt.Sprintf("disk %s was changed by somebody else", d.GetDisk().GetPlace()),
				Action: "weir disk list names the ranges; detach it and add it again with --policy resync or overwrite"}
		case "failed":
			return api.Health{State: api.HealthDegraded, Reason: fmt.Sprintf("disk %s: %s", d.GetDisk().GetPlace(), d.GetError())}
		}
	}
	for _, n := range st.GetNodes() {
		if !n.GetReachable() {
			return api.Health{State: api.HealthDegraded, Reason: fmt.Sprintf("provider node %s does not answer", n.GetName()),
				Action: "start it again, or remove it with weir cluster remove"}
		}
	}
	return api.Health{State: api.HealthOK}
}

// Status implements admin.Overview.
func (s *System) Status() api.Status {
	st := api.Status{
		Version: Version(), Role: s.role, Node: s.name, Started: s.started, Now: time.Now(), Data: s.cfg.Data,
		Health: s.Health(), Addresses: s.Addresses(),
	}
	if s.phase() == api.HealthStarting || s.cluster == nil {
		return st
	}
	st.Store = describeStore(s.provider)
	seen, disks, _ := s.cluster.latest()
	if seen != nil {
		c := describeCluster(seen)
		st.Cluster = &c
		st.Disks = describeDisks(disks, seen)
	}
	switch {
	case s.gateway != nil:
		st.Groups = []api.Group{s.gateway.describe()}
		for _, v := range s.gateway.group.Volumes() {
			st.Volumes = append(st.Volumes, s.describe(v))
		}
		st.Disks = s.gateway.ownDisks(st.Disks)
	case seen != nil:
		st.Groups, st.Volumes = describeGroups(seen)
	}
	return st
}

// describe returns what is known of the group on this gateway.
func (g *gateway) describe() api.Group {
	p := g.group.Pending()
	out := api.Group{
		Name: groupName, ID: g.group.ID().String(), Timeline: g.group.Timeline().String(), Replication: "off",
		Committed: apiPoint(g.group.Ledger().Committed), Sealed: p.EpochsSealed,
		Pending: api.Pending{Epochs: p.Epochs, Bytes: p.Bytes, ActiveBytes: p.ActiveBytes, OldestSealed: p.OldestSealed},
		Log:     api.Log{UsedBytes: p.LogUsed, BudgetBytes: p.LogBudget, NoSpace: p.NoSpace, Waiting: !p.FullSince.IsZero()},
		Rates:   g.describeRates(p),
	}
	if oldest := p.Oldest(); !oldest.IsZero() {
		out.LagSeconds = max(time.Since(oldest).Seconds(), 0)
	}
	for _, v := range g.group.Volumes() {
		out.Volumes = append(out.Volumes, v.Name())
		out.Wire.HostBytes += v.Stats().Writes.Bytes
	}
	if err := g.group.Err(); err != nil {
		out.Error = err.Error()
	}
	out.Mode = g.mode()
	out.Deciding = string(g.file.get().Act)
	out.Choices, out.Branches = g.choices(), g.branches()
	if g.shipper == nil {
		return out
	}
	st := g.shipper.Status()
	out.Replication = replicationWord(st.State)
	if out.Error == "" {
		out.Error = st.Reason
	}
	out.Committed.Time = st.HeadSealed
	out.Wire.SentBytes, out.Wire.ReceivedBytes = g.traffic.Sent.Load(), g.traffic.Received.Load()
	out.Wire.PackBytes, out.Wire.Epochs = st.PackBytes, st.Commits
	out.Wire.SavedBytes = int64(out.Wire.HostBytes) - int64(out.Wire.SentBytes)
	return out
}

func replicationWord(s replicate.State) string {
	switch s {
	case replicate.Fenced:
		return "fenced"
	case replicate.Stopped:
		return "stopped"
	case replicate.Blocked:
		return "blocked"
	}
	return "on"
}

// describe returns what is known of a volume on this gateway.
func (s *System) describe(v *intercept.Volume) api.Volume {
	g := s.gateway
	st := v.Stats()
	out := api.Volume{
		Name: v.Name(), ID: v.ID().String(), Group: groupName, Size: v.Size(), BlockSize: v.BlockSize(),
		Host: api.HostCounters{
			ReadOps: st.Reads.Ops, ReadBytes: st.Reads.Bytes, WriteOps: st.Writes.Ops, WrittenBytes: st.Writes.Bytes,
			ZeroOps: st.Zeroes.Ops + st.Trims.Ops, ZeroedBytes: st.Zeroes.Bytes + st.Trims.Bytes, FlushOps: st.Flushes,
		},
	}
	for i, n := range st.Tags {
		if n.Ops > 0 {
			class := classify.Class(i).String()
			out.Tags = append(out.Tags, api.TagCount{Tag: class, Class: class, Ops: n.Ops, Bytes: n.Bytes})
		}
	}
	out.Image, out.FirstSync = v.Image(), describeFirstSync(v)
	if state, ok := g.group.Ledger().States[v.ID()]; ok {
		out.State = state.String()
	}
	if g.shipper != nil {
		n := g.shipper.Status().Encodings[v.ID()]
		out.Chunks = lab.Counts(&n)
	}
	out.Attach = attachOf(s.Addresses(), v.Name())
	return out
}

// describeCounts lists the counts of a point; in which encodings its changes travelled is not kept.
func describeCounts(counts codec.ClassCounts) []api.ChunkCount {
	var out []api.ChunkCount
	for i, n := range counts {
		if n.Chunks > 0 {
			out = append(out, api.ChunkCount{Class: classify.Class(i).String(), Encoding: "all",
				Chunks: n.Chunks, Bytes: n.HostBytes, WireBytes: n.WireBytes})
		}
	}
	return out
}

func countsOf(m *rpc.VolumeState) codec.ClassCounts {
	var out codec.ClassCounts
	for i, n := range m.GetClasses() {
		if i < len(out) {
			out[i] = codec.ClassCount{Chunks: n.GetChunks(), HostBytes: n.GetHostBytes(), WireBytes: n.GetWireBytes(), ShareBytes: n.GetShareBytes()}
		}
	}
	return out
}

// describeGroups returns groups and volumes as a provider knows them.
func describeGroups(st *rpc.StatusReply) (groups []api.Group, volumes []api.Volume) {
	for _, g := range st.GetGroups() {
		out := api.Group{Name: g.GetName(), ID: uuidText(g.GetGroup()), Replication: "on", Committed: describePoint(g.GetHead()),
			Error: g.GetIngestError()}
		out.Timeline = out.Committed.Timeline
		for _, v := range g.GetVolumes() {
			out.Volumes = append(out.Volumes, v.GetName())
			volumes = append(volumes, api.Volume{
				Name: v.GetName(), ID: uuidText(v.GetVolume()), Group: g.GetName(), Size: v.GetSize(), BlockSize: int(v.GetBlockSize()),
				State: fmt.Sprintf("%x", v.GetStateHash()), Chunks: describeCounts(countsOf(v)),
			})
		}
		groups = append(groups, out)
	}
	return groups, volumes
}
