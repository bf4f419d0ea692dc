package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/appliance/systemd"
)

// Run starts a role, calls ready with its addresses when its doors are open, and ends it in order when ctx ends, or when
// a part fails without which it can not go on; then the error says which.
func Run(ctx context.Context, role api.Role, cfg config.Config, log *slog.Logger, ready func(api.Addresses)) error {
	s, err := Start(ctx, role, cfg, log)
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
		log.Error("shutting down", "reason", failed)
	}
	s.notify(systemd.Stopping)
	return errors.Join(failed, s.Close())
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
