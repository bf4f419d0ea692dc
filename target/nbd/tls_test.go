package nbd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.key = a.newKey()
	der := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, &a.key.PublicKey)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	a.pool.AddCert(cert)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) sign(c, parent *x509.Certificate, key *ecdsa.PublicKey) []byte {
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// issue returns a certificate for localhost, fit for servers and clients.
func (a *authority) issue(name string) tls.Certificate {
	key := a.newKey()
	der := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) serverConfig() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.issue("server")}, ClientCAs: a.pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
}

func (a *authority) clientConfig(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: certs, RootCAs: a.pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// startTLS sends the option and goes on over TLS. It returns the error of the handshake.
func (c *client) startTLS(cfg *tls.Config) error {
	c.t.Helper()
	c.mustOption(optStartTLS, nil, repAck)
	conn := tls.Client(c.conn, cfg)
	c.conn = conn
	return conn.Handshake()
}

func TestTLSRequired(t *testing.T) {
	ca := newAuthority(t)
	s, addr := startServer(t, shelf{"v": newProbe(8<<20, 512)}, Options{TLS: ca.serverConfig(), TLSMode: TLSRequire})
	c := dial(t, addr, clientFixedNewstyle)
	for _, o := range []option{optList, optInfo, optGo, optStructuredReply, optExtendedHeaders, 77} {
		c.mustOption(o, nil, repErrTLSReqd)
	}
	c.mustOption(optList, make([]byte, maxOptionData+1), repErrTLSReqd)
	if err := c.startTLS(ca.clientConfig(ca.issue("client"))); err != nil {
		t.Fatal(err)
	}
	c.mustOption(optStartTLS, nil, repErrInvalid)
	c.begin("v", structured)
	c.mustWrite(0, pattern(1, 3<<20))
	c.mustRead(0, pattern(1, 3<<20))
	c.mustCall(0, cmdFlush, 0, 0, 0, nil)
	if list := s.Sessions(); len(list) != 1 || !list[0].TLS {
		t.Errorf("sessions %+v", list)
	}
	c.write(c.header(request{cmd: cmdDisc}))
	c.gone()

	c = dial(t, addr, clientFixedNewstyle)
	c.write(append(optionHeader(optExportName, 1), 'v'))
	c.gone()
	c = dial(t, addr, 0) // without fixed newstyle there is no TLS
	c.write(optionHeader(optList, 0))
	c.gone()
}

func TestTLSClientWithoutCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	_, addr := startServer(t, shelf{"v": newProbe(8<<20, 512)}, Options{TLS: ca.serverConfig(), TLSMode: TLSRequire})
	for _, certs := range [][]tls.Certificate{nil, {other.issue("stranger")}} {
		c := dial(t, addr, clientFixedNewstyle)
		if err := c.startTLS(ca.clientConfig(certs...)); err == nil {
			_, err = c.conn.Read(make([]byte, 1)) // TLS 1.3 tells the client only now
			if err == nil {
				t.Error("a client without a valid certificate was let in")
			}
		}
	}
	c := dial(t, addr, clientFixedNewstyle)
	c.mustOption(optStartTLS, nil, repAck)
	c.write(make([]byte, 100)) // not a TLS record
	c.gone()
}

// TestTLSForgetsTheClear: proto.md, "NBD_OPT_STARTTLS (5)": no state from before TLS is kept.
func TestTLSForgetsTheClear(t *testing.T) {
	ca := newAuthority(t)
	_, addr := startServer(t, shelf{"v": newProbe(8<<20, 512)}, Options{TLS: ca.serverConfig(), TLSMode: TLSAllow})
	c := dial(t, addr, clientFixedNewstyle)
	c.agree(structured)
	c.mustOption(optSetMetaContext, metaData("v", baseAllocation), repAck)
	if err := c.startTLS(ca.clientConfig(ca.issue("client"))); err != nil {
		t.Fatal(err)
	}
	c.begin("v", simple)
	c.mustRead(0, make([]byte, 4096)) // a simple reply
	c.mustCall(eINVAL, cmdBlockStatus, 0, 0, 4096, nil)

	clear := attach(t, addr, "v", simple) // allowed, not required
	clear.mustRead(0, make([]byte, 512))
}

func TestTLSMode(t *testing.T) {
	for _, m := range []TLSMode{TLSOff, TLSAllow, TLSRequire} {
		if got, err := ParseTLSMode(m.String()); got != m || err != nil {
			t.Errorf("%v became %v, %v", m, got, err)
		}
	}
	if _, err := ParseTLSMode("maybe"); err == nil {
		t.Error("a mode that does not exist was accepted")
	}
}

// TestCloseWithTLS: an idle TLS client does not hold up Close.
func TestCloseWithTLS(t *testing.T) {
	ca := newAuthority(t)
	s, addr := startServer(t, shelf{"v": newProbe(8<<20, 512)}, Options{TLS: ca.serverConfig(), TLSMode: TLSRequire})
	c := dial(t, addr, clientFixedNewstyle)
	if err := c.startTLS(ca.clientConfig(ca.issue("client"))); err != nil {
		t.Fatal(err)
	}
	c.begin("v", extended)
	c.mustRead(0, make([]byte, 512))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	c.gone()
}
