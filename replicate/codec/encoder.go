package codec

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

// Summary is what became of an epoch.
type Summary struct {
	Volumes []VolumeSummary // one for each VolumeChange, in the same order
	Packs   []pack.Ref      // in the order in which they must be decoded; none if nothing was written
}

// Encoder turns the epochs of one group into packs. It keeps an index of the group's earlier content from epoch to
// epoch. Not safe for concurrent use.
type Encoder struct {
	opt     Options
	log     *slog.Logger
	index   *index
	pending []addition // of the epoch that was encoded last
	past    map[ident.VolumeID]*[numPass]past

	decisions decisions
}

// NewEncoder returns an Encoder that knows no earlier content yet; it learns it from the epochs that it encodes and,
// a part with each epoch, from the old content that it is shown.
func NewEncoder(opt Options) *Encoder {
	opt.setDefaults()
	return &Encoder{opt: opt, log: opt.Logger, past: make(map[ident.VolumeID]*[numPass]past)}
}

// Encode encodes what changes tell, which must name every volume of the group once: volumes without extents only lend
// their old content. Packs are handed to put as they fill, in order; each has been decoded again and its result
// compared before. put owns the pack. When Encode fails, packs that put has got are of no use.
//
// What Encode learned for later epochs counts after Accept; a call of Encode without one forgets it.
func (e *Encoder) Encode(ctx context.Context, changes []VolumeChange, put func(pack.Pack) error) (Summary, error) {
	e.Forget()
	if err := e.prepare(ctx, changes); err != nil {
		return Summary{}, err
	}
	j := newJob(e, changes, put)
	defer j.release()
	if err := j.run(ctx); err != nil {
		return Summary{}, err
	}
	return j.summary, nil
}

// Accept is to be called when the epoch that was encoded last has been committed: its content is earlier content now.
func (e *Encoder) Accept() {
	for _, a := range e.pending {
		e.index.insert(a.h, a.loc)
	}
	e.Forget()
}

// Forget drops what the last Encode would have added to the index.
func (e *Encoder) Forget() { e.pending = e.pending[:0] }

// pendingMax bounds the additions that wait for Accept; what goes beyond is added at once, and is a miss until then.
const pendingMax = 1 << 20

// learn notes the new content of leaf blocks for Accept.
func (e *Encoder) learn(v ident.VolumeID, off int64, content []byte) {
	if e.index == nil {
		return
	}
	e.pending = e.index.hash(e.pending, v, off, content)
	if len(e.pending) > pendingMax {
		e.Accept()
	}
}

// pastOf is what searches brought to a volume lately. A volume that is new may go either way.
func (e *Encoder) pastOf(v ident.VolumeID) *[numPass]past {
	p := e.past[v]
	if p == nil {
		p = &[numPass]past{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}}
		e.past[v] = p
	}
	return p
}

// Record makes r get a sample of each decision of the next epochs; nil ends that. As Options.Recorder.
func (e *Encoder) Record(r engine.Recorder) { e.opt.Recorder = r }

// prepare makes the index ready: one that has room for the volumes, with another part of their old content.
func (e *Encoder) prepare(ctx context.Context, changes []VolumeChange) error {
	if e.opt.IndexBytes < 0 {
		return nil
	}
	var total int64
	for i := range changes {
		total += changes[i].Size
	}
	if e.index == nil || !e.index.fits(total, len(changes)) {
		e.index = newIndex(e.opt.indexBytes(total), total+total/4)
		e.log.Debug("index of earlier content", "volume_bytes", total, "entries", len(e.index.table),
			"sub_block_bytes", e.index.sub)
	}
	return e.Warm(ctx, changes, e.opt.WarmBytes)
}

// Prepare makes the Encoder know all old content of the volumes that changes name, as Warm without a limit does.
func (e *Encoder) Prepare(ctx context.Context, changes []VolumeChange) error {
	if err := e.prepare(ctx, changes); err != nil {
		return err
	}
	return e.Warm(ctx, changes, math.MaxInt64)
}

// warmStep is how much old content is read at a time, bytes.
const warmStep = 256 << 10

// Warm adds up to limit bytes of old content that the index has not seen to it. Encode calls it with
// Options.WarmBytes; a caller with time to spare may do so too. What can not be read is left out; the error is that of ctx.
func (e *Encoder) Warm(ctx context.Context, changes []VolumeChange, limit int64) error {
	if e.index == nil {
		return nil
	}
	var adds []addition
	buf := make([]byte, 0)
	for _, v := range volumesOf(changes) {
		for at := e.index.scanned[v.Volume]; at < v.Size && limit > 0; at = e.index.scanned[v.Volume] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(buf) == 0 {
				buf = make([]byte, warmStep)
			}
			adds = adds[:0]
			if err := readView(v.Old, buf, v.Volume, at); err != nil {
				e.log.Warn("not learned", "error", err)
			} else if !leaf.IsZero(buf) {
				adds = e.index.hash(adds, v.Volume, at, buf)
			}
			for _, a := range adds {
				e.index.insert(a.h, a.loc)
			}
			e.index.scanned[v.Volume] = at + warmStep
			limit -= warmStep
		}
	}
	return nil
}

// readView reads old or new content; a nil view holds zeroes.
func readView(v View, p []byte, id ident.VolumeID, off int64) error {
	if v == nil {
		clear(p)
		return nil
	}
	if err := v.ReadAt(p, off); err != nil {
		return fmt.Errorf("content of volume %s at %d+%d: %w", id, off, len(p), err)
	}
	return nil
}

// passAt says which pass the leaf block at off belongs to, and where that ends.
func passAt(m *classify.Map, off int64) (pass int, end int64) {
	kind, end := m.RegionAt(off)
	if kind.IsMetadata() {
		return passMeta, end
	}
	return passData, end
}
