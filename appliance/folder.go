package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
)

// lockFolder makes the data folder and keeps other processes out of it until the returned file is closed.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = errors.Join(fmt.Errorf("%w: data folder %s is in use by another weir: %w", api.ErrConflict, dir, err), f.Close())
		return nil, api.Advise(err, "stop that one first, or give another --data")
	}
	return f, nil
}

// gatewayFile is who this gateway is and what was decided about its group, in DATA/gateway.json.
type gatewayFile struct {
	ID       ident.UUID      `json:"id"`
	Cluster  ident.ClusterID `json:"cluster"` // of the first session; zero: none yet
	Act      groupAct        `json:"act,omitempty"`
	From     ident.GroupID   `json:"from,omitzero"`       // of the cluster, to restore
	ReadOnly *readOnly       `json:"read_only,omitempty"` // why the group must not be written to until something is decided
	Sync     *syncMode       `json:"sync,omitempty"`
	Branches []branch        `json:"branches,omitempty"`

	Sensitivity map[ident.UUID]engine.Sensitivity `json:"sensitivity,omitempty"` // of volumes that have their own
}

// openGatewayFile reads the identity of the gateway in dir, or gives it one, durably.
func openGatewayFile(dir string) (gatewayFile, error) {
	var g gatewayFile
	path := filepath.Join(dir, "gateway.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		g.ID = ident.NewUUID()
		return g, g.write(dir)
	}
	if err != nil {
		return g, fmt.Errorf("identity of the gateway: %w", err)
	}
	if err := json.Unmarshal(b, &g); err != nil {
		return g, fmt.Errorf("identity of the gateway: %s is damaged: %w", path, err)
	}
	if g.ID.IsZero() {
		return g, fmt.Errorf("identity of the gateway: %s is damaged: it has no id", path)
	}
	return g, nil
}

// write replaces the file; it is on stable storage on return.
func (g gatewayFile) write(dir string) error {
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "gateway.json")
	f, err := os.CreateTemp(dir, ".gateway-*")
	if err != nil {
		return fmt.Errorf("identity of the gateway: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("identity of the gateway: %w", err), os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// The names that role all gives its two parts.
const (
	localNode    = "local"
	localGateway = "gateway"
)

// ownCertificates returns the certificates of role all, which are made at the first start: an authority of its own,
// one node and one gateway.
func ownCertificates(dir string, now time.Time) (node, gateway *certs.Loaded, err error) {
	ca := filepath.Join(dir, "ca")
	a, err := certs.OpenAuthority(ca)
	if errors.Is(err, os.ErrNotExist) {
		a, err = certs.NewAuthority(ca, now)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("own certificates: %w", err)
	}
	if node, err = ownCertificate(a, filepath.Join(dir, "node"), certs.Node, localNode, now); err != nil {
		return nil, nil, err
	}
	gateway, err = ownCertificate(a, filepath.Join(dir, "gateway"), certs.Gateway, localGateway, now)
	return node, gateway, err
}

// renewBefore is how long before its end a certificate of our own authority is made anew.
const renewBefore = 60 * 24 * time.Hour

// ownCertificate loads a certificate of our own authority, and issues it when it is missing, unfinished or near its end.
func ownCertificate(a *certs.Authority, dir string, role certs.Role, name string, now time.Time) (*certs.Loaded, error) {
	l, err := certs.Load(dir, now.Add(renewBefore))
	if err == nil {
		return l, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("own certificates: %w", err)
	}
	if _, err := a.Issue(dir, role, name, now); err != nil {
		return nil, fmt.Errorf("own certificates: %w", err)
	}
	return certs.Load(dir, now)
}
