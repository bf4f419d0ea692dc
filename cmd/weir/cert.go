package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/appliance/certs"
)

// soon is how long before its end a certificate is warned about.
const soon = 30 * 24 * time.Hour

func certCommand() *cobra.Command {
	c := &cobra.Command{Use: "cert", Short: "Certificates: issue, show"}
	c.AddCommand(certIssue(), certShow())
	return c
}

func certIssue() *cobra.Command {
	var ca, out, role, name string
	var asJSON bool
	c := &cobra.Command{
		Use: "issue --ca DIR --out DIR --role node|gateway|operator --name NAME", Short: "Issue a certificate of a cluster", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := certs.OpenAuthority(ca)
			if err != nil {
				return err
			}
			m := made{Cluster: a.Cluster.String(), Authority: ca}
			if err := m.issue(a, out, certs.Role(role), name); err != nil {
				return err
			}
			return printEither(c, asJSON, m, func(p *printer) { showMade(p, m) })
		},
	}
	p := c.Flags()
	p.StringVar(&ca, "ca", "", "`DIR` of the authority")
	p.StringVar(&out, "out", "", "`DIR` for the certificate")
	p.StringVar(&role, "role", "", "node, gateway or operator")
	p.StringVar(&name, "name", "", "name of the machine")
	p.BoolVar(&asJSON, "json", false, "print JSON")
	for _, f := range []string{"ca", "out", "role", "name"} {
		_ = c.MarkFlagRequired(f)
	}
	return c
}

func certShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show FILE|DIR", Short: "Say whose a certificate is and when it ends", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			infos, err := certs.Show(args[0])
			if err != nil {
				return err
			}
			return printEither(c, asJSON, infos, func(p *printer) {
				for _, i := range infos {
					showCert(p, i, time.Now())
				}
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func showCert(p *printer, i certs.Info, now time.Time) {
	p.row(i.File, orDash(i.Identity))
	left := i.NotAfter.Sub(now)
	note := fmt.Sprintf("%d days left", int(left.Hours()/24))
	switch {
	case left < 0:
		note = "ENDED: issue a new one with weir cert issue"
	case left < soon:
		note += ": issue a new one with weir cert issue"
	}
	p.row("  valid", fmt.Sprintf("%s to %s, %s", i.NotBefore.Format(time.DateOnly), i.NotAfter.Format(time.DateOnly), note))
	p.row("  sha256", i.Fingerprint)
}
