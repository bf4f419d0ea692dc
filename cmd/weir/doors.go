package main

import (
	"github.com/spf13/cobra"

	"github.com/weirstor/weir/appliance/config"
)

// doors adds the flags that say how clients reach volumes.
func (f *daemonFlags) doors(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.flags.NBD, "nbd", f.flags.NBD, "`ADDRESS,...` of the NBD door: HOST:PORT, unix:/PATH; or off")
	p.StringVar(&f.flags.NBDTLS, "nbd-tls", f.flags.NBDTLS, "TLS at the NBD door: off, allow, require")
	p.StringVar(&f.flags.NBDTLSCert, "nbd-tls-cert", "", "PEM `FILE` with the certificate of the NBD door (default: one that Weir makes); read again when it changes")
	p.StringVar(&f.flags.NBDTLSKey, "nbd-tls-key", "", "PEM `FILE` with its key")
	p.StringVar(&f.flags.NBDTLSClients, "nbd-tls-clients", "", "PEM `FILE` with authorities: clients have to show a certificate of one of them")
	p.StringVar(&f.flags.ISCSI, "iscsi", f.flags.ISCSI, "`HOST:PORT,...` of the iSCSI door, or off")
	p.StringVar(&f.flags.ISCSIPortals, "iscsi-portals", "", "`HOST:PORT,...` that discovery tells initiators, when they reach the door by other addresses (NAT)")
}

// doorSettings takes over those that were given.
func (f *daemonFlags) doorSettings(cfg *config.Config, given func(string) bool) {
	for name, set := range map[string]func(){
		"nbd":             func() { cfg.NBD = f.flags.NBD },
		"nbd-tls":         func() { cfg.NBDTLS = f.flags.NBDTLS },
		"nbd-tls-cert":    func() { cfg.NBDTLSCert = f.flags.NBDTLSCert },
		"nbd-tls-key":     func() { cfg.NBDTLSKey = f.flags.NBDTLSKey },
		"nbd-tls-clients": func() { cfg.NBDTLSClients = f.flags.NBDTLSClients },
		"iscsi":           func() { cfg.ISCSI = f.flags.ISCSI },
		"iscsi-portals":   func() { cfg.ISCSIPortals = f.flags.ISCSIPortals },
	} {
		if given(name) {
			set()
		}
	}
}
