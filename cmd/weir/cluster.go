package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance/certs"
)

func clusterCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{Use: "cluster", Short: "The provider cluster: init, status, remove"}
	c.AddCommand(clusterInit(),
		remoteCommand(r, &cobra.Command{Use: "status", Short: "Show the cluster and its nodes", Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) (api.Cluster, error) {
				return d.Cluster(c.Context())
			}, showCluster)}),
		remoteCommand(r, &cobra.Command{Use: "remove NAME", Short: "Remove a provider from the cluster", Args: cobra.ExactArgs(1),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Cluster, error) {
				return d.RemoveNode(c.Context(), args[0])
			}, showCluster)}),
	)
	return c
}

// remoteCommand gives c the flags of a command that calls a daemon.
func remoteCommand(r *remote, c *cobra.Command) *cobra.Command {
	r.flags(c)
	return c
}

// made is what cluster init and cert issue have written.
type made struct {
	Cluster    string   `json:"cluster"`
	Authority  string   `json:"authority"`
	Identities []string `json:"identities"`
	Folders    []string `json:"folders"`
}

func clusterInit() *cobra.Command {
	var out string
	var nodes, gateways []string
	var asJSON bool
	c := &cobra.Command{
		Use: "init --out DIR --nodes a,b,c", Short: "Make an authority and the certificates of a new cluster", Args: cobra.NoArgs,
		Long: "Makes DIR/ca with the authority of a new cluster, and DIR/NAME with the certificate of each node and gateway.\n" +
			"Bring each machine its own folder and give it as --certs; keep DIR/ca offline, it is only needed to issue more.",
		RunE: func(c *cobra.Command, _ []string) error {
			ca := filepath.Join(out, "ca")
			if there, err := certs.OpenAuthority(ca); err == nil {
				return api.Advise(fmt.Errorf("%w: %s holds the authority of cluster %s", api.ErrConflict, ca, there.Cluster),
					"for one more machine of it: weir cert issue --ca %s --out %s --role node --name NAME; for another cluster give another --out",
					ca, filepath.Join(out, "NAME"))
			}
			a, err := certs.NewAuthority(ca, time.Now())
			if err != nil {
				return err
			}
			m := made{Cluster: a.Cluster.String(), Authority: filepath.Join(out, "ca")}
			for role, names := range map[certs.Role][]string{certs.Node: nodes, certs.Gateway: gateways} {
				for _, n := range names {
					if err := m.issue(a, filepath.Join(out, n), role, n); err != nil {
						return err
					}
				}
			}
			return printEither(c, asJSON, m, func(p *printer) { showMade(p, m) })
		},
	}
	p := c.Flags()
	p.StringVar(&out, "out", "", "`DIR` for authority and certificates")
	p.StringSliceVar(&nodes, "nodes", nil, "names of the provider nodes")
	p.StringSliceVar(&gateways, "gateways", []string{"gateway"}, "names of the gateways")
	p.BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.MarkFlagRequired("out")
	_ = c.MarkFlagRequired("nodes")
	return c
}

func (m *made) issue(a *certs.Authority, dir string, role certs.Role, name string) error {
	id, err := a.Issue(dir, role, name, time.Now())
	if err != nil {
		return err
	}
	m.Identities = append(m.Identities, id.String())
	m.Folders = append(m.Folders, dir)
	return nil
}

func showMade(p *printer, m made) {
	p.row("cluster", m.Cluster)
	p.row("authority", m.Authority)
	for i, f := range m.Folders {
		p.row(f, m.Identities[i])
	}
}

func showCluster(p *printer, c api.Cluster) {
	p.line("cluster %s, leader %s, %d nodes", c.ID, orDash(c.Leader), len(c.Nodes))
	showNodes(p, c)
}

func showNodes(p *printer, c api.Cluster) {
	p.row("NODE", "ADDRESS", "PART", "ANSWERS", "PACKS")
	for _, n := range c.Nodes {
		part := "learner"
		switch {
		case n.Leader:
			part = "leader"
		case n.Voter:
			part = "voter"
		}
		answers := "no"
		if n.Reachable {
			answers = "yes"
		}
		p.row(n.Name, n.Address, part, answers, fmt.Sprintf("%d (%s)", n.Packs, usize(n.PackBytes)))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
