package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
)

// The throttle is off at the start and can be switched while the system runs.
func TestChangeGroup(t *testing.T) {
	s := start(t, api.RoleAll, testConfig(t))
	defer stop(t, s)
	if s.Status().Groups[0].Rates.Throttle {
		t.Error("the throttle is on from the start")
	}
	for _, on := range []bool{true, false} {
		g, err := s.ChangeGroup(t.Context(), groupName, api.GroupChange{Throttle: &on})
		if err != nil || g.Rates.Throttle != on || s.Status().Groups[0].Rates.Throttle != on {
			t.Errorf("switch %v: %+v, %v", on, g.Rates, err)
		}
	}
	if _, err := s.ChangeGroup(t.Context(), "other", api.GroupChange{}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("another group: %v", err)
	}
}

// A disk of a volume that is not there is refused at the start, with the volumes that are.
func TestDiskOfUnknownVolume(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	c.Disks = []config.Disk{{Volume: "w", Kind: "raw", Place: t.TempDir() + "/w.img"}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Start(ctx, api.RoleAll, c, slog.New(slog.DiscardHandler))
	if err == nil {
		stop(t, s)
	}
	if !errors.Is(err, api.ErrInvalid) || !strings.Contains(err.Error(), "there is: v") {
		t.Errorf("%v", err)
	}
}

// A wait that ends with its time limit says what it was waiting for.
func TestWaitErrorSaysWhy(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Nanosecond, fmt.Errorf("%w: not done after 5s", api.ErrTimeout))
	defer cancel()
	<-ctx.Done()
	if got := waitError(ctx, "no session").Error(); got != "timed out: not done after 5s: no session" {
		t.Error(got)
	}
}
