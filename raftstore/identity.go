package raftstore

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstor/weir/intercept/ident"
	"golang.org/x/sys/unix"
)

// role is what a certificate says its owner is.
type role string

const roleNode role = "node"

// identity is who stands at the other end of a connection.
type identity struct {
	cluster string
	role    role
	name    string
}

var errIdentity = errors.New("certificate has no weir://CLUSTER/ROLE/NAME")

func identityOf(cert *x509.Certificate) (identity, error) {
	for _, u := range cert.URIs {
		r, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if u.Scheme == "weir" && ok && name != "" {
			return identity{cluster: u.Host, role: role(r), name: name}, nil
		}
	}
	return identity{}, errIdentity
}

func peerIdentity(state tls.ConnectionState) (identity, error) {
	if len(state.PeerCertificates) == 0 {
		return identity{}, errors.New("peer has no certificate")
	}
	return identityOf(state.PeerCertificates[0])
}

// ownIdentity reads who we are from our certificate and checks that it is the node called name.
func ownIdentity(conf *tls.Config, name string) (identity, error) {
	if conf == nil || len(conf.Certificates) == 0 || conf.ClientCAs == nil || conf.RootCAs == nil || conf.ServerName == "" {
		return identity{}, fmt.Errorf("%w: TLS lacks a certificate, a CA or the nodes' common name", errOptions)
	}
	leaf := conf.Certificates[0].Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(conf.Certificates[0].Certificate[0]); err != nil {
			return identity{}, fmt.Errorf("own certificate: %w", err)
		}
	}
	id, err := identityOf(leaf)
	if err != nil {
		return identity{}, fmt.Errorf("own certificate: %w", err)
	}
	if id.role != roleNode || id.name != name {
		return identity{}, fmt.Errorf("%w: certificate is of %s %s, this is node %s", errOptions, id.role, id.name, name)
	}
	return id, nil
}

// folder is the identity of a data folder.
type folder struct {
	ID      ident.UUID      `json:"id"`
	Name    string          `json:"name"`
	Cluster ident.ClusterID `json:"cluster"`
}

// server is the Raft ID of the node in this folder.
func (f folder) server() string { return f.Name + "/" + f.ID.String() }

// openFolder reads the folder's identity, or gives it one, durably.
func openFolder(dir, name string, cluster ident.ClusterID) (folder, error) {
	path := filepath.Join(dir, "node.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		f := folder{ID: ident.NewUUID(), Name: name, Cluster: cluster}
		if b, err = json.Marshal(f); err != nil {
			return folder{}, err
		}
		return f, writeDurable(path, append(b, '\n'))
	}
	if err != nil {
		return folder{}, err
	}
	var f folder
	if err := json.Unmarshal(b, &f); err != nil {
		return folder{}, fmt.Errorf("identity of the node: %s is damaged: %w", path, err)
	}
	if f.Name != name || f.ID.IsZero() || f.Cluster != cluster {
		return folder{}, fmt.Errorf("%w: %s is the folder of node %q of cluster %s, this is %q of %s",
			errOptions, path, f.Name, f.Cluster, name, cluster)
	}
	return f, nil
}

// writeDurable replaces the file at path; on return it and its directory entry are on stable storage.
func writeDurable(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockFolder keeps a second process out of the folder until the file is closed.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process: %w", dir, err), f.Close())
	}
	return f, nil
}
