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
	"github.com/weirstor/weir/intercept/vfs"
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
	if done, err := g.finishRestore(); err != nil || done {
		return err
	}
	client, err := rpc.Dial(rpc.ClientOptions{Addresses: s.providers(), TLS: l.TLS(), Traffic: g.traffic})
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		if done, err := g.finishRestore(); err != nil || done {
			return err
		}
		point, err := g.restore(ctx, client, l.Identity.Name)
		switch {
		case err == nil:
			s.event("info", "group.restored", fmt.Sprintf("group %s was filled from point %s", groupName, point))
			s.setOpening("")
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("restoring group %s: %w", groupName, err)
		case hopeless(err):
			if there, serr := exists(s.groupFolder(groupName)); serr != nil || !there { // going on would make an empty group
				return errors.Join(fmt.Errorf("restoring group %s: %w", groupName, err), serr)
			}
			_ = os.RemoveAll(s.groupFolder(restoringName)) // what stays takes room until the next restore
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

// hopeless reports whether trying again can not help, or would fetch everything again only to fill the disk.
func hopeless(err error) bool {
	if vfs.IsNoSpace(err) {
		return true
	}
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
	if err := g.putAside(); err != nil {
		return point, err
	}
	return point, g.putInPlace()
}

// putInPlace makes the folder that was filled the group's.
func (g *gateway) putInPlace() error {
	dir := g.system.groupFolder(restoringName)
	if err := os.Rename(dir, g.system.groupFolder(groupName)); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	return g.file.change(func(f *gatewayFile) { f.Act, f.ReadOnly = actRestored, nil })
}

// finishRestore goes on where a restore was cut off after it had put the group's folder aside: what was filled is
// complete then. Without it a restore that fails from then on would leave no group at all.
func (g *gateway) finishRestore() (done bool, err error) {
	s := g.system
	there, err := exists(s.groupFolder(groupName))
	if err != nil || there {
		return false, err
	}
	filled, err := intercept.GroupIn(s.groupFolder(restoringName))
	if err != nil || filled != g.file.get().From {
		return false, nil // there never was a group
	}
	if err := g.putInPlace(); err != nil {
		return false, err
	}
	s.event("info", "group.restored", fmt.Sprintf("group %s was filled; an earlier process was cut off before it was put in place", groupName))
	return true, nil
}

// putAside renames the group's folder, if there is one, so that what was never committed of it is kept. Its new name is
// recorded before, so that no crash leaves it unknown.
func (g *gateway) putAside() error {
	s := g.system
	there, err := exists(s.groupFolder(groupName))
	if err != nil || !there {
		return err
	}
	now := time.Now().UTC()
	b := branch{Name: groupName + ".branch-" + now.Format("20060102T150405.000"), At: now}
	if r := g.file.get().ReadOnly; r != nil {
		b.Reason = r.Reason
	}
	if b.Group, err = intercept.GroupIn(s.groupFolder(groupName)); err != nil {
		s.log.Warn("the group that is put aside can not be read", "reason", err)
	}
	err = g.file.change(func(f *gatewayFile) { f.Branches = append(slices.Clone(f.Branches), b) })
	if err != nil {
		return err
	}
	return os.Rename(s.groupFolder(groupName), s.groupFolder(b.Name))
}
