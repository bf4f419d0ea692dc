package appliance

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/replicate/rpc"
)

// scrubTimeout bounds a scrub of the whole cluster.
const scrubTimeout = 7 * 24 * time.Hour

// Scrub implements admin.Scrubber. Each damage is an event too.
func (s *System) Scrub(ctx context.Context, bytesPerSecond int64, report func(api.Progress)) (api.ScrubResult, error) {
	if _, err := s.clusterUp(); err != nil {
		return api.ScrubResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, scrubTimeout)
	defer cancel()
	report(api.Progress{What: "reading what the providers store", Unit: "bytes"})
	r, err := rpc.NewPointsClient(s.cluster.client).Scrub(ctx, &rpc.ScrubRequest{Everywhere: true, BytesPerSecond: uint64(bytesPerSecond)})
	if err != nil {
		return api.ScrubResult{}, clusterError(err)
	}
	out := api.ScrubResult{Sound: true}
	for _, n := range r.GetNodes() {
		node := api.ScrubNode{Node: n.GetNode(), Packs: n.GetPacks(), Bytes: n.GetBytes(), Omitted: n.GetOmitted(), Error: n.GetError(), Repaired: n.GetRepaired()}
		for _, d := range n.GetDamages() {
			node.Damages = append(node.Damages, api.ScrubDamage{Volume: d.GetVolumeName(), VolumeID: uuidText(d.GetVolume()),
				Range: api.Range{Off: d.GetOffset(), Len: d.GetLength()}, Points: d.GetEnds(), Error: d.GetError()})
		}
		out.Sound = out.Sound && node.Error == "" && len(node.Damages) == 0
		s.scrubEvents(node)
		out.Nodes = append(out.Nodes, node)
	}
	return out, nil
}

// scrubEventsMax bounds the events of one node.
const scrubEventsMax = 20

func (s *System) scrubEvents(n api.ScrubNode) {
	if n.Error != "" {
		s.event("error", "scrub.failed", fmt.Sprintf("node %s was not scrubbed: %s", n.Node, n.Error))
	}
	if n.Repaired > 0 {
		s.event("warning", "scrub.repaired", fmt.Sprintf("node %s: %d bytes were damaged and are repaired from another replica", n.Node, n.Repaired))
	}
	for i, d := range n.Damages {
		if i == scrubEventsMax {
			s.event("error", "scrub.damage", fmt.Sprintf("node %s: %d more ranges are damaged", n.Node, len(n.Damages)-i+int(n.Omitted)))
			return
		}
		s.event("error", "scrub.damage", fmt.Sprintf("node %s can not read %d bytes at %d of volume %s at %d points: %s", n.Node, d.Range.Len,
			d.Range.Off, d.Volume, len(d.Points), d.Error))
	}
	if n.Error == "" && len(n.Damages) == 0 {
		s.event("info", "scrub.sound", fmt.Sprintf("node %s: %d packs of %d bytes are sound", n.Node, n.Packs, n.Bytes))
	}
}
