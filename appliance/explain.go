package appliance

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

const (
	explainParts  = 200 // regions that are listed
	explainEpochs = 5   // latest points that are listed
)

// Explain implements admin.Volumes.
func (s *System) Explain(ctx context.Context, name string, off, n int64) (api.Explanation, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Explanation{}, err
	}
	v, err := g.volume(name)
	if err != nil {
		return api.Explanation{}, err
	}
	if n == 0 {
		n = max(v.Size()-off, 0)
	}
	if err := target.CheckRange(off, n, v.Size()); err != nil {
		return api.Explanation{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	out := api.Explanation{Volume: v.Name(), Range: api.Range{Off: off, Len: n}, Chunks: s.describe(v).Chunks}
	m, err := classify.ReadMap(v, v.Size())
	switch {
	case err != nil:
		out.Notes = append(out.Notes, "file system: "+err.Error())
	case m.FileSystem() == "":
		out.Notes = append(out.Notes, "no file system is known on the volume: changes are classified by their content alone")
	default:
		out.Notes = append(out.Notes, "file system: "+m.FileSystem())
		out.Parts = explainRegions(m, off, n)
		if len(out.Parts) == explainParts {
			out.Notes = append(out.Notes, fmt.Sprintf("only the first %d regions are listed", explainParts))
		}
	}
	out.Epochs, err = g.latestEpochs(ctx, v.ID().String())
	return out, err
}

func explainRegions(m *classify.Map, off, n int64) []api.ExplainPart {
	var out []api.ExplainPart
	for at := off; at < off+n && len(out) < explainParts; {
		kind, end := m.RegionAt(at)
		end = min(end, off+n)
		if end <= at {
			break
		}
		out = append(out, api.ExplainPart{Range: api.Range{Off: at, Len: end - at}, Region: kind.String()})
		at = end
	}
	return out
}

// latestEpochs returns what the latest points cost for a volume, newest first.
func (g *gateway) latestEpochs(ctx context.Context, volume string) ([]api.ExplainEpoch, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id := g.group.ID()
	r, err := g.system.cluster.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:], Limit: explainEpochs})
	if err != nil {
		return nil, clusterError(err)
	}
	var out []api.ExplainEpoch
	for i := len(r.GetPoints()) - 1; i >= 0; i-- {
		p := r.GetPoints()[i]
		for _, v := range p.GetVolumes() {
			if uuidText(v.GetVolume()) != volume {
				continue
			}
			counts := countsOf(v)
			e := api.ExplainEpoch{Point: describePoint(p.GetPoint()), Name: p.GetName(), WireBytes: int64(p.GetPackBytes()), Chunks: describeCounts(counts)}
			for _, c := range counts {
				e.HostBytes += int64(c.HostBytes)
			}
			out = append(out, e)
		}
	}
	return out, nil
}
