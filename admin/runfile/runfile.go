package runfile

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstor/weir/admin/api"
)

const (
	runFolder     = "run"
	addressesName = "addresses.json"
	tokenName     = "token"
	certName      = "admin.crt"
	tokenBytesMax = 256
)

// ErrNoDaemon says that no daemon has left its addresses where they were looked for.
var ErrNoDaemon = errors.New("no running daemon found")

// Daemon is where a daemon is reached.
type Daemon struct {
	Addresses   api.Addresses
	Token       string
	Certificate []byte // PEM; of an admin port with TLS, empty without
}

// NewToken returns a fresh bearer token.
func NewToken() string { return "weir_" + rand.Text() }

// Announcement is what a daemon has written about itself.
type Announcement struct {
	files []string
}

// Announce writes addresses and token below the data folder, and the pointer to it. A cache folder that can not be
// written is no failure: commands then need --data.
func Announce(data string, d Daemon) (*Announcement, error) {
	dir := filepath.Join(data, runFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	b, err := json.MarshalIndent(d.Addresses, "", "  ")
	if err != nil {
		return nil, err
	}
	a := &Announcement{}
	if err := a.write(filepath.Join(dir, tokenName), []byte(d.Token+"\n")); err != nil {
		return nil, err
	}
	certificate := filepath.Join(dir, certName)
	if err := os.Remove(certificate); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("run file: %w", err) // of an earlier start
	}
	if len(d.Certificate) > 0 {
		if err := a.write(certificate, d.Certificate); err != nil {
			return nil, err
		}
	}
	if err := a.write(filepath.Join(dir, addressesName), append(b, '\n')); err != nil {
		a.Withdraw()
		return nil, err
	}
	if p, err := pointerPath(d.Addresses.Admin); err == nil && d.Addresses.Admin != "" {
		a.point(p, data)
	}
	return a, nil
}

// point leaves the pointer from the admin address to the data folder.
func (a *Announcement) point(path, data string) {
	abs, err := filepath.Abs(data)
	if err != nil || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	if b, err := json.Marshal(pointer{Data: abs}); err == nil {
		_ = a.write(path, b) // only a convenience
	}
}

// write replaces path as one step; the reader of a running daemon never sees half a file.
func (a *Announcement) write(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("run file: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("run file: %w", err)
	}
	a.files = append(a.files, path)
	return nil
}

// Withdraw removes what Announce wrote.
func (a *Announcement) Withdraw() {
	for _, f := range a.files {
		_ = os.Remove(f) // gone already, or replaced by a later daemon that overwrites it anyway
	}
}

type pointer struct {
	Data string `json:"data"`
}

func pointerPath(address string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := strings.NewReplacer(":", "_", "/", "_", "%", "_").Replace(address) + ".json"
	return filepath.Join(cache, "weir", "run", name), nil
}

// InFolder reads what a daemon has written below its data folder.
func InFolder(data string) (Daemon, error) {
	var d Daemon
	b, err := os.ReadFile(filepath.Join(data, runFolder, addressesName))
	if errors.Is(err, os.ErrNotExist) {
		return d, fmt.Errorf("%w in %s", ErrNoDaemon, data)
	}
	if err != nil {
		return d, fmt.Errorf("addresses of the daemon: %w", err)
	}
	if err := json.Unmarshal(b, &d.Addresses); err != nil {
		return d, fmt.Errorf("addresses of the daemon: %w", err)
	}
	d.Certificate, err = os.ReadFile(filepath.Join(data, runFolder, certName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return d, fmt.Errorf("certificate of the daemon: %w", err)
	}
	d.Token, err = readToken(filepath.Join(data, runFolder, tokenName))
	return d, err
}

// At reads what the daemon of this user that listens at address has written; ErrNoDaemon when there is none.
func At(address string) (Daemon, error) {
	path, err := pointerPath(address)
	if err != nil {
		return Daemon{}, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Daemon{}, fmt.Errorf("%w at %s", ErrNoDaemon, address)
	}
	var p pointer
	if err := json.Unmarshal(b, &p); err != nil {
		return Daemon{}, fmt.Errorf("%s: %w", path, err)
	}
	d, err := InFolder(p.Data)
	if err == nil && d.Addresses.Admin != address {
		return Daemon{}, fmt.Errorf("%w at %s", ErrNoDaemon, address)
	}
	return d, err
}

func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("token of the daemon: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > tokenBytesMax {
		return "", fmt.Errorf("token of the daemon: %s is not a token file", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token of the daemon: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
