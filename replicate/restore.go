package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"golang.org/x/sync/errgroup"
)

// RestoreOptions say which group is restored, where to and for whom.
type RestoreOptions struct {
	Group       ident.GroupID
	GroupName   string
	Provider    Provider
	Content     Content
	Gateway     ident.UUID // of the gateway's data folder
	GatewayName string
	Cluster     ident.ClusterID // zero: not known yet

	Dir       string            // of the new group; must not hold one
	Intercept intercept.Options // of the new group
	Report    func(done, total int64)
}

// ErrEmpty says that the cluster holds no point of a group, so that nothing can be restored.
var ErrEmpty = errors.New("the cluster holds no point of the group")

// ErrPartial says that the first sync of a volume was never completed, so that no side but the source has all of it.
var ErrPartial = errors.New("the first sync is not complete")

// readsInFlight is how many pieces are asked for at once, so that a long link is filled.
const readsInFlight = 4

// Restore takes the group from whichever gateway holds it, which is fenced by that, and fills a new folder from the
// newest point. When it returns nil the folder is a group whose last commit is that point; a Shipper with Act Restored
// goes on from there. Called again after a failure it begins anew.
func Restore(ctx context.Context, opt RestoreOptions) (ident.Point, error) {
	session, err := opt.Provider.OpenSession(ctx, SessionRequest{
		Group: opt.Group, GroupName: opt.GroupName, Gateway: opt.Gateway, GatewayName: opt.GatewayName,
		Cluster: opt.Cluster, Takeover: true, Replace: true,
	})
	if err != nil {
		return ident.Point{}, fmt.Errorf("taking the group: %w", err)
	}
	if session.Head.IsZero() {
		return ident.Point{}, fmt.Errorf("%w: %s", ErrEmpty, opt.Group)
	}
	origin := intercept.Origin{Point: session.Head}
	r := &restore{opt: opt, head: session.Head}
	for _, v := range session.Volumes {
		if v.Partial {
			return ident.Point{}, fmt.Errorf("%w: volume %s at %s", ErrPartial, v.Name, session.Head)
		}
		origin.Volumes = append(origin.Volumes, intercept.OriginVolume{
			ID: v.Volume, Name: v.Name, Size: v.Size, BlockSize: v.BlockSize, State: v.State,
		})
		r.total += v.Size
	}
	if r.into, err = intercept.Restore(opt.Dir, opt.Intercept, origin); err != nil {
		return ident.Point{}, err
	}
	defer r.into.Abort()
	for i, v := range session.Volumes {
		if err := r.volume(ctx, i, v); err != nil {
			return ident.Point{}, fmt.Errorf("restoring volume %s from %s: %w", v.Name, session.Head, err)
		}
	}
	return session.Head, r.into.Finish()
}

// restore is one Restore under way.
type restore struct {
	opt  RestoreOptions
	head ident.Point

	mu    sync.Mutex // guards into and done
	into  *intercept.Restoring
	done  int64 // bytes looked at
	total int64
}

// volume fills one volume with what is not zero in it.
func (r *restore) volume(ctx context.Context, i int, v VolumeState) error {
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsInFlight)
	err := func() error {
		for first, blocks := int64(0), blocksOf(v.Size); first < blocks; first += leavesAtOnce {
			n := min(leavesAtOnce, blocks-first)
			leaves, err := r.opt.Content.Leaves(ctx, r.head, v.Volume, uint64(first), int(n))
			if err != nil {
				return err
			}
			for at, run := range pieces(leaves) {
				off := (first + int64(at)) * leaf.BlockSize
				reads.Go(func() error { return r.piece(ctx, i, v, off, run) })
			}
			r.report(min(n*leaf.BlockSize, v.Size-first*leaf.BlockSize))
		}
		return nil
	}()
	return errors.Join(reads.Wait(), err)
}

// pieces yields runs of leaves of blocks that are not zero, at most readBytesMax long, with where they begin.
func pieces(leaves []leaf.Leaf) func(yield func(at int, run []leaf.Leaf) bool) {
	return func(yield func(int, []leaf.Leaf) bool) {
		for at := 0; at < len(leaves); {
			end := at
			for end < len(leaves) && leaves[end] != 0 && end-at < readBytesMax/leaf.BlockSize {
				end++
			}
			if end > at && !yield(at, leaves[at:end]) {
				return
			}
			at = max(end, at+1)
		}
	}
}

// piece fills one run of blocks, which must have the leaves given.
func (r *restore) piece(ctx context.Context, i int, v VolumeState, off int64, want []leaf.Leaf) error {
	n := min(int64(len(want))*leaf.BlockSize, v.Size-off)
	b, err := r.opt.Content.ReadPoint(ctx, r.head, v.Volume, off, int(n))
	if err != nil {
		return err
	}
	for j, l := range want {
		at := j * leaf.BlockSize
		if got := leaf.Of(b[at:min(at+leaf.BlockSize, len(b))]); got != l {
			return fmt.Errorf("%w: block at %d came with leaf %x, the point has %x", intercept.ErrRestored, off+int64(at), got, l)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.into.WriteAt(i, b, off)
}

func (r *restore) report(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.opt.Report != nil {
		r.opt.Report(r.done, r.total)
	}
}
