package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/access"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
)

// groupName is the name of a gateway's consistency group.
const groupName = "main"

// gateway is the write path of this process and what carries it to the provider.
type gateway struct {
	system    *System
	group     *intercept.Group
	shipper   *replicate.Shipper // nil with replication off
	traffic   *rpc.Traffic       // of the shipper's connections
	disks     *attacher
	doors     doors
	access    *access.Table     // who may attach, and who is attached
	remote    *replicate.Remote // the shipper's provider; nil with replication off
	migration *migration

	refusals     refusals
	reservations *reservations
	file         *gatewayRecord
	parted       parted

	tracing   sync.Mutex // one trace at a time
	volumesMu sync.Mutex // one change of volumes at a time
	making    struct {
		sync.Mutex
		names map[string]bool // of points that are on their way to the cluster
	}
}

// startGateway recovers the group, makes the volumes that are missing, and begins to ship.
func (s *System) startGateway(ctx context.Context, l *certs.Loaded) error {
	file, err := openGatewayFile(s.cfg.Data)
	if err != nil {
		return err
	}
	g := &gateway{system: s, traffic: &rpc.Traffic{}, file: &gatewayRecord{dir: s.cfg.Data, file: file}}
	if err := g.restoreIfDecided(ctx, l); err != nil {
		return err
	}
	if g.access, err = access.Open(filepath.Join(s.cfg.Data, "access")); err != nil {
		return err
	}
	if g.reservations, err = openReservations(filepath.Join(s.cfg.Data, "reservations")); err != nil {
		return err
	}
	if g.group, err = s.openGroup(); err != nil {
		return fmt.Errorf("group %s: %w", groupName, err)
	}
	s.closing.add("group "+groupName, g.closeGroup)
	if err := g.openVolumes(); err != nil {
		return err
	}
	if err := g.knownVolumes(); err != nil {
		return err
	}
	g.group.SetReplication(bool(s.cfg.Replication))
	g.applyMode()
	if s.cfg.Replication {
		g.fenceIfReadOnly()
		if err := g.startShipper(l); err != nil {
			return err
		}
	}
	if g.migration, err = openMigration(g, s.cfg.Data); err != nil {
		return err
	}
	g.disks = startAttacher(g)
	s.closing.add("attaching of disks", g.disks.close)
	s.gateway = g
	return nil
}

// openGroup opens the group's folder, or makes it at the first start.
func (s *System) openGroup() (*intercept.Group, error) {
	dir, opt := s.groupFolder(groupName), s.groupOptions()
	there, err := exists(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return nil, err
	}
	if there {
		return intercept.Open(dir, opt)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	return intercept.Create(dir, opt)
}

func (s *System) groupFolder(name string) string { return filepath.Join(s.cfg.Data, "groups", name) }

func (s *System) groupOptions() intercept.Options {
	return intercept.Options{
		LogBudget: int64(s.cfg.LogBudget), EpochInterval: time.Duration(s.cfg.Epoch), EpochBytes: int64(s.cfg.EpochBytes),
		Logger: s.log.With("room", "intercept", "group", groupName), OnDegraded: s.degraded,
	}
}

// openVolumes makes the configured volumes that are not there.
func (g *gateway) openVolumes() error {
	for _, v := range g.system.cfg.Volumes {
		have, err := g.group.Volume(v.Name)
		switch {
		case err == nil && have.Size() != int64(v.Size):
			g.system.event("warning", "volume.size", fmt.Sprintf("volume %s has %d bytes, %d are configured: it is opened as it is (weir volume resize grows it)",
				v.Name, have.Size(), int64(v.Size)))
		case errors.Is(err, intercept.ErrNotFound):
			if _, err := g.group.CreateVolume(intercept.VolumeSpec{Name: v.Name, Size: int64(v.Size), BlockSize: v.BlockSize}); err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
			g.system.event("info", "volume.created", fmt.Sprintf("volume %s of %s", v.Name, v.Size))
		case err != nil:
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// startShipper runs the shipper until its end; one that ends by itself is an event, not the end of the role: hosts
// still read, and a fenced or broken group refuses writes by itself.
func (g *gateway) startShipper(l *certs.Loaded) error {
	s := g.system
	client, err := rpc.Dial(rpc.ClientOptions{Addresses: s.providers(), TLS: l.TLS(), Traffic: g.traffic})
	if err != nil {
		return err
	}
	s.closing.add("connection to the provider", client.Close)
	packaging, err := s.codecOptions()
	if err != nil {
		return err
	}
	file, remote := g.file.get(), replicate.NewRemote(client)
	g.remote = remote
	g.shipper = replicate.NewShipper(replicate.Options{
		Group: g.group, GroupName: groupName, Provider: remote, Content: remote,
		Gateway: file.ID, GatewayName: l.Identity.Name, Cluster: file.Cluster,
		OnCluster: func(c ident.ClusterID) error {
			return g.file.change(func(f *gatewayFile) { f.Cluster = c })
		},
		Act: g.act(file), OnAct: g.actDone,
		Codec:  packaging,
		Logger: s.log.With("room", "replicate", "group", groupName),
	})
	g.shipper.SetSensitivity(file.sensitivities())
	ctx, cancel := context.WithCancel(context.Background())
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		if err := g.shipper.Run(ctx); err != nil {
			g.shipperEnded(err)
		}
	}()
	s.closing.add("shipper", func() error {
		cancel()
		<-joined
		return nil
	})
	return nil
}

// providers are the addresses to begin with.
func (s *System) providers() []string {
	if s.provider != nil {
		return []string{s.provider.Address()}
	}
	return s.cfg.Providers
}

// volume returns a volume by name or UUID.
func (g *gateway) volume(name string) (*intercept.Volume, error) {
	for _, v := range g.group.Volumes() {
		if v.Name() == name || v.ID().String() == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: volume %q", api.ErrNotFound, name)
}

// CreateVolume implements admin.Volumes.
func (s *System) CreateVolume(_ context.Context, in api.VolumeCreate) (api.Volume, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Volume{}, err
	}
	if err := config.CheckVolumeName(in.Name); err != nil {
		return api.Volume{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err := s.checkImage(in.Adopt); err != nil {
		return api.Volume{}, err
	}
	g.volumesMu.Lock()
	defer g.volumesMu.Unlock()
	v, err := g.group.CreateVolume(intercept.VolumeSpec{Name: in.Name, Size: in.Size, BlockSize: in.BlockSize, Adopt: in.Adopt})
	if err != nil {
		return api.Volume{}, volumeError(err)
	}
	if in.Adopt != "" {
		s.event("info", "volume.adopted", fmt.Sprintf("volume %s is %s from now on; its first sync has begun", in.Name, in.Adopt))
	}
	s.event("info", "volume.created", fmt.Sprintf("volume %s of %s", in.Name, config.Size(v.Size())))
	return s.describe(v), nil
}

// ResizeVolume implements admin.Volumes.
func (s *System) ResizeVolume(_ context.Context, name string, size int64) (api.Volume, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Volume{}, err
	}
	g.volumesMu.Lock()
	defer g.volumesMu.Unlock()
	v, err := g.volume(name)
	if err != nil {
		return api.Volume{}, err
	}
	if err := v.Resize(size); err != nil {
		return api.Volume{}, volumeError(err)
	}
	s.event("info", "volume.resized", fmt.Sprintf("volume %s has %s now", name, config.Size(size)))
	return s.describe(v), nil
}

func volumeError(err error) error {
	if e := imageError(err); e != nil {
		return e
	}
	for from, to := range map[error]error{
		intercept.ErrExists: api.ErrConflict, intercept.ErrNotFound: api.ErrNotFound, intercept.ErrArgument: api.ErrInvalid,
	} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: %w", to, err)
		}
	}
	return err
}

// gatewayUp returns the write path; the error says why there is none.
func (s *System) gatewayUp() (*gateway, error) {
	if s.role == api.RoleProvider {
		return nil, api.Advise(fmt.Errorf("%w: this is a provider", api.ErrUnsupported), "ask the gateway")
	}
	if s.phase() == api.HealthStarting || s.gateway == nil {
		return nil, fmt.Errorf("%w: the system is starting", api.ErrUnavailable)
	}
	return s.gateway, nil
}
