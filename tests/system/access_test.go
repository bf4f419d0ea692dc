package system

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/tests/harness"
)

// authority signs certificates, in files as libnbd wants them.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature})
	return a
}

// sign makes a key and a certificate; the first one signs itself.
func (a *authority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue writes NAME-cert.pem and NAME-key.pem with a certificate for name, and ca-cert.pem.
func (a *authority) issue(dir, file, name string) {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca-cert.pem": {Type: "CERTIFICATE", Bytes: a.cert.Raw}, file + "-cert.pem": {Type: "CERTIFICATE", Bytes: cert.Raw},
		file + "-key.pem": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// fails runs a program that has to fail and returns what it printed.
func fails(t *testing.T, ctx context.Context, args ...string) string {
	t.Helper()
	out, err := harness.Run(ctx, args...)
	if err == nil {
		t.Errorf("%s did not fail:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// wants checks that a message says what it shall.
func wants(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(message, p) {
			t.Errorf("%q is not in:\n%s", p, message)
		}
	}
}

// logOf returns what a process of ours has logged; events are in it.
func logOf(t *testing.T, d *harness.Daemon) string {
	t.Helper()
	b, err := os.ReadFile(d.Log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TLS at the NBD door: who has no certificate of the authority stays outside, names are let in volume by volume, and
// certificates are read again when their files change.
func TestTLS(t *testing.T) {
	need(t, "nbdinfo", "qemu-img")
	ctx := testContext(t, 3*time.Minute)
	ca, dir := newAuthority(t), t.TempDir()
	ca.issue(dir, "server", "gateway")
	ca.issue(dir, "client", "web")
	at := func(f string) string { return filepath.Join(dir, f) }
	d := start(t, ctx, upSpec(t, "--volume", "v:8M", "--nbd-tls", "require", "--nbd-tls-cert", at("server-cert.pem"),
		"--nbd-tls-key", at("server-key.pem"), "--nbd-tls-clients", at("ca-cert.pem")))
	uri := func(dir string) string { return "nbds://" + d.Addresses.NBD + "/v?tls-certificates=" + dir }
	if got := strings.TrimSpace(run(t, ctx, "nbdinfo", "--size", uri(dir))); got != "8388608" {
		t.Errorf("size %s over TLS", got)
	}
	tls := "--object=tls-creds-x509,id=t,endpoint=client,dir=" + dir
	host, port, _ := net.SplitHostPort(d.Addresses.NBD)
	run(t, ctx, "qemu-img", "info", tls, "--image-opts", "driver=nbd,host="+host+",port="+port+",export=v,tls-creds=t")
	fails(t, ctx, "nbdinfo", "--size", nbdURI(d, "v"))
	stranger := t.TempDir()
	newAuthority(t).issue(stranger, "client", "web")
	ca.issue(stranger, "unused", "x") // the right ca-cert.pem, the wrong client certificate
	fails(t, ctx, "nbdinfo", "--size", uri(stranger))

	weir(t, ctx, d, "volume", "access", "set", "v", "--tls", "backup,ro")
	fails(t, ctx, "nbdinfo", "--size", uri(dir))
	wants(t, fails(t, ctx, "qemu-img", "info", tls, "--image-opts", "driver=nbd,host="+host+",port="+port+",export=v,tls-creds=t"),
		"volume v can not be attached by web")
	weir(t, ctx, d, "volume", "access", "set", "v", "--tls", "backup,ro", "--tls", "web")
	run(t, ctx, "nbdinfo", "--size", uri(dir))
	reader := t.TempDir()
	ca.issue(reader, "client", "backup")
	run(t, ctx, "nbdinfo", "--is", "read-only", uri(reader))

	next := newAuthority(t) // the door gets a certificate of another authority, and asks for clients of that
	next.issue(dir, "server", "gateway")
	fails(t, ctx, "nbdinfo", "--size", uri(reader))
	next.issue(dir, "client", "web")
	run(t, ctx, "nbdinfo", "--size", uri(dir))
	if err := os.WriteFile(at("server-cert.pem"), []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "nbdinfo", "--size", uri(dir)) // the door goes on with what it has
	wants(t, logOf(t, d), "the NBD door goes on with the certificates that it has")
}

// A door without certificates of its own makes one, which a client can trust.
func TestOwnCertificate(t *testing.T) {
	need(t, "nbdinfo")
	ctx := testContext(t, 2*time.Minute)
	d := start(t, ctx, upSpec(t, "--volume", "v:8M", "--nbd-tls", "allow"))
	dir := t.TempDir()
	cert, err := os.ReadFile(filepath.Join(d.Data, "nbd-tls", "web.crt"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ca-cert.pem"), cert, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "nbdinfo", "--size", "nbds://"+d.Addresses.NBD+"/v?tls-certificates="+dir)
	run(t, ctx, "nbdinfo", "--size", nbdURI(d, "v"))
}

const (
	chapSecret   = "correct horse 1"
	targetSecret = "battery staple 2"
)

// CHAP with initiators that others wrote, one-way and mutual; no secret is on disk, in the log or in an answer in clear;
// the rules, and a reservation that is to be kept, outlive a kill.
func TestCHAP(t *testing.T) {
	need(t, "iscsi-ls", "iscsi-inq", "qemu-img")
	ctx := testContext(t, 3*time.Minute)
	spec := upSpec(t, "--volume", "v:8M")
	d := start(t, ctx, spec)
	dir := t.TempDir()
	secret := strings.ReplaceAll(chapSecret, " ", "-")
	mutual := strings.ReplaceAll(targetSecret, " ", "-")
	for name, s := range map[string]string{"alice": secret, "gateway": mutual} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shown := weir(t, ctx, d, "volume", "access", "set", "v", "--user", "alice="+filepath.Join(dir, "alice"),
		"--mutual", "gateway="+filepath.Join(dir, "gateway"))
	shown += weir(t, ctx, d, "volume", "access", "show", "v", "--json")
	wants(t, shown, "alice", "gateway")
	uri := func(user string, query string) string {
		return "iscsi://" + user + d.Addresses.ISCSI + "/iqn.2026-11.io.weir:v/0" + query
	}
	check := func() {
		t.Helper()
		good := uri("alice%"+secret+"@", "")
		wants(t, run(t, ctx, "iscsi-ls", "--show-luns", "iscsi://alice%"+secret+"@"+d.Addresses.ISCSI), "iqn.2026-11.io.weir:v ", "Lun:0")
		wants(t, run(t, ctx, "iscsi-inq", good), "DIRECT_ACCESS")
		wants(t, run(t, ctx, "qemu-img", "info", "-f", "raw", good), "8 MiB")
		run(t, ctx, "iscsi-inq", uri("alice%"+secret+"@", "?target_user=gateway&target_password="+mutual))
	}
	check()
	fails(t, ctx, "iscsi-inq", uri("", ""))
	fails(t, ctx, "iscsi-inq", uri("alice%wrong-secret-12@", ""))
	fails(t, ctx, "iscsi-inq", uri("mallory%"+secret+"@", ""))
	fails(t, ctx, "iscsi-inq", uri("alice%"+secret+"@", "?target_user=gateway&target_password=not-the-secret"))
	wants(t, fails(t, ctx, "qemu-img", "info", "-f", "raw", nbdURI(d, "v")), "none for this door")

	opt := initiator.Options{User: "alice", Secret: secret}
	i, err := initiator.Dial(ctx, d.Addresses.ISCSI, "iqn.2026-11.io.weir:v", opt)
	if err != nil {
		t.Fatal(err)
	}
	reserveAndKeep(t, i)
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = i.Logout() // its connection has ended
	d = start(t, ctx, spec)
	check()
	other := opt
	other.Name = "iqn.2026-11.io.weir.test:other"
	i, err = initiator.Dial(ctx, d.Addresses.ISCSI, "iqn.2026-11.io.weir:v", other)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.WriteAt(make([]byte, 512), 0, false); err == nil {
		t.Error("the reservation is not there after a restart")
	}
	_ = i.Logout()
	for _, s := range []string{secret, mutual} {
		if strings.Contains(shown, s) {
			t.Error("a secret is shown")
		}
		inClear(t, d, s)
	}
}

// reserveAndKeep registers a key with APTPL and reserves write exclusive; SPC-4, section 6.16.
func reserveAndKeep(t *testing.T, i *initiator.Session) {
	t.Helper()
	register := make([]byte, 24)
	register[15], register[20] = 0x42, 1
	take := make([]byte, 24)
	take[7] = 0x42
	for _, c := range []struct{ cdb, param []byte }{{[]byte{0: 0x5f, 8: 24, 9: 0}, register}, {[]byte{0: 0x5f, 1: 1, 2: 1, 8: 24, 9: 0}, take}} {
		if _, err := i.Command(c.cdb, c.param, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// inClear looks for a secret in the data folder, volumes included, and in the log.
func inClear(t *testing.T, d *harness.Daemon, secret string) {
	t.Helper()
	look := func(path string) error {
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte(secret)) {
			t.Errorf("a secret is in clear in %s", path)
		}
		return err
	}
	err := filepath.WalkDir(filepath.Join(d.Data, "access"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return look(path)
	})
	if err == nil {
		err = look(d.Log)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A second writer, at either door, is refused and told what to do; that helps.
func TestSecondWriterIsTold(t *testing.T) {
	need(t, "nbdinfo", "nbdcopy", "qemu-img")
	ctx := testContext(t, 3*time.Minute)
	socket := filepath.Join(t.TempDir(), "nbd.sock")
	d := start(t, ctx, upSpec(t, "--volume", "v:64M", "--nbd", "127.0.0.1:0,unix:"+socket))
	sample := sampleImage(t, 64<<20)
	run(t, ctx, "nbdcopy", "--connections=4", sample, nbdURI(d, "v")) // several connections are one client
	run(t, ctx, "nbdcopy", "--connections=4", "nbd+unix:///v?socket="+socket, filepath.Join(t.TempDir(), "back"))

	i, err := initiator.Dial(ctx, d.Addresses.ISCSI, "iqn.2026-11.io.weir:v", initiator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	told := fails(t, ctx, "qemu-img", "info", "-f", "raw", nbdURI(d, "v"))
	wants(t, told, "in use for writing by initiator", "weir session drop", "weir volume access set v --sharing on")
	fails(t, ctx, "nbdinfo", "--map", nbdURI(d, "v"))
	run(t, ctx, "nbdinfo", "--list", "nbd://"+d.Addresses.NBD) // to look is not to attach

	var list []api.Session
	if err := json.Unmarshal([]byte(weir(t, ctx, d, "session", "list", "--json")), &list); err != nil || len(list) != 1 || list[0].Door != "iscsi" {
		t.Fatalf("sessions %+v, %v", list, err)
	}
	weir(t, ctx, d, "session", "drop", list[0].ID)
	run(t, ctx, "nbdinfo", "--map", nbdURI(d, "v"))
	_ = i.Logout() // its session was dropped

	c := dialNBD(t, d, "v")
	if _, err := initiator.Dial(ctx, d.Addresses.ISCSI, "iqn.2026-11.io.weir:v", initiator.Options{}); err == nil {
		t.Error("an iSCSI writer was let in beside an NBD writer")
	}
	wants(t, logOf(t, d), "was refused", "weir session drop")
	weir(t, ctx, d, "volume", "access", "set", "v", "--sharing", "on")
	run(t, ctx, "qemu-img", "info", "-f", "raw", iscsiURI(d, "v"))
	if err := c.ReadAt(make([]byte, 512), 0); err != nil {
		t.Error(err)
	}
}
