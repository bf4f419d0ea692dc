package replicate

import (
	"context"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
	"golang.org/x/sync/errgroup"
)

// outbox puts the packs of one epoch while it is still being encoded, a few at a time. A first pack that is small is
// kept back: if it stays the only one it travels with the commit and saves a round trip. Used by one goroutine.
type outbox struct {
	ctx   context.Context
	puts  *errgroup.Group
	send  func(ctx context.Context, p pack.Pack) error
	kept  []pack.Pack // at most one
	begun bool        // a pack has been put
}

// newOutbox returns an outbox for one epoch. wait must be called, whatever happens.
func newOutbox(ctx context.Context, to Provider, group ident.GroupID, term uint64) *outbox {
	o := &outbox{}
	o.puts, o.ctx = errgroup.WithContext(ctx)
	o.puts.SetLimit(putsInFlight)
	o.send = func(ctx context.Context, p pack.Pack) error { return to.PutPack(ctx, group, term, p) }
	return o
}

// put takes p; it blocks while enough is in flight and fails once any put has failed.
func (o *outbox) put(p pack.Pack) error {
	if o.ctx.Err() != nil {
		return context.Cause(o.ctx)
	}
	if !o.begun && len(o.kept) == 0 && p.Size <= inlineBytesMax {
		o.kept = append(o.kept, p)
		return nil
	}
	o.begun = true
	for _, k := range append(o.kept, p) {
		o.puts.Go(func() error { return o.send(o.ctx, k) })
	}
	o.kept = nil
	return nil
}

// wait returns when every put has been answered, with the pack that was kept back or the first error.
func (o *outbox) wait() ([]pack.Pack, error) {
	if err := o.puts.Wait(); err != nil {
		return nil, err
	}
	return o.kept, nil
}
