package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// damagesMax bounds the damages that one scrub lists.
const damagesMax = 4096

// Damage is a range of a volume that this node can not read, at some of its points.
type Damage struct {
	Group    ident.GroupID
	Volume   ident.VolumeID
	Off, Len int64         // bytes
	Points   []ident.Point // kept points that show the range, oldest first
	Err      error
}

// ScrubReport is what a scrub has found.
type ScrubReport struct {
	Packs    int   // store packs that were read
	Bytes    int64 // their size
	Damages  []Damage
	Omitted  int   // damages that are not listed
	Repaired int64 // bytes of volumes that were damaged and are not any more
}

// Scrub reads every store pack and the whole index of this node, at most bytesPerSecond of packs (0: as fast as it can), and
// names what is damaged and can not be read from another replica either: what can be is stored anew. What a point has
// stopped to need meanwhile is not damage.
func (s *Set) Scrub(ctx context.Context, bytesPerSecond int64) (ScrubReport, error) {
	k := &scrub{s: s, ctx: ctx, pace: pace{rate: bytesPerSecond}, bad: map[uint32]bool{}, known: map[storepack.Ref]error{}}
	if err := k.readPacks(); err != nil {
		return k.report, err
	}
	if err := k.readIndex(); err != nil {
		return k.report, err
	}
	return k.report, k.name()
}

type scrub struct {
	s      *Set
	ctx    context.Context
	pace   pace
	bad    map[uint32]bool         // packs in which something is damaged, maybe behind what the index refers to
	known  map[storepack.Ref]error // frames of such packs, once they were looked at
	found  []suspect
	report ScrubReport
}

// suspect is a run of blocks of an entry that could not be read.
type suspect struct {
	index.Written
	first, count int // blocks of the slot
	err          error
}

// pace keeps a rate.
type pace struct {
	rate  int64 // bytes per second; 0: none
	since time.Time
	bytes int64
}

// spend waits until n more bytes are due.
func (p *pace) spend(ctx context.Context, n int64) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.bytes += n
	wait := time.Duration(float64(p.bytes)/float64(p.rate)*float64(time.Second)) - time.Since(p.since)
	if wait <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// readPacks reads all packs from end to end.
func (k *scrub) readPacks() error {
	for no, bytes := range k.s.store.Packs() {
		if k.s.ctx.Err() != nil {
			return ErrClosed
		}
		if err := k.pace.spend(k.ctx, bytes); err != nil {
			return fmt.Errorf("scrub: %w", err)
		}
		err := k.s.store.Scan(no, func(_ storepack.Ref, typ uint8, payload []byte) error {
			if typ == storepack.TypePoint {
				return nil
			}
			_, err := storepack.DecodeFrame(typ, payload)
			return err
		})
		k.report.Packs++
		k.report.Bytes += bytes
		k.bad[no] = err != nil
	}
	return nil
}

// readIndex looks at every block that a point refers to and that lies in a pack with damage, or in none.
func (k *scrub) readIndex() error {
	err := k.s.index.Entries(func(e index.Written, s *index.Slot) error {
		for i := 0; i < len(s); {
			n, err := k.check(s, i)
			if err != nil {
				k.found = append(k.found, suspect{e, i, n, err})
			}
			i += n
		}
		return k.ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	return nil
}

// check looks at the block i of a slot, and at those behind it that fare the same. It returns how many they are.
func (k *scrub) check(s *index.Slot, i int) (n int, err error) {
	err = k.block(&s[i])
	for n = 1; i+n < len(s); n++ {
		if other := k.block(&s[i+n]); (other == nil) != (err == nil) {
			break
		}
	}
	return n, err
}

func (k *scrub) block(b *index.Block) error {
	if b.IsZero() {
		return nil
	}
	bad, there := k.bad[b.Loc.Pack]
	if there && !bad {
		return nil
	}
	err, known := k.known[b.Loc.Ref]
	if !known {
		_, err = k.read(b)
		k.known[b.Loc.Ref] = err
	}
	return err
}

// read reads a block past the cache.
func (k *scrub) read(b *index.Block) ([]byte, error) {
	typ, payload, err := k.s.store.ReadRaw(b.Loc.Ref)
	if err != nil {
		return nil, err
	}
	f, err := storepack.DecodeFrame(typ, payload)
	if err != nil {
		return nil, fmt.Errorf("%w: pack %d at %d: %w", storepack.ErrDamaged, b.Loc.Pack, b.Loc.At, err)
	}
	return frameBlock(f, b)
}

// name turns what was found into ranges of volumes at points, and leaves out what nobody refers to any more.
func (k *scrub) name() error {
	if len(k.found) == 0 {
		return nil
	}
	volumes, err := k.s.scrubVolumes()
	if err != nil {
		return err
	}
	for _, x := range k.found {
		still, err := k.still(x)
		if err != nil {
			return err
		}
		v := volumes[x.Volume]
		if !still || v == nil {
			continue
		}
		d := Damage{Group: v.group, Volume: v.id, Off: int64(x.Slot)*index.SlotBytes + int64(x.first)*leaf.BlockSize,
			Len: int64(x.count) * leaf.BlockSize, Err: x.err}
		var shows *index.Point
		for _, p := range v.points {
			if p.Number >= x.Number && (x.Newer == 0 || p.Number < x.Newer) {
				d.Points, shows = append(d.Points, p.Point), p
			}
		}
		if shows == nil {
			continue
		}
		err = k.repair(x, v, shows)
		switch {
		case k.ctx.Err() != nil:
			return fmt.Errorf("scrub: %w", k.ctx.Err())
		case err == nil:
			k.report.Repaired += d.Len
		default:
			d.Err = fmt.Errorf("%w; not repaired: %w", d.Err, err)
			k.add(d)
		}
	}
	return nil
}

func (k *scrub) add(d Damage) {
	if last := len(k.report.Damages) - 1; last >= 0 {
		l := &k.report.Damages[last]
		if l.Volume == d.Volume && l.Off+l.Len == d.Off && slices.Equal(l.Points, d.Points) {
			l.Len += d.Len
			return
		}
	}
	if len(k.report.Damages) == damagesMax {
		k.report.Omitted++
		return
	}
	k.report.Damages = append(k.report.Damages, d)
}

// still reports whether the entry is in the index as it is now, and the block can not be read where it says.
func (k *scrub) still(x suspect) (bool, error) {
	r, err := k.s.index.NewReader()
	if err != nil {
		return false, err
	}
	var s index.Slot
	number, err := r.Lookup(x.Volume, x.Slot, x.Number, &s)
	if err = errors.Join(err, r.Close()); err != nil || number != x.Number {
		return false, err
	}
	if s[x.first].IsZero() {
		return false, nil
	}
	_, err = k.read(&s[x.first])
	return err != nil, nil
}

// scrubVolume is what is known of a volume by its number in the index.
type scrubVolume struct {
	group  ident.GroupID
	id     ident.VolumeID
	points []*index.Point // that hold it, oldest first
}

func (s *Set) scrubVolumes() (map[uint32]*scrubVolume, error) {
	groups, err := s.index.Groups()
	if err != nil {
		return nil, err
	}
	out := map[uint32]*scrubVolume{}
	for _, g := range groups {
		err := s.index.Numbers(g, func(number uint64, forgetting bool) error {
			if forgetting {
				return nil
			}
			p, err := s.index.Point(g, number)
			if err != nil {
				return ignoreNoPoint(err)
			}
			for _, v := range p.Volumes {
				if out[v.Number] == nil {
					out[v.Number] = &scrubVolume{group: g, id: v.ID}
				}
				out[v.Number].points = append(out[v.Number].points, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ignoreNoPoint makes nothing of a point that was forgotten meanwhile.
func ignoreNoPoint(err error) error {
	if isNoPoint(err) {
		return nil
	}
	return err
}
