package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Door is where a client comes from.
type Door string

const (
	NBD   Door = "nbd"
	ISCSI Door = "iscsi"
)

// Client is what a door knows of a client.
type Client struct {
	Door      Door
	Addr      netip.Addr // not valid for Unix sockets
	Process   int        // that opened the Unix socket; else 0
	Remote    string     // for people: address and port, or process
	Initiator string     // iSCSI name
	User      string     // CHAP name that was proved
	TLS       []string   // names in the certificate that was verified, the first for people; empty: none was shown
}

// identity tells clients apart that may not write together; see the package comment.
func (c Client) identity() string {
	switch {
	case c.Door == ISCSI:
		return "iscsi " + strings.ToLower(c.Initiator)
	case c.Process > 0:
		return fmt.Sprintf("nbd unix %d", c.Process)
	}
	return fmt.Sprintf("nbd %s %q", c.Addr, c.TLS)
}

// String names the client for people.
func (c Client) String() string {
	switch {
	case c.Door == ISCSI:
		return fmt.Sprintf("initiator %s at %s", c.Initiator, c.Remote)
	case len(c.TLS) > 0:
		return fmt.Sprintf("NBD client %s at %s", c.TLS[0], c.Remote)
	}
	return "NBD client at " + c.Remote
}

// Refusal says why a client may not attach; its text is for the person at the client.
type Refusal struct{ Text string }

func (r *Refusal) Error() string { return r.Text }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// check returns whether c may only read, or why it may not attach at all.
func (r *Rules) check(volume string, c Client) (readOnly bool, err error) {
	if !r.Opens(c.Door) {
		return false, refuse("volume %s can not be attached here: it has access rules, and none for this door; see: weir volume access show %s", volume, volume)
	}
	readOnly = r.ReadOnly
	if len(r.Hosts) > 0 {
		ro, ok := r.host(c)
		if !ok {
			return false, refuse("volume %s can not be attached from %s; see: weir volume access show %s", volume, c.Remote, volume)
		}
		readOnly = readOnly || ro
	}
	if c.Door == NBD {
		ro, err := r.certificate(volume, c)
		return readOnly || ro, err
	}
	if len(r.Initiators) > 0 {
		i := slices.IndexFunc(r.Initiators, func(e Entry) bool { return strings.EqualFold(e.Name, c.Initiator) })
		if i < 0 {
			return false, refuse("volume %s can not be attached by %s; see: weir volume access show %s", volume, c.Initiator, volume)
		}
		readOnly = readOnly || r.Initiators[i].ReadOnly
	}
	if len(r.Users) > 0 {
		u, ok := r.user(c.User)
		if !ok {
			return false, refuse("volume %s can not be attached by user %q; see: weir volume access show %s", volume, c.User, volume)
		}
		readOnly = readOnly || u.ReadOnly
	}
	return readOnly, nil
}

// host finds the rule for the address of c; the narrowest network counts.
func (r *Rules) host(c Client) (readOnly, ok bool) {
	best := -1
	for _, e := range r.Hosts {
		if e.Name == Unix {
			if c.Process > 0 {
				return e.ReadOnly, true
			}
			continue
		}
		p, err := Prefix(e.Name)
		if err == nil && p.Contains(c.Addr.Unmap()) && p.Bits() > best {
			best, readOnly = p.Bits(), e.ReadOnly
		}
	}
	return readOnly, best >= 0
}

// certificate finds the rule for the certificate of c. If several of its names have rules, one for writing counts.
func (r *Rules) certificate(volume string, c Client) (readOnly bool, err error) {
	if len(r.TLS) == 0 {
		return false, nil
	}
	if len(c.TLS) == 0 {
		return false, refuse("volume %s wants a client certificate over TLS; see: weir volume access show %s", volume, volume)
	}
	found := false
	for _, e := range r.TLS {
		if slices.Contains(c.TLS, e.Name) {
			if !e.ReadOnly {
				return false, nil
			}
			found = true
		}
	}
	if !found {
		return false, refuse("volume %s can not be attached by %s; see: weir volume access show %s", volume, c.TLS[0], volume)
	}
	return true, nil
}
