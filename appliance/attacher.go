package appliance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/replicate/rpc"
)

const (
	attachTimeout = 30 * time.Second
	attachRetry   = time.Second
)

// attacher adds the configured disks in the background, so that a provider that can not be reached keeps no door shut,
// and tells who waits for a volume when all of them are there.
type attacher struct {
	gateway *gateway
	cancel  context.CancelFunc
	joined  chan struct{}

	mu struct {
		sync.Mutex
		missing []config.Disk
		last    error         // why the first of missing is not there
		done    chan struct{} // closed when nothing is missing
	}
}

func startAttacher(g *gateway) *attacher {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attacher{gateway: g, cancel: cancel, joined: make(chan struct{})}
	a.mu.missing = append(a.mu.missing, g.system.cfg.Disks...)
	a.mu.done = make(chan struct{})
	if g.shipper == nil {
		a.mu.missing = nil
	}
	go a.run(ctx)
	return a
}

func (a *attacher) close() error {
	a.cancel()
	<-a.joined
	return nil
}

// run tries the missing disks in order until all are there.
func (a *attacher) run(ctx context.Context) {
	defer close(a.joined)
	for {
		d, ok := a.first()
		if !ok {
			close(a.mu.done)
			return
		}
		err := checkDisk(&d, a.gateway.system.role == api.RoleAll)
		if err == nil {
			try, cancel := context.WithTimeout(ctx, attachTimeout)
			_, err = a.gateway.attach(try, d)
			cancel()
		}
		if a.settle(d, err) {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(attachRetry):
		}
	}
}

func (a *attacher) first() (config.Disk, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.mu.missing) == 0 {
		return config.Disk{}, false
	}
	return a.mu.missing[0], true
}

// settle records the outcome for the first missing disk; one that failed goes to the end of the queue.
func (a *attacher) settle(d config.Disk, err error) (ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.mu.missing[0]
	a.mu.missing = a.mu.missing[1:]
	if err == nil {
		a.mu.last = nil
		return true
	}
	a.mu.missing = append(a.mu.missing, first)
	if a.mu.last == nil || a.mu.last.Error() != err.Error() {
		a.gateway.system.event("warning", "disk.waiting", fmt.Sprintf("disk %s of volume %s is not attached yet: %v", d.Place, d.Volume, err))
	}
	a.mu.last = err
	return false
}

// knownVolumes refuses configured disks of volumes that are not there: they would be waited for without an end.
func (g *gateway) knownVolumes() error {
	for _, d := range g.system.cfg.Disks {
		if _, err := g.volume(d.Volume); err == nil {
			continue
		}
		var names []string
		for _, v := range g.group.Volumes() {
			names = append(names, v.Name())
		}
		return api.Advise(fmt.Errorf("%w: disk %s is to follow volume %q, which does not exist; there is: %s", api.ErrInvalid, d.Place, d.Volume,
			cmp.Or(strings.Join(names, ", "), "none")), "correct --disk, or make the volume with --volume %s:SIZE", d.Volume)
	}
	return nil
}

// of reports whether a disk of the volume is missing.
func (a *attacher) of(volume string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.mu.missing, func(d config.Disk) bool { return d.Volume == volume })
}

// wait returns when every configured disk of the volume is attached.
func (a *attacher) wait(ctx context.Context, volume string) error {
	if !a.of(volume) {
		return nil
	}
	select {
	case <-a.mu.done:
		return nil
	case <-a.joined:
		select {
		case <-a.mu.done:
			return nil
		default:
		}
		return fmt.Errorf("%w: the system is stopping", api.ErrUnavailable)
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		return fmt.Errorf("%w: configured disks are not attached: %w", api.ErrUnavailable, cmp.Or(a.mu.last, ctx.Err()))
	}
}

// attach makes a disk follow a volume; one that does already is left as it is. It returns the disk's ID.
func (g *gateway) attach(ctx context.Context, d config.Disk) (string, error) {
	v, err := g.volume(d.Volume)
	if err != nil {
		return "", err
	}
	calls := g.system.cluster.calls
	volume, group := v.ID(), g.group.ID()
	r, err := calls.Disks(ctx, &rpc.DisksRequest{Group: group.UUID[:]})
	if err != nil {
		r = &rpc.DisksReply{} // a group that the cluster does not know yet has none
	}
	for _, have := range r.GetDisks() {
		s := have.GetDisk()
		if string(s.GetVolume()) == string(volume.UUID[:]) && s.GetKind() == d.Kind && s.GetPlace() == d.Place && (d.Node == "" || d.Node == s.GetNode()) {
			return uuidText(s.GetId()), nil
		}
	}
	// The cluster knows a volume from the first point that holds it.
	end, err := g.group.Seal(ctx, "")
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	if _, err := g.committed(ctx, end, func(api.Progress) {}); err != nil {
		return "", err
	}
	added, err := calls.AddDisk(ctx, &rpc.AddDiskRequest{Disk: &rpc.Disk{
		Group: group.UUID[:], Volume: volume.UUID[:], VolumeName: v.Name(), Node: d.Node, Kind: d.Kind, Place: d.Place, Policy: d.Policy,
	}})
	if err != nil {
		return "", clusterError(err)
	}
	return uuidText(added.GetDisk().GetId()), nil
}
