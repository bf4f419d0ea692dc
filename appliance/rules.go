package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/access"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target/iscsi"
)

// Access implements admin.Access.
func (s *System) Access(_ context.Context, volume string) (api.Access, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Access{}, err
	}
	id, _, err := g.ruled(volume)
	if err != nil {
		return api.Access{}, err
	}
	return describeRules(g.access.Rules(id)), nil
}

// SetAccess implements admin.Access.
func (s *System) SetAccess(ctx context.Context, volume string, in api.Access) (api.Access, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Access{}, err
	}
	id, name, err := g.ruled(volume)
	if err != nil {
		return api.Access{}, err
	}
	if len(in.TLS) > 0 && !s.knowsTLSClients() {
		return api.Access{}, api.Advise(fmt.Errorf("%w: rules of client certificates, and this gateway knows no authority of clients: nobody could attach", api.ErrInvalid),
			"start it with --nbd-tls require (or allow) and --nbd-tls-clients FILE")
	}
	r, err := g.access.Set(ctx, id, name, rulesOf(in))
	if err != nil {
		return api.Access{}, accessError(err)
	}
	s.event("info", "access.changed", fmt.Sprintf("access rules of volume %s, revision %d", name, r.Revision))
	return describeRules(r), nil
}

// ruled finds a volume by name or UUID; of deleted volumes the points may still be there, and so are the rules.
func (g *gateway) ruled(volume string) (ident.UUID, string, error) {
	v, err := g.volume(volume)
	if err == nil {
		return v.ID().UUID, v.Name(), nil
	}
	if ids := g.access.Find(volume); len(ids) == 1 {
		return ids[0], volume, nil
	}
	return ident.UUID{}, "", err
}

func accessError(err error) error {
	switch {
	case errors.Is(err, access.ErrRule):
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	case errors.Is(err, access.ErrConflict):
		return fmt.Errorf("%w: %w", api.ErrConflict, err)
	}
	return err
}

func rulesOf(in api.Access) access.Rules {
	r := access.Rules{Initiators: entriesOf(in.Initiators), TLS: entriesOf(in.TLS), Hosts: entriesOf(in.Hosts),
		ReadOnly: in.ReadOnly, Sharing: in.Sharing, Revision: in.Revision}
	for _, u := range in.Users {
		r.Users = append(r.Users, access.User{Name: u.Name, ReadOnly: u.ReadOnly, Secret: access.Secret(u.Secret)})
	}
	if in.Mutual != nil {
		r.Mutual = &access.User{Name: in.Mutual.Name, Secret: access.Secret(in.Mutual.Secret)}
	}
	return r
}

func entriesOf(in []api.AccessEntry) []access.Entry {
	var out []access.Entry
	for _, e := range in {
		out = append(out, access.Entry{Name: e.Name, ReadOnly: e.ReadOnly})
	}
	return out
}

// describeRules leaves the secrets out.
func describeRules(r access.Rules) api.Access {
	out := api.Access{Initiators: describeEntries(r.Initiators), TLS: describeEntries(r.TLS), Hosts: describeEntries(r.Hosts),
		ReadOnly: r.ReadOnly, Sharing: r.Sharing, Revision: r.Revision}
	for _, u := range r.Users {
		out.Users = append(out.Users, api.AccessUser{Name: u.Name, ReadOnly: u.ReadOnly})
	}
	if r.Mutual != nil {
		out.Mutual = &api.AccessUser{Name: r.Mutual.Name}
	}
	return out
}

func describeEntries(in []access.Entry) []api.AccessEntry {
	var out []api.AccessEntry
	for _, e := range in {
		out = append(out, api.AccessEntry{Name: e.Name, ReadOnly: e.ReadOnly})
	}
	return out
}

// iscsiAccess is what the iSCSI door itself checks of the rules of a volume; attachISCSI checks the rest.
func iscsiAccess(r access.Rules) iscsi.Access {
	var out iscsi.Access
	for _, e := range r.Initiators {
		out.Initiators = append(out.Initiators, e.Name)
	}
	for _, u := range r.Users {
		out.Users = append(out.Users, iscsi.Credential{Name: u.Name, Secret: string(u.Secret)})
	}
	if r.Mutual != nil {
		out.Mutual = &iscsi.Credential{Name: r.Mutual.Name, Secret: string(r.Mutual.Secret)}
	}
	if !r.Opens(access.ISCSI) {
		out.Hosts = []netip.Prefix{{}} // holds no address: the target is not shown either
	}
	for _, e := range r.Hosts {
		if p, err := access.Prefix(e.Name); err == nil {
			out.Hosts = append(out.Hosts, p)
		}
	}
	if len(r.Hosts) > 0 && len(out.Hosts) == 0 {
		out.Hosts = []netip.Prefix{{}}
	}
	return out
}
