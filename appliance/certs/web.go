package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	webCertFile    = "web.crt"
	webKeyFile     = "web.key"
	webRenewBefore = 30 * 24 * time.Hour
)

// Web is the certificate of an admin port: people and commands trust it by its fingerprint, or by having the file.
type Web struct {
	Certificate tls.Certificate
	PEM         []byte
	Fingerprint string // SHA-256 of the certificate, hexadecimal
}

// OpenWeb reads the certificate of the admin port in folder dir. It is made, for names (host names and addresses), when
// there is none, and made anew when it is near its end. A person may put one of their own there.
func OpenWeb(dir string, names []string, now time.Time) (*Web, error) {
	w, err := readWeb(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case !ownMade(w.Certificate.Leaf) || now.Add(webRenewBefore).Before(w.Certificate.Leaf.NotAfter):
		return w, nil
	}
	if err := makeWeb(dir, names, now); err != nil {
		return nil, fmt.Errorf("certificate of the admin port: %w", err)
	}
	return readWeb(dir)
}

// WebFiles returns the paths of certificate and key in a folder of OpenWeb.
func WebFiles(dir string) (cert, key string) {
	return filepath.Join(dir, webCertFile), filepath.Join(dir, webKeyFile)
}

const webSubject = "Weir admin"

// ownMade reports whether c is one that makeWeb has made, which may be replaced.
func ownMade(c *x509.Certificate) bool { return c.Subject.CommonName == webSubject }

func readWeb(dir string) (*Web, error) {
	chain, err := os.ReadFile(filepath.Join(dir, webCertFile))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, webKeyFile))
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the admin port in %s: %w", dir, err)
	}
	sum := sha256.Sum256(c.Leaf.Raw)
	return &Web{Certificate: c, PEM: chain, Fingerprint: hex.EncodeToString(sum[:])}, nil
}

func makeWeb(dir string, names []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: webSubject},
		NotBefore: now.Add(-clockSkew), NotAfter: now.AddDate(0, 0, leafDays),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []string{webKeyFile, webCertFile} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.Join(writeKey(filepath.Join(dir, webKeyFile), key), writePEM(filepath.Join(dir, webCertFile), "CERTIFICATE", der, 0o644))
}
