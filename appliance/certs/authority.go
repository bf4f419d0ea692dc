package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstor/weir/intercept/ident"
)

const (
	caFile      = "ca.crt"
	caKeyFile   = "ca.key"
	certFile    = "node.crt"
	certKeyFile = "node.key"

	authorityYears = 10
	leafDays       = 2 * 365
	clockSkew      = time.Hour // a certificate is valid this long before it was made
)

// Authority signs the certificates of one cluster. Safe for concurrent use.
type Authority struct {
	Cluster ident.ClusterID
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// NewAuthority makes the authority of a new cluster in folder dir, which must not hold one already.
func NewAuthority(dir string, now time.Time) (*Authority, error) {
	cluster := ident.ClusterID{UUID: ident.NewUUID()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of the authority: %w", err)
	}
	tmpl := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Weir cluster " + cluster.String()},
		URIs:                  []*url.URL{{Scheme: "weir", Host: cluster.String()}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the authority: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(dir, caKeyFile), key); err != nil {
		return nil, err
	}
	if err := writeCert(filepath.Join(dir, caFile), cert); err != nil {
		return nil, err
	}
	return &Authority{cluster, cert, key}, nil
}

// OpenAuthority reads what NewAuthority wrote.
func OpenAuthority(dir string) (*Authority, error) {
	cert, err := readCert(filepath.Join(dir, caFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	cluster, err := clusterOf(cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, caFile), err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s: ca.key does not belong to ca.crt", dir)
	}
	return &Authority{cluster, cert, key}, nil
}

// clusterOf reads the cluster from an authority's certificate.
func clusterOf(ca *x509.Certificate) (ident.ClusterID, error) {
	for _, u := range ca.URIs {
		if u.Scheme == "weir" {
			id, err := ident.ParseUUID(u.Host)
			return ident.ClusterID{UUID: id}, err
		}
	}
	return ident.ClusterID{}, fmt.Errorf("%w: authority without weir://CLUSTER", ErrIdentity)
}

// Issue makes a key and a certificate for a role and name into folder dir, which must not hold one already.
func (a *Authority) Issue(dir string, role Role, name string, now time.Time) (Identity, error) {
	id := Identity{a.Cluster, role, name}
	if err := id.valid(); err != nil {
		return id, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return id, fmt.Errorf("key of %s: %w", id, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leafTemplate(id, now), a.cert, key.Public(), a.key)
	if err != nil {
		return id, fmt.Errorf("certificate of %s: %w", id, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return id, fmt.Errorf("certificate of %s: %w", id, err)
	}
	return id, writeIdentity(dir, key, cert, a.cert)
}

func leafTemplate(id Identity, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: string(id.Role) + " " + id.Name},
		URIs:        []*url.URL{id.URI()},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.AddDate(0, 0, leafDays),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if id.Role == Node {
		t.DNSNames = []string{ServerName(id.Cluster)}
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return t
}
