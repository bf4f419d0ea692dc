package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
)

const (
	restoringName = groupName + ".restoring" // folder that is being filled
	restoreRetry  = 2 * time.Second
)

// restoreIfDecided carries out an operator's decision to restore, before the group is opened. It tries until ctx ends
// while trying again may help; when it can not help, the group stays as it was and an event says why.
func (g *gateway) restoreIfDecided(ctx context.Context, l *certs.Loaded) error {
	f := g.file.get()
	if f.Act != actRestore {
		return nil
	}
	s := g.system
	client, err := rpc.Dial(rpc.ClientOptions{Addresses: s.providers(), TLS: l.TLS(), Traffic: g.traffic})
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		point, err := g.restore(ctx, client, l.Identity.Name)
		switch {
		case err == nil:
			s.event("info", "group.restored", fmt.Sprintf("group %s was filled from point %s", groupName, point))
			s.setOpening("")
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("restoring group %s: %w", groupName, err)
		case hopeless(err):
			s.event("error", "group.restore_failed", fmt.Sprintf("group %s was not restored and is what it was: %v", groupName, err))
			return g.file.change(func(f *gatewayFile) { f.Act, f.From = actNone, ident.GroupID{} })
		}
		s.event("warning", "group.restoring", fmt.Sprintf("restoring group %s: %v; trying again", groupName, err))
		select {
		case <-ctx.Done():
		case <-time.After(restoreRetry):
		}
	}
}

// hopeless reports whether trying again can not help.
func hopeless(err error) bool {
	for _, e := range []error{replicate.ErrEmpty, replicate.ErrPartial, rpc.ErrForeign, rpc.ErrUnknown, rpc.ErrBadRequest, rpc.ErrDamaged,
		intercept.ErrArgument, intercept.ErrRestored, os.ErrPermission} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// restore fills a new folder, puts the group's own aside as a branch, and the new one in its place.
func (g *gateway) restore(ctx context.Context, client *rpc.Client, gatewayName string) (ident.Point, error) {
	s, f := g.system, g.file.get()
	dir := s.groupFolder(restoringName)
	if err := os.RemoveAll(dir); err != nil {
		return ident.Point{}, err
	}
	remote := replicate.NewRemote(client)
	point, err := replicate.Restore(ctx, replicate.RestoreOptions{
		Group: f.From, Provider: remote, Content: remote,
		Gateway: f.ID, GatewayName: gatewayName, Cluster: f.Cluster, Dir: dir, Intercept: s.groupOptions(),
		Report: func(done, total int64) {
			s.setOpening(fmt.Sprintf("restoring group %s: %d of %d MiB compared or fetched", groupName, done>>20, total>>20))
		},
	})
	if err != nil {
		return point, err
	}
	branch, err := g.putAside()
	if err != nil {
		return point, err
	}
	if err := os.Rename(dir, s.groupFolder(groupName)); err != nil {
		return point, err
	}
	if err := syncFolder(filepath.Dir(dir)); err != nil {
		return point, err
	}
	return point, g.file.change(func(f *gatewayFile) {
		f.Act, f.ReadOnly = actRestored, nil
		if branch != nil {
			f.Branches = append(slices.Clone(f.Branches), *branch)
		}
	})
}

// putAside renames the group's folder, so that what was never committed of it is kept; nil when there is none.
func (g *gateway) putAside() (*branch, error) {
	s := g.system
	there, err := exists(s.groupFolder(groupName))
	if err != nil || !there {
		return nil, err
	}
	now := time.Now().UTC()
	b := &branch{Name: groupName + ".branch-" + now.Format("20060102T150405.000"), At: now}
	if r := g.file.get().ReadOnly; r != nil {
		b.Reason = r.Reason
	}
	group, err := intercept.GroupIn(s.groupFolder(groupName))
	if err != nil {
		s.log.Warn("the group that is put aside can not be read", "reason", err)
	}
	b.Group = group
	return b, os.Rename(s.groupFolder(groupName), s.groupFolder(b.Name))
}
