package appliance

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/access"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/nbd"
)

// nbdClient describes a client of the NBD door.
func nbdClient(p nbd.Peer) access.Client {
	c := access.Client{Door: access.NBD, Addr: addressOf(p.Addr), Process: p.Process, Remote: p.String()}
	if p.TLS != nil && len(p.TLS.VerifiedChains) > 0 {
		c.TLS = certificateNames(p.TLS.VerifiedChains[0][0])
	}
	return c
}

// certificateNames are the names that access rules can let in, without repetition.
func certificateNames(c *x509.Certificate) []string {
	var names []string
	add := func(s string) {
		if s == "" {
			return
		}
		for _, n := range names {
			if n == s {
				return
			}
		}
		names = append(names, s)
	}
	add(c.Subject.CommonName)
	for _, n := range c.DNSNames {
		add(n)
	}
	for _, a := range c.IPAddresses {
		add(a.String())
	}
	for _, u := range c.URIs {
		add(u.String())
	}
	if len(names) == 0 {
		add("serial " + c.SerialNumber.String())
	}
	return names
}

// iscsiClient describes an initiator.
func iscsiClient(a iscsi.Attempt) access.Client {
	return access.Client{Door: access.ISCSI, Addr: addressOf(a.Peer), Remote: a.Peer.String(), Initiator: a.Initiator, User: a.User}
}

func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// authorize is asked by the NBD door before an export is shown.
func (g *gateway) authorize(p nbd.Peer, e nbd.ExportInfo) (nbd.Access, error) {
	ro, err := g.access.Check(e.Owner, e.Name, nbdClient(p))
	return nbd.Access{ReadOnly: ro}, g.turnedAway("nbd", e.Name, nbdClient(p), err)
}

// attachNBD is asked by the NBD door before the first request.
func (g *gateway) attachNBD(ctx context.Context, a nbd.Attempt) (nbd.Attachment, error) {
	c := nbdClient(a.Peer)
	p, err := g.access.Attach(ctx, a.Export.Owner, a.Export.Name, c, a.Access.ReadOnly, a.Cut)
	if err != nil {
		return nil, g.turnedAway("nbd", a.Export.Name, c, err)
	}
	if p.Reader != a.Access.ReadOnly { // the rules have changed since the export was shown
		p.Detach()
		return nil, nbd.Refuse("the access rules of volume %s have just changed: try again", a.Export.Name)
	}
	return p, nil
}

// attachISCSI is asked by the iSCSI door before a session begins.
func (g *gateway) attachISCSI(a iscsi.Attempt) (iscsi.Attachment, error) {
	name := a.Target.Alias
	c := iscsiClient(a)
	p, err := g.access.Attach(context.Background(), a.Target.Owner, name, c, g.readOnly(name), func(error) { a.Cut() })
	if err != nil {
		return nil, g.turnedAway("iscsi", name, c, err)
	}
	return p, nil
}

// readOnly reports whether what is served under name takes no writes from anybody: a point, or a clone that is only read.
func (g *gateway) readOnly(name string) bool {
	_, of, isPoint := strings.Cut(name, "@")
	if c := g.system.clones.Find(of); isPoint && c != nil {
		return c.Spec().ReadOnly
	}
	return isPoint
}

// turnedAway tells operators of a client that was refused, and gives the client its reason.
func (g *gateway) turnedAway(door, volume string, c access.Client, err error) error {
	var r *access.Refusal
	if !errors.As(err, &r) {
		return err
	}
	if g.refusals.first(door + volume + c.String() + r.Text) {
		g.system.event("warning", "access.refused", c.String()+" was refused: "+r.Text)
	}
	return nbd.Refuse("%s", r.Text)
}

// DropSession implements admin.Access.
func (s *System) DropSession(ctx context.Context, id string) error {
	g, err := s.gatewayUp()
	if err != nil {
		return err
	}
	n, err := parseSession(id)
	if err != nil {
		return err
	}
	var who string
	for _, p := range g.access.Places() {
		if p.ID == n {
			who = p.Client.String() + " at volume " + p.Name
		}
	}
	there, err := g.access.Drop(ctx, n, errors.New("an operator has ended the session"))
	if !there {
		return api.Advise(noSession(id), "see: weir session list")
	}
	if err == nil {
		s.event("warning", "session.dropped", "session "+id+" was ended by an operator: "+who)
	}
	return err
}
