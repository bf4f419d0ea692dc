package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/weirstor/weir/intercept/ident"
)

// Role is what the bearer of a certificate may do.
type Role string

const (
	Node     Role = "node"     // a provider node
	Gateway  Role = "gateway"  // may commit to groups
	Operator Role = "operator" // may administer the cluster
)

// ErrIdentity says that a certificate does not name a part of Weir.
var ErrIdentity = errors.New("certificate carries no weir identity")

// Identity is who a certificate says its bearer is.
type Identity struct {
	Cluster ident.ClusterID
	Role    Role
	Name    string
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

func (id Identity) valid() error {
	switch {
	case id.Cluster.IsZero():
		return fmt.Errorf("%w: no cluster", ErrIdentity)
	case id.Role != Node && id.Role != Gateway && id.Role != Operator:
		return fmt.Errorf("%w: role %q is none of node, gateway, operator", ErrIdentity, id.Role)
	case !nameForm.MatchString(id.Name):
		return fmt.Errorf("%w: name %q: want 1 to 63 of a-z, 0-9, dot and dash, not at the ends", ErrIdentity, id.Name)
	}
	return nil
}

// URI returns id as it stands in a certificate.
func (id Identity) URI() *url.URL {
	return &url.URL{Scheme: "weir", Host: id.Cluster.String(), Path: "/" + string(id.Role) + "/" + id.Name}
}

func (id Identity) String() string { return id.URI().String() }

// ServerName is the DNS name in the certificate of every provider node of the cluster, for tls.Config.ServerName.
func ServerName(cluster ident.ClusterID) string {
	return "provider." + cluster.String() + ".weir.internal"
}

// IdentityOf reads the identity of c; ErrIdentity when it has none, or more than one.
func IdentityOf(c *x509.Certificate) (Identity, error) {
	var found []Identity
	for _, u := range c.URIs {
		if u.Scheme != "weir" {
			continue
		}
		id, err := parseURI(u)
		if err != nil {
			return Identity{}, err
		}
		found = append(found, id)
	}
	if len(found) != 1 {
		return Identity{}, fmt.Errorf("%w: %d weir:// names, want 1", ErrIdentity, len(found))
	}
	return found[0], nil
}

func parseURI(u *url.URL) (Identity, error) {
	role, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	cluster, err := ident.ParseUUID(u.Host)
	if !ok || err != nil {
		return Identity{}, fmt.Errorf("%w: %q is not weir://CLUSTER/ROLE/NAME", ErrIdentity, u)
	}
	id := Identity{ident.ClusterID{UUID: cluster}, Role(role), name}
	return id, id.valid()
}
