package appliance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/origin"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

const (
	explainParts   = 200  // regions that are listed
	explainEpochs  = 5    // latest points that are listed
	explainChunks  = 4096 // changes that are listed
	explainTimeout = 30 * time.Second

	explainDecisions = 40
)

// Explain implements admin.Volumes.
func (s *System) Explain(ctx context.Context, name string, off, n int64) (api.Explanation, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Explanation{}, err
	}
	d, volume, err := g.explained(name)
	if err != nil {
		return api.Explanation{}, err
	}
	if n == 0 {
		n = max(d.Size()-off, 0)
	}
	if err := target.CheckRange(off, n, d.Size()); err != nil {
		return api.Explanation{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	out := api.Explanation{Volume: volume, Range: api.Range{Off: off, Len: n}}
	explainFileSystem(ctx, &out, d)
	id, point := ident.VolumeID{}, (*rpc.PointInfo)(nil)
	switch d := d.(type) {
	case *intercept.Volume:
		id, out.Chunks = d.ID(), s.describe(d).Chunks
		if out.Decisions, err = s.Decisions(ctx, name, off, n, explainDecisions); err != nil {
			return out, err
		}
	case *pointDevice:
		id = d.volume
		point = &rpc.PointInfo{Point: d.point, Volumes: []*rpc.VolumeState{{Volume: id.UUID[:], Size: d.size}}}
	}
	epochs, head, err := g.latestEpochs(ctx, id.String())
	if err != nil {
		return out, err
	}
	out.Epochs = epochs
	if point == nil {
		point = head
	}
	return out, g.explainChanges(ctx, point, id, &out)
}

// explained returns a volume, given by name or ID, or VOLUME@POINT, and the volume's name.
func (g *gateway) explained(name string) (target.Device, string, error) {
	if volume, point, ok := strings.Cut(name, "@"); ok {
		d, err := g.pointDevice(volume, point)
		if err != nil {
			return nil, "", err
		}
		return d, volume, nil
	}
	v, err := g.volume(name)
	if err != nil {
		return nil, "", err
	}
	return v, v.Name(), nil
}

// explainFileSystem says what file system is on d, which of its regions lie in the range, and what files they belong to.
func explainFileSystem(ctx context.Context, out *api.Explanation, d target.Device) {
	t, err := readTree(ctx, d)
	switch {
	case err != nil:
		out.Notes = append(out.Notes, err.Error())
	case t.FileSystem() == "":
		out.Notes = append(out.Notes, "no file system is known on the volume: changes are classified by their content alone")
	default:
		out.Notes = append(out.Notes, "file system: "+t.FileSystem())
		out.Parts = explainRegions(t, out.Range.Off, out.Range.Len)
		if len(out.Parts) == explainParts {
			out.Notes = append(out.Notes, fmt.Sprintf("only the first %d regions are listed", explainParts))
		}
	}
}

// explainChanges asks the provider what a point, nil while there is none, changed in the range.
func (g *gateway) explainChanges(ctx context.Context, point *rpc.PointInfo, volume ident.VolumeID, out *api.Explanation) error {
	i := slices.IndexFunc(point.GetVolumes(), func(v *rpc.VolumeState) bool { return string(v.GetVolume()) == string(volume.UUID[:]) })
	if i < 0 {
		out.Notes = append(out.Notes, "no point of the volume is committed yet")
		return nil
	}
	off := out.Range.Off
	n := min(out.Range.Len, point.GetVolumes()[i].GetSize()-off)
	if n <= 0 {
		out.Notes = append(out.Notes, "the range lies behind the end that the volume had at its latest point")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	r, err := g.system.cluster.calls.ExplainPoint(ctx, &rpc.ExplainPointRequest{
		Point: point.GetPoint(), Volume: volume.UUID[:], Offset: off, Length: n, Limit: explainChunks,
	})
	if err != nil {
		return clusterError(err)
	}
	out.Changes = describeChanges(r, point.GetPoint(), off)
	if r.GetEnd() < off+n {
		out.Notes = append(out.Notes, fmt.Sprintf("changes behind %d were not looked at: ask for a range that begins there", r.GetEnd()))
	}
	return nil
}

func describeChanges(r *rpc.ExplainPointReply, point *rpc.Point, off int64) *api.ExplainChanges {
	out := &api.ExplainChanges{Point: describePoint(point), Complete: r.GetComplete(), Omitted: r.GetOmitted(),
		Range: api.Range{Off: off, Len: r.GetEnd() - off}}
	if since := describePoint(r.GetSince()); since != (api.Point{}) {
		out.Since = &since
	}
	for _, t := range r.GetTotals() {
		out.Totals = append(out.Totals, api.ExplainTotal{Class: classify.Class(t.GetClass()).String(), Chunks: t.GetChunks(), Bytes: t.GetBytes()})
	}
	for _, c := range r.GetChunks() {
		out.Chunks = append(out.Chunks, api.ExplainChunk{Class: classify.Class(c.GetClass()).String(), Offset: c.GetOffset(), Length: c.GetLength(), Zero: c.GetZero()})
	}
	return out
}

func explainRegions(t *origin.Tree, off, n int64) []api.ExplainPart {
	var out []api.ExplainPart
	for at := off; at < off+n && len(out) < explainParts; {
		o, end := t.At(at)
		end = min(end, off+n)
		if end <= at {
			break
		}
		part := api.ExplainPart{Range: api.Range{Off: at, Len: end - at}, Region: o.Kind.String()}
		if o.File != nil {
			part.Path, part.Inode, part.At = o.File.Path(), o.File.Number, max(o.Off, 0)
		}
		out = append(out, part)
		at = end
	}
	return out
}

// latestEpochs returns what the latest points cost for a volume, newest first, and the newest point, nil if there is none.
func (g *gateway) latestEpochs(ctx context.Context, volume string) (epochs []api.ExplainEpoch, head *rpc.PointInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id := g.group.ID()
	r, err := g.system.cluster.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:], Limit: explainEpochs})
	if err != nil {
		return nil, nil, clusterError(err)
	}
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
			epochs = append(epochs, e)
		}
	}
	if n := len(r.GetPoints()); n > 0 {
		head = r.GetPoints()[n-1]
	}
	return epochs, head, nil
}
