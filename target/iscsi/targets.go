package iscsi

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/weirstor/weir/target"
)

// ErrUnknownTarget is what Targets.Target returns for a name that it does not serve.
var ErrUnknownTarget = errors.New("no such target")

// namePrefix begins the names of all targets (RFC 7143, section 4.2.7.3).
const namePrefix = "iqn.2026-11.io.weir:"

// IQN returns the target name of a volume.
func IQN(volume string) string { return namePrefix + volume }

// VolumeOf returns the volume name in a target name that IQN made. Names compare without regard to case (RFC 7143,
// section 4.2.7.1); the volume name is returned as given.
func VolumeOf(iqn string) (string, bool) {
	if len(iqn) <= len(namePrefix) || !strings.EqualFold(iqn[:len(namePrefix)], namePrefix) {
		return "", false
	}
	return iqn[len(namePrefix):], true
}

// Targets is what the door needs to know of the volumes. Its methods are called from any number of goroutines.
type Targets interface {
	// Target returns the device that sessions to iqn see. The same device must be returned as long as it is the same
	// volume: reservations and attentions belong to it.
	Target(iqn string) (target.Device, TargetInfo, error)
	// List returns the targets that discovery tells.
	List() []TargetInfo
}

// TargetInfo describes a target.
type TargetInfo struct {
	IQN       string   // name, as IQN makes it
	Alias     string   // name for people; the volume name
	Serial    string   // unit serial number (VPD page 80); the hexadecimal ID if empty
	ID        [16]byte // names the volume for ever (VPD page 83)
	Owner     [16]byte // what the target belongs to, for Options.Attach; not told to initiators
	Removable bool     // the medium can be ejected
	Access    Access

	// AtomicMax is the size in bytes up to which one WriteAt of the device is, after a power loss, there as a whole or
	// not at all. 0: not known, WRITE ATOMIC is not offered.
	AtomicMax int
}

// Access says who may log in. The zero Access lets everybody in.
type Access struct {
	Initiators []string       // iSCSI names that may log in; empty: all
	Hosts      []netip.Prefix // addresses from which they may; empty: all
	Users      []Credential   // CHAP users, one of which an initiator must be; empty: no authentication
	Mutual     *Credential    // what the target answers to an initiator that asks who it is
	Exclusive  bool           // refuse a second initiator name while one is logged in
	ReadOnly   []string       // iSCSI names for which the volume is write-protected
}

// Credential is a CHAP name and secret.
type Credential struct{ Name, Secret string }

// String hides the secret.
func (c Credential) String() string { return c.Name }

// GoString hides the secret.
func (c Credential) GoString() string { return c.Name }

func (a Access) allows(initiator string) bool {
	return len(a.Initiators) == 0 || containsName(a.Initiators, initiator)
}

func containsName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func (a Access) secret(user string) (string, bool) {
	for _, u := range a.Users {
		if u.Name == user {
			return u.Secret, true
		}
	}
	return "", false
}
