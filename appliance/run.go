package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/weirstor/weir/admin"
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/runfile"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/appliance/systemd"
)

// errAnew ends a role that is to be started anew at the same addresses.
var errAnew = errors.New("the role starts anew")

// Run starts a role, calls ready with its addresses when its doors are open, and ends it in order when ctx ends, or when
// a part fails without which it can not go on; then the error says which. A role that an operator's decision ends is
// started anew with it; when a service manager has opened its sockets, Run returns for that and the service manager
// starts it anew.
func Run(ctx context.Context, role api.Role, cfg config.Config, log *slog.Logger, ready func(api.Addresses)) error {
	activated := os.Getenv("LISTEN_FDS") != ""
	same := lasting{runfile.NewToken(), admin.NewJournal()}
	for {
		s, err := startWith(ctx, role, cfg, log, same)
		if err != nil {
			return err
		}
		ready(s.Addresses())
		s.notify(systemd.Ready)
		var failed error
		select {
		case <-ctx.Done():
			log.Info("shutting down", "reason", context.Cause(ctx))
		case failed = <-s.failed:
			log.Warn("shutting down", "reason", failed)
		}
		anew := errors.Is(failed, errAnew) && ctx.Err() == nil && !activated
		if !anew {
			s.notify(systemd.Stopping)
		}
		err = s.Close()
		if !anew {
			return errors.Join(failed, err)
		}
		if err != nil {
			return err
		}
		cfg = s.sameAddresses()
	}
}

// sameAddresses is the configuration with the addresses at which the system really listened.
func (s *System) sameAddresses() config.Config {
	cfg, at := s.cfg, s.Addresses()
	for _, a := range []struct {
		to   *string
		real string
	}{{&cfg.Admin, at.Admin}, {&cfg.NBD, at.NBDListeners}, {&cfg.ISCSI, at.ISCSIListeners}} {
		if a.real != "" {
			*a.to = a.real
		}
	}
	return cfg
}

// notify tells the service manager how things are.
func (s *System) notify(state string) {
	if err := systemd.Notify(state); err != nil {
		s.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

// check looks at cfg as role needs it.
func check(role api.Role, cfg *config.Config) error {
	var err error
	switch role {
	case api.RoleAll:
		err = cfg.CheckUp()
	case api.RoleGateway:
		err = cfg.CheckGateway()
	case api.RoleProvider:
		err = cfg.CheckProvider()
	default:
		err = fmt.Errorf("role %q is none of all, gateway, provider", role)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	return nil
}
