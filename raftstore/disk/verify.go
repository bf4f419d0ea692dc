package disk

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/intercept/leaf"
)

// Verify reads the whole disk and compares it with the point that it shows: every block by its leaf, and all of it by
// the state hash in the point's commit. It waits for a change that is under way.
func (d *Disk) Verify(ctx context.Context, v Volume) (Report, error) {
	d.work.Lock()
	defer d.work.Unlock()
	if err := d.open(); err != nil {
		return Report{}, d.failed(err)
	}
	if d.side == nil || d.side.Phase == phaseApplying || d.side.From.Point.IsZero() {
		return Report{}, fmt.Errorf("disk %s at %s shows no point that it could be compared with", d.spec.ID, d.spec.Place)
	}
	c, err := v.At(d.side.From.Point)
	if err != nil {
		return Report{}, fmt.Errorf("verify disk %s at %s: %w", d.spec.ID, d.spec.Place, err)
	}
	r := Report{Point: c.Point(), StateWant: c.State()}
	err = d.walk(ctx, c, func(block uint64, want BlockInfo, got leaf.Leaf) {
		r.Blocks++
		r.StateGot = r.StateGot.Replace(d.spec.Volume, block, 0, got)
		if want.Leaf != got {
			off := int64(block) * leaf.BlockSize
			r.Differing++
			r.Differences = appendRange(r.Differences, off, min(leaf.BlockSize, c.Size()-off))
		}
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify disk %s at %s: %w", d.spec.ID, d.spec.Place, err)
	}
	return r, nil
}
