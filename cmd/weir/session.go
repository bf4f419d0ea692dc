package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func sessionCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{Use: "session", Short: "Clients at the doors: list, drop"}
	r.flags(c)
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List who is attached", Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) ([]api.Session, error) {
				return d.Sessions(c.Context())
			}, func(p *printer, list []api.Session) { showSessions(p, list, time.Now()) })},
		&cobra.Command{Use: "drop SESSION", Short: "End a session; a client that still may will come again", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return r.do(func(d *client.Client) error { return d.DropSession(c.Context(), args[0]) })
			}})
	return c
}

func showSessions(p *printer, list []api.Session, now time.Time) {
	if len(list) == 0 {
		p.line("nobody is attached")
		return
	}
	p.row("SESSION", "VOLUME", "DOOR", "FROM", "WHO", "RIGHTS", "FOR", "READ", "WRITTEN", "COMMANDS", "IN FLIGHT")
	for _, s := range list {
		door := s.Door
		if s.TLS {
			door += "+tls"
		}
		who := orDash(s.Name)
		if s.User != "" {
			who += " as " + s.User
		}
		right := "rw"
		if s.ReadOnly {
			right = "ro"
		}
		p.row(s.ID, s.Volume, door, s.Remote, who, right, now.Sub(s.Since).Round(time.Second), usize(s.ReadBytes), usize(s.WrittenBytes), s.Commands, s.InFlight)
	}
}
