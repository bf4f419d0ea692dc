package appliance

import (
	"errors"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
)

func TestRefusing(t *testing.T) {
	now := time.Now()
	disk := func(state string) []api.Disk { return []api.Disk{{State: "clean"}, {State: state, Place: "/d"}} }
	for _, tc := range []struct {
		name    string
		disks   []api.Disk
		failing time.Time
		want    error
		keeps   bool // failing is set afterwards
	}{
		{"following", disk("applying"), time.Time{}, nil, false},
		{"conflict", disk("conflict"), time.Time{}, api.ErrConflict, false},
		{"just failed", disk("failed"), time.Time{}, nil, true},
		{"failed a while ago", disk("failed"), now.Add(-diskGrace / 2), nil, true},
		{"failed for long", disk("failed"), now.Add(-2 * diskGrace), api.ErrUnavailable, true},
		{"back again", disk("clean"), now.Add(-2 * diskGrace), nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failing := tc.failing
			if err := refusing(tc.disks, &failing, now); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if failing.IsZero() == tc.keeps {
				t.Errorf("failing since %v", failing)
			}
		})
	}
}
