package intercept

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/wal"
)

// Seal ends the current epoch and returns its last sequence; every write that was acknowledged before the call is in it
// or in an earlier one. With a name the epoch becomes a named point, even an empty one; without, an empty epoch is not
// sealed and the end of the one before is returned. ErrArgument for a name of more than 255 bytes.
func (g *Group) Seal(ctx context.Context, name string) (ident.Seq, error) {
	if len(name) > checkpoint.NameBytesMax {
		return 0, fmt.Errorf("name of a point with %d bytes: %w", len(name), ErrArgument)
	}
	g.sealing.Lock()
	defer g.sealing.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := g.log.Err(); err != nil {
		return 0, g.deviceError(err)
	}
	since, _ := g.log.Since()
	if since.Records == 0 && name == "" {
		return g.sealed, nil
	}
	return g.sealLocked(name)
}

// sealEmpty ends the current epoch even if nothing was written in it.
func (g *Group) sealEmpty(ctx context.Context) error {
	g.sealing.Lock()
	defer g.sealing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := g.sealLocked("")
	return err
}

// sealLocked ends the current epoch. Called with sealing locked.
func (g *Group) sealLocked(name string) (ident.Seq, error) {
	ended, err := g.sealNow(name)
	if err != nil {
		return 0, fmt.Errorf("seal: %w", g.deviceError(err))
	}
	ended.finish()
	g.sealed = ended.end
	g.epochs.Add(1)
	g.compact()
	g.stacks.notify()
	return ended.end, nil
}

// sealNow logs the end of the current epoch. On return every write of the interval is complete.
func (g *Group) sealNow(name string) (*layer, error) {
	b := &g.seal
	now := g.opt.Now()
	b.Control = true
	b.Records = append(b.Records[:0], wal.Record{Kind: wal.KindSeal, Aux: uint64(now.UnixNano()), Payload: []byte(name)})
	var ended *layer
	b.OnReserve = func(b *wal.Batch) any {
		next := newLayer(b.Last()+1, b.End, g.table.Load())
		g.stacks.Lock()
		defer g.stacks.Unlock()
		ended = g.stacks.topLocked()
		ended.seal(b.Last(), b.End, next.before, name, now)
		g.stacks.pushLocked(next)
		return next
	}
	if err := g.log.Reserve(b); err != nil {
		return nil, err
	}
	err := g.log.Write(b)
	if cerr := g.log.Complete(b); err == nil {
		err = cerr
	}
	return ended, err
}

// seal sets the end of the interval; called with the stacks locked.
func (l *layer) seal(end ident.Seq, endPos wal.Pos, after *table, name string, at time.Time) {
	l.end, l.endPos, l.after, l.name, l.sealedAt, l.oldest = end, endPos, after, name, at, at
}

// sealSoon asks the sealer to end the current epoch now.
func (g *Group) sealSoon() {
	select {
	case g.sealKick <- struct{}{}:
	default:
	}
}

// pressure makes room in a log that runs full: the current epoch is sealed, and the destager looks again.
func (g *Group) pressure() {
	g.sealSoon()
	g.stacks.notify()
}

// sealer ends epochs by time, and when it is asked to.
func (g *Group) sealer() {
	defer g.workers.Done()
	var tick <-chan time.Time
	if g.opt.EpochInterval > 0 {
		t := time.NewTicker(g.opt.EpochInterval)
		defer t.Stop()
		tick = t.C
	}
	sample := time.NewTicker(meterEvery)
	defer sample.Stop()
	for {
		select {
		case <-g.done:
			return
		case <-sample.C:
			g.sampleMeter()
			continue
		case <-tick:
		case <-g.sealKick:
		}
		if _, err := g.Seal(context.Background(), ""); err != nil && g.log.Err() == nil {
			g.opt.Logger.Warn("epoch not sealed; trying again", "group", g.id, "reason", err)
		}
	}
}
