package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

// groupThrottle switches the slowing down of hosts.
func groupThrottle(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "throttle on|off", Short: "Slow hosts down, or not, while the group is behind; until the next start", Args: cobra.ExactArgs(1),
		Long: "A group that is behind catches up while hosts write less than is committed: weir status shows both rates. With\n" +
			"throttle on, hosts are slowed down to 0.8 of what is committed, at least 1 MiB/s, while half of the log is used or it\n" +
			"has overflowed. It is off at every start.",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Group, error) {
			on := args[0] == "on"
			if !on && args[0] != "off" {
				return api.Group{}, fmt.Errorf("%w: %q, want on or off", errUsage, args[0])
			}
			return d.ChangeGroup(c.Context(), "main", api.GroupChange{Throttle: &on})
		}, showGroup),
	}
}
