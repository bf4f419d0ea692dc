package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Loaded is one identity with what it takes to prove it.
type Loaded struct {
	Identity Identity
	NotAfter time.Time
	config   *tls.Config
}

// Load reads the identity in folder dir and checks that it is signed by the authority beside it and valid now.
func Load(dir string, now time.Time) (*Loaded, error) {
	ca, err := readCert(filepath.Join(dir, caFile))
	if err != nil {
		return nil, missing(dir, err)
	}
	cert, err := readCert(filepath.Join(dir, certFile))
	if err != nil {
		return nil, missing(dir, err)
	}
	key, err := readKey(filepath.Join(dir, certKeyFile))
	if err != nil {
		return nil, missing(dir, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s: node.key does not belong to node.crt", dir)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if err := verify(cert, roots, now); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, certFile), err)
	}
	id, err := IdentityOf(cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, certFile), err)
	}
	return &Loaded{Identity: id, NotAfter: cert.NotAfter, config: &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}},
		RootCAs:      roots,
		ServerName:   ServerName(id.Cluster),
		ClientCAs:    roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}}, nil
}

func missing(dir string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("certificates in %s: %w (make them with weir cluster init or weir cert issue)", dir, err)
	}
	return err
}

func verify(cert *x509.Certificate, roots *x509.CertPool, now time.Time) error {
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var inv x509.CertificateInvalidError
	if errors.As(err, &inv) && inv.Reason == x509.Expired {
		return fmt.Errorf("valid from %s to %s, and it is %s (issue a new one with weir cert issue): %w",
			cert.NotBefore.Format(time.DateTime), cert.NotAfter.Format(time.DateTime), now.Format(time.DateTime), err)
	}
	return err
}

// TLS returns a configuration for both ends of the provider port: as client it accepts only provider nodes of the
// cluster, as server it asks for a certificate of the cluster. The caller owns it.
func (l *Loaded) TLS() *tls.Config { return l.config.Clone() }

// Info is what a certificate says, for people.
type Info struct {
	File        string    `json:"file"`
	Identity    string    `json:"identity"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"sha256"`
	Authority   bool      `json:"authority"`
}

// Show describes the certificate file at path, or those of the folder at path.
func Show(path string) ([]Info, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		i, err := showFile(path)
		return []Info{i}, err
	}
	files, err := filepath.Glob(filepath.Join(path, "*.crt"))
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, f := range files {
		i, err := showFile(f)
		if err != nil {
			return out, err
		}
		out = append(out, i)
	}
	if out == nil {
		return nil, fmt.Errorf("%s: no certificate in it", path)
	}
	return out, nil
}

func showFile(path string) (Info, error) {
	c, err := readCert(path)
	if err != nil {
		return Info{}, err
	}
	sum := sha256.Sum256(c.Raw)
	i := Info{File: path, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Fingerprint: hex.EncodeToString(sum[:]), Authority: c.IsCA}
	if len(c.URIs) == 1 {
		i.Identity = c.URIs[0].String()
	}
	return i, nil
}
