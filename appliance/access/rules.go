package access

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// ErrRule says that a rule can not be.
var ErrRule = errors.New("access rule is not valid")

// Unix is the entry of Hosts that stands for the Unix sockets of this machine.
const Unix = "unix"

const (
	entriesMax   = 256 // of one kind
	secretMin    = 12  // bytes; RFC 7143, section 9.2.1: at least 96 bits
	secretMax    = 255
	userNameMax  = 255
	tlsNameMax   = 255
	initiatorMax = 223 // bytes of an iSCSI name (RFC 7143, section 4.2.7.1)
)

// Entry lets one name in.
type Entry struct {
	Name     string `json:"name"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Secret is a CHAP secret. It prints as stars.
type Secret string

func (Secret) String() string   { return "***" }
func (Secret) GoString() string { return "***" }

// User lets a CHAP user in.
type User struct {
	Name     string
	ReadOnly bool
	Secret   Secret
}

// Rules are the rules of one volume. The zero Rules let everybody in.
type Rules struct {
	Initiators []Entry
	Users      []User
	Mutual     *User // what the target answers to an initiator that asks who it is; ReadOnly has no meaning
	TLS        []Entry
	Hosts      []Entry
	ReadOnly   bool // for all
	Sharing    bool // several clients may write
	Revision   uint64
}

// open reports whether everybody is let in.
func (r *Rules) open() bool {
	return len(r.Initiators)+len(r.Users)+len(r.TLS)+len(r.Hosts) == 0
}

// Opens reports whether one of the rules can be checked at a door.
func (r *Rules) Opens(d Door) bool {
	switch {
	case r.open() || len(r.Hosts) > 0:
		return true
	case d == ISCSI:
		return len(r.Initiators)+len(r.Users) > 0
	}
	return len(r.TLS) > 0
}

// user finds a user by name.
func (r *Rules) user(name string) (User, bool) {
	for _, u := range r.Users {
		if u.Name == name {
			return u, true
		}
	}
	return User{}, false
}

var initiatorName = regexp.MustCompile(`^(iqn\.[0-9]{4}-[0-9]{2}\.[!-+\--~]+|eui\.[0-9a-f]{16}|naa\.([0-9a-f]{16}|[0-9a-f]{32}))$`)

// normalize brings names into one form and refuses what can not be.
func (r *Rules) normalize() error {
	errs := []error{
		entries("initiator", r.Initiators, normalInitiator), entries("TLS name", r.TLS, normalTLS), entries("host", r.Hosts, normalHost),
		r.checkUsers(),
	}
	return errors.Join(errs...)
}

// entries puts each name of a kind into its normal form.
func entries(kind string, list []Entry, normal func(string) (string, error)) error {
	if len(list) > entriesMax {
		return fmt.Errorf("%w: %d entries of kind %s, at most %d", ErrRule, len(list), kind, entriesMax)
	}
	seen := make(map[string]bool)
	for i := range list {
		name, err := normal(list[i].Name)
		if err != nil {
			return fmt.Errorf("%w: %s %.80q: %w", ErrRule, kind, list[i].Name, err)
		}
		if seen[name] {
			return fmt.Errorf("%w: %s %s is there twice", ErrRule, kind, name)
		}
		seen[name], list[i].Name = true, name
	}
	return nil
}

func normalInitiator(s string) (string, error) {
	s = strings.ToLower(s)
	if len(s) > initiatorMax || !initiatorName.MatchString(s) {
		return "", errors.New("want an iSCSI name, such as iqn.1993-08.org.debian:01:abc, eui. with 16 or naa. with 16 or 32 hexadecimal digits")
	}
	return s, nil
}

func normalTLS(s string) (string, error) {
	if !plain(s, tlsNameMax) || strings.Contains(s, ",") {
		return "", fmt.Errorf("want 1 to %d printable characters without comma: the common name, a DNS name, an address or a URI of the certificate", tlsNameMax)
	}
	return s, nil
}

// normalHost accepts an address, a network, or Unix.
func normalHost(s string) (string, error) {
	if s == Unix {
		return s, nil
	}
	p, err := Prefix(s)
	if err != nil {
		return "", fmt.Errorf("want an address, a network such as 10.1.0.0/16, or %s", Unix)
	}
	if p.IsSingleIP() {
		return p.Addr().String(), nil
	}
	return p.String(), nil
}

// Prefix reads an entry of Rules.Hosts: an address or a network.
func Prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func (r *Rules) checkUsers() error {
	if len(r.Users) > entriesMax {
		return fmt.Errorf("%w: %d users, at most %d", ErrRule, len(r.Users), entriesMax)
	}
	seen := make(map[string]bool)
	for _, u := range r.Users {
		if err := u.check(); err != nil {
			return err
		}
		if seen[u.Name] {
			return fmt.Errorf("%w: user %s is there twice", ErrRule, u.Name)
		}
		seen[u.Name] = true
	}
	if r.Mutual == nil {
		return nil
	}
	if len(r.Users) == 0 {
		return fmt.Errorf("%w: mutual CHAP without a user that initiators log in as", ErrRule)
	}
	// RFC 7143, section 9.2.1: never the same secret in both directions.
	if slices.ContainsFunc(r.Users, func(u User) bool { return u.Secret == r.Mutual.Secret }) {
		return fmt.Errorf("%w: the secret of the target is that of a user, which would let an initiator play the target", ErrRule)
	}
	return r.Mutual.check()
}

func (u User) check() error {
	if !plain(u.Name, userNameMax) || strings.ContainsAny(u.Name, " ,=") {
		return fmt.Errorf("%w: user name %.80q: want 1 to %d printable characters without space, comma and equals sign", ErrRule, u.Name, userNameMax)
	}
	if len(u.Secret) < secretMin || len(u.Secret) > secretMax || !plain(string(u.Secret), secretMax) {
		return fmt.Errorf("%w: the secret of user %s has %d bytes: want %d to %d printable ASCII characters (12 to 16 for Windows)",
			ErrRule, u.Name, len(u.Secret), secretMin, secretMax)
	}
	return nil
}

// plain reports whether s is 1 to most printable ASCII characters.
func plain(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c > 0x7e })
}

// clone returns a copy that shares nothing with r.
func (r Rules) clone() Rules {
	r.Initiators, r.TLS, r.Hosts = slices.Clone(r.Initiators), slices.Clone(r.TLS), slices.Clone(r.Hosts)
	r.Users = slices.Clone(r.Users)
	if r.Mutual != nil {
		m := *r.Mutual
		r.Mutual = &m
	}
	return r
}
