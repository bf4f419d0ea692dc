package appliance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/appliance/config"
)

// doorTLS holds the certificates of the NBD door. Files that change are read again at the next client.
type doorTLS struct {
	cert, key, clients string // paths; clients may be empty
	failed             func(error)

	mu struct {
		sync.Mutex
		stamps [3]fileStamp // of the files when they were last read
		config *tls.Config
	}
}

// fileStamp tells one content of a file from another.
type fileStamp struct {
	size  int64
	mtime time.Time
	inode uint64
}

// openDoorTLS reads the certificates that are configured. Without any, Weir makes one for names.
func (s *System) openDoorTLS(names []string) (*doorTLS, error) {
	d := &doorTLS{cert: s.cfg.NBDTLSCert, key: s.cfg.NBDTLSKey, clients: s.cfg.NBDTLSClients}
	d.failed = func(err error) {
		s.event("warning", "nbd.tls", "the NBD door goes on with the certificates that it has: "+err.Error())
	}
	if d.cert == "" {
		dir := filepath.Join(s.cfg.Data, "nbd-tls")
		w, err := certs.OpenWeb(dir, names, time.Now())
		if err != nil {
			return nil, err
		}
		d.cert, d.key = certs.WebFiles(dir)
		s.log.Info("the NBD door has a certificate of its own making", "file", d.cert, "certificate sha256", w.Fingerprint)
	}
	d.mu.stamps = d.look()
	var err error
	d.mu.config, err = d.load()
	return d, err
}

// current returns the certificates for a client that has just come; see tls.Config.GetConfigForClient.
func (d *doorTLS) current(*tls.ClientHelloInfo) (*tls.Config, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.look()
	if now == d.mu.stamps {
		return d.mu.config, nil
	}
	d.mu.stamps = now
	next, err := d.load()
	if err != nil {
		d.failed(err) // once for each change
		return d.mu.config, nil
	}
	d.mu.config = next
	return next, nil
}

// look returns what the files look like. One that can not be looked at has the zero stamp.
func (d *doorTLS) look() (out [3]fileStamp) {
	for i, path := range []string{d.cert, d.key, d.clients} {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		out[i] = fileStamp{size: info.Size(), mtime: info.ModTime()}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			out[i].inode = st.Ino
		}
	}
	return out
}

// load reads the files.
func (d *doorTLS) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(d.cert, d.key)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate of the NBD door: %w", api.ErrInvalid, err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if d.clients == "" {
		return out, nil
	}
	b, err := os.ReadFile(d.clients)
	if err != nil {
		return nil, fmt.Errorf("%w: authorities of NBD clients: %w", api.ErrInvalid, err)
	}
	out.ClientCAs, out.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !out.ClientCAs.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%w: authorities of NBD clients: no certificate in %s", api.ErrInvalid, d.clients)
	}
	return out, nil
}

// knowsTLSClients reports whether client certificates can be checked.
func (s *System) knowsTLSClients() bool {
	return s.cfg.NBDTLSClients != "" && s.cfg.NBDTLS != config.Off
}
