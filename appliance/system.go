package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/weirstor/weir/admin"
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/runfile"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/raftstore"
	"github.com/weirstor/weir/raftstore/clone"
)

// System is one running role. Its methods are safe for concurrent use; Close is called once.
type System struct {
	role    api.Role
	name    string
	cfg     config.Config
	log     *slog.Logger
	token   string // of the admin port
	journal *admin.Journal
	started time.Time
	closing closing
	failed  chan error // a part has ended without which the role can not go on

	provider *raftstore.Node           // nil in role gateway
	gateway  *gateway                  // nil in role provider
	cluster  *cluster                  // the provider cluster as seen by RPC
	clones   *clone.Set                // points that are served
	served   doors                     // of a provider, for its clones
	web      *certs.Web                // certificate of the admin port; nil on loopback
	sockets  map[string][]net.Listener // of a service manager, by name, not used yet

	mu struct {
		sync.Mutex
		phase     string // api.HealthStarting, HealthOK or HealthStopping
		opening   string // what is being done while it starts; "": parts are opened
		addresses api.Addresses
	}
}

// backgroundWorkers is how many locked threads pack, compress and scrub beside the doors (design, section 4).
const backgroundWorkers = 2

// Start starts a role and returns when its doors are open. ctx bounds the start only.
func Start(ctx context.Context, role api.Role, cfg config.Config, log *slog.Logger) (*System, error) {
	return startWith(ctx, role, cfg, log, lasting{runfile.NewToken(), admin.NewJournal()})
}

// lasting is what stays the same when a role starts anew.
type lasting struct {
	token   string // of the admin port
	journal *admin.Journal
}

func startWith(ctx context.Context, role api.Role, cfg config.Config, log *slog.Logger, l lasting) (*System, error) {
	if err := check(role, &cfg); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), runtime.NumCPU()+backgroundWorkers))
	s := &System{role: role, cfg: cfg, log: log, token: l.token, journal: l.journal, started: time.Now(), failed: make(chan error, 4)}
	s.mu.phase = api.HealthStarting
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start of weir %s: %w", role, err), s.Close())
	}
	return s, nil
}

// start starts the parts in the order of the package comment.
func (s *System) start(ctx context.Context) error {
	lock, err := lockFolder(s.cfg.Data)
	if err != nil {
		return err
	}
	s.closing.add("data folder", lock.Close)
	if err := s.takeSockets(); err != nil {
		return err
	}
	for _, d := range s.cfg.Disks {
		if err := s.checkPlace(d); err != nil {
			return err
		}
	}
	node, gateway, err := s.certificates()
	if err != nil {
		return err
	}
	if err := s.startAdmin(s.token); err != nil {
		return err
	}
	if s.role != api.RoleGateway {
		if err := s.startProvider(ctx, node); err != nil {
			return err
		}
	}
	if s.role == api.RoleProvider {
		gateway = node // a node looks at its cluster as itself
	}
	if err := s.startCluster(gateway); err != nil {
		return err
	}
	if err := s.startClones(); err != nil {
		return err
	}
	if s.role != api.RoleProvider {
		if err := s.startGateway(ctx, gateway); err != nil {
			return err
		}
	}
	return s.open(s.token)
}

// certificates loads what the role needs; role all makes its own.
func (s *System) certificates() (node, gateway *certs.Loaded, err error) {
	dir := s.cfg.Certs
	if dir == "" {
		dir = filepath.Join(s.cfg.Data, "certs")
	}
	if s.role == api.RoleAll {
		s.name = localGateway
		return ownCertificates(dir, time.Now())
	}
	l, err := certs.Load(dir, time.Now())
	if err != nil {
		return nil, nil, err
	}
	if s.cfg.Name != "" && s.cfg.Name != l.Identity.Name {
		return nil, nil, fmt.Errorf("%w: --name is %q and the certificate in %s is of %q", api.ErrInvalid, s.cfg.Name, dir, l.Identity.Name)
	}
	want := certs.Node
	if s.role == api.RoleGateway {
		want = certs.Gateway
	}
	if l.Identity.Role != want {
		return nil, nil, fmt.Errorf("%w: the certificate in %s is of a %s, want a %s", api.ErrInvalid, dir, l.Identity.Role, want)
	}
	s.name = l.Identity.Name
	return l, l, nil
}

// packReserve is the space that packs leave free on a node's disk, so that what the cluster agrees on can still be
// written when they fill it: such a node refuses packs and stays a member.
const packReserve = 128 << 20

// startProvider opens the provider node and waits until its cluster works; a node that joins is waited for in the
// background, since it may be started before the others.
func (s *System) startProvider(ctx context.Context, l *certs.Loaded) error {
	opt := raftstore.Options{
		Name: l.Identity.Name, DataDir: filepath.Join(s.cfg.Data, "provider"),
		Listen: s.cfg.Listen, Advertise: s.cfg.Advertise, TLS: l.TLS(),
		ReserveBytes: packReserve,
		Bootstrap:    s.cfg.Bootstrap, ReplicationFactor: s.cfg.Replicas, KeepLast: s.cfg.KeepLast,
		Logger: s.log.With("room", "provider"),
	}
	if s.cfg.Join != "" {
		opt.Join = []string{s.cfg.Join}
	}
	if s.role == api.RoleAll {
		opt.Listen, opt.Bootstrap, opt.ReplicationFactor = "127.0.0.1:0", true, 1
	}
	node, err := raftstore.Open(opt)
	if err != nil {
		return err
	}
	s.provider = node
	s.closing.add("provider", node.Close)
	s.mu.Lock()
	s.mu.addresses.Provider = node.Address()
	s.mu.Unlock()
	if s.role == api.RoleAll {
		return node.WaitReady(ctx)
	}
	return nil
}

// open opens the doors, says so, and leaves the run files.
func (s *System) open(token string) error {
	if s.gateway != nil {
		if err := s.startDoors(); err != nil {
			return err
		}
		s.closing.add("migration", s.gateway.migration.close)
		s.closing.add("waiting for commits", func() error {
			s.gateway.group.ReleaseSync()
			return nil
		})
	} else if err := s.startCloneDoors(); err != nil {
		return err
	}
	d := runfile.Daemon{Addresses: s.Addresses(), Token: token}
	if s.web != nil {
		d.Certificate = s.web.PEM
	}
	run, err := runfile.Announce(s.cfg.Data, d)
	if err != nil {
		return err
	}
	s.setPhase(api.HealthOK)
	s.closing.add("run files", func() error {
		s.setPhase(api.HealthStopping)
		run.Withdraw()
		return nil
	})
	s.event("info", "system.ready", fmt.Sprintf("weir %s is ready", s.role))
	return nil
}

// Close ends all parts in the reverse order of their start.
func (s *System) Close() error {
	s.setPhase(api.HealthStopping)
	return s.closing.close()
}

// Addresses returns where the system really listens.
func (s *System) Addresses() api.Addresses {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.addresses
}

func (s *System) phase() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.phase
}

func (s *System) setPhase(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.phase = p
}

// setOpening says what the start is at.
func (s *System) setOpening(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.opening = what
}

func (s *System) opening() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.mu.opening, "parts are being opened")
}

// event tells operators, in the journal and in the log.
func (s *System) event(level, kind, text string) {
	s.journal.Publish(api.Event{Level: level, Kind: kind, Text: text})
	at := map[string]slog.Level{"info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError}[level]
	s.log.Log(context.Background(), at, text, "event", kind)
}

// fail ends the role: a part is gone without which it can not go on.
func (s *System) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// exists reports whether there is something at path.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
