package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
)

const (
	hookTimeout = 5 * time.Minute
	hookGrace   = 5 * time.Second // for what a hook that was ended leaves open
	hookOutput  = 4 << 10         // bytes of its output that an error tells
)

// runHook runs the program DATA/hooks/NAME, if there is one, with env added to the environment, and waits for its end. Who
// may write to the data folder decides what runs; no call of the API does.
func (s *System) runHook(ctx context.Context, name string, env ...string) error {
	path := filepath.Join(s.cfg.Data, "hooks", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, path)
	c.Env = append(append(os.Environ(), "WEIR_GROUP="+groupName, "WEIR_HOOK="+name), env...)
	c.WaitDelay = hookGrace
	out, err := c.CombinedOutput()
	s.log.Info("hook has run", "hook", name, "error", err, "output", lastPart(out))
	if err != nil {
		return api.Advise(fmt.Errorf("hook %s: %w: %s", name, err, lastPart(out)), "see what %s does, and try again", path)
	}
	return nil
}

func lastPart(out []byte) string {
	if len(out) > hookOutput {
		out = out[len(out)-hookOutput:]
	}
	return strings.TrimSpace(string(out))
}
