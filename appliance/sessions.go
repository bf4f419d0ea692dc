package appliance

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/access"
)

// Sessions implements admin.Overview.
func (s *System) Sessions() []api.Session {
	if s.phase() == api.HealthStarting || s.gateway == nil {
		return nil
	}
	g := s.gateway
	at := make(map[uint64]*api.Session)
	var out []api.Session
	places := g.access.Places()
	for _, p := range places {
		out = append(out, describePlace(p))
	}
	for i := range out {
		at[places[i].ID] = &out[i]
	}
	if d := g.doors.nbd; d != nil {
		for _, x := range d.Sessions() {
			if o := sessionOf(at, x.Attachment); o != nil {
				o.TLS = x.TLS
				o.Commands, o.ReadBytes, o.WrittenBytes, o.InFlight = x.Requests, x.BytesRead, x.BytesWritten, x.InFlight
			}
		}
	}
	if d := g.doors.iscsi; d != nil {
		for _, x := range d.Sessions() {
			if o := sessionOf(at, x.Attachment); o != nil {
				o.Commands, o.ReadBytes, o.WrittenBytes, o.InFlight = x.Commands, x.BytesRead, x.BytesWritten, x.InFlight
			}
		}
	}
	return out
}

// sessionOf finds the session that was given a place.
func sessionOf(at map[uint64]*api.Session, attachment any) *api.Session {
	if p, ok := attachment.(*access.Place); ok {
		return at[p.ID]
	}
	return nil
}

func describePlace(p *access.Place) api.Session {
	out := api.Session{
		ID: strconv.FormatUint(p.ID, 10), Door: string(p.Client.Door), Remote: p.Client.Remote, Name: p.Client.Initiator,
		User: p.Client.User, Volume: p.Name, ReadOnly: p.Reader, Since: p.Since,
	}
	if len(p.Client.TLS) > 0 {
		out.Name = p.Client.TLS[0]
	}
	return out
}

func parseSession(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: session %q is not a number", api.ErrInvalid, id)
	}
	return n, nil
}

func noSession(id string) error { return fmt.Errorf("%w: session %s", api.ErrNotFound, id) }

// attachOf says how a host reaches a volume, or what else the doors serve under a name.
func attachOf(a api.Addresses, volume string) api.Attach {
	var out api.Attach
	scheme := "nbd"
	if a.NBDTLS == "require" {
		scheme = "nbds"
	}
	first, _, _ := strings.Cut(a.NBDListeners, ",")
	socket, isUnix := strings.CutPrefix(first, "unix:")
	switch {
	case a.NBD != "":
		out.NBD = scheme + "://" + reachable(a.NBD) + "/" + volume
	case isUnix:
		out.NBD = scheme + "+unix:///" + volume + "?socket=" + socket
	}
	if a.ISCSI != "" {
		out.ISCSI = "iscsi://" + reachable(a.ISCSI) + "/" + targetName(volume) + "/0"
	}
	return out
}

// reachable puts the name of this machine in the place of an address that stands for all of its addresses.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
		return addr
	}
	if name, err := os.Hostname(); err == nil {
		return net.JoinHostPort(name, port)
	}
	return addr
}
