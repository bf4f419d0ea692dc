package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weirstor/weir/classify/engine"
)

// Off is the address of a listener that is not wanted.
const Off = "off"

// Config is everything that can be set. Fields that a role does not use are ignored by it only when they have their
// default.
type Config struct {
	Data  string `yaml:"data"`  // folder for everything that is kept
	Name  string `yaml:"name"`  // of this gateway or node
	Certs string `yaml:"certs"` // folder with ca.crt, node.crt, node.key

	Admin    string   `yaml:"admin"`     // HOST:PORT, port 0 for any, or "off"
	AdminTLS string   `yaml:"admin_tls"` // auto: outside loopback; on; off
	Hosts    []string `yaml:"hosts"`     // names besides addresses under which the page may be asked for

	// Gateway.
	NBD         string `yaml:"nbd"`
	ISCSI       string `yaml:"iscsi"`
	Doors       `yaml:",inline"`
	Providers   []string `yaml:"providers"` // HOST:PORT of some provider nodes
	Volumes     []Volume `yaml:"volumes"`
	Disks       []Disk   `yaml:"disks"`
	Epoch       Duration `yaml:"epoch"`       // seal at least so often
	EpochBytes  Size     `yaml:"epoch_bytes"` // seal at least so often
	LogBudget   Size     `yaml:"log_budget"`
	Replication Switch   `yaml:"replication"`

	Sensitivity engine.Sensitivity `yaml:"sensitivity"` // of volumes that do not have their own
	Model       string             `yaml:"model"`       // file of the model that decides about packaging; empty: the shipped one
	IndexBytes  Size               `yaml:"index_bytes"` // memory of the index of earlier content; 0: 0.1 % of the volumes and 32 MiB
	Takeover    bool               `yaml:"takeover"`    // take the group from another gateway

	// Provider.
	Listen    string `yaml:"listen"`    // HOST:PORT of the provider port
	Advertise string `yaml:"advertise"` // HOST:PORT at which others reach it; as Listen when empty
	Bootstrap bool   `yaml:"bootstrap"` // begin a new cluster with this node
	Join      string `yaml:"join"`      // HOST:PORT of a member
	Replicas  int    `yaml:"replicas"`  // replication factor of a cluster begun here; 0: the default
	KeepLast  int    `yaml:"keep_last"` // unnamed points kept of a new group; 0: the default, -1: all

	ServeNBD   string `yaml:"serve_nbd"`   // HOST:PORT at which a provider serves its clones
	ServeISCSI string `yaml:"serve_iscsi"` // the same over iSCSI
}

// Volume is a volume to open, or to make when there is none of the name.
type Volume struct {
	Name      string `yaml:"name"`
	Size      Size   `yaml:"size"`
	BlockSize int    `yaml:"block_size"`
}

// Disk is a destination disk to add when the volume does not have it yet.
type Disk struct {
	Volume string `yaml:"volume"`
	Kind   string `yaml:"kind"`
	Place  string `yaml:"place"`
	Node   string `yaml:"node"`
	Policy string `yaml:"policy"`
}

// Default returns the configuration before file and flags.
func Default() Config {
	return Config{
		Admin: "127.0.0.1:8480", AdminTLS: "auto", NBD: "127.0.0.1:10809", ISCSI: "127.0.0.1:3260", Listen: "127.0.0.1:8481",
		Epoch: Duration(time.Second), EpochBytes: 64 << 20, LogBudget: 4 << 30, Replication: true,
		ServeNBD: Off, ServeISCSI: Off,
		Doors: Doors{NBDTLS: Off},
	}
}

// DefaultBlockSize is the logical block of a volume that does not name one: what every client and guest boots from.
const DefaultBlockSize = 512

var volumeName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckVolumeName refuses names that do not fit export names, iSCSI names and file names alike.
func CheckVolumeName(name string) error {
	if !volumeName.MatchString(name) {
		return fmt.Errorf("volume name %q: want 1 to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit", name)
	}
	return nil
}

// ParseVolume reads NAME:SIZE or NAME:SIZE:BLOCKSIZE.
func ParseVolume(s string) (Volume, error) {
	part := strings.Split(s, ":")
	if len(part) < 2 || len(part) > 3 {
		return Volume{}, fmt.Errorf("volume %q: want NAME:SIZE, for example v:2G", s)
	}
	size, err := ParseSize(part[1])
	if err != nil {
		return Volume{}, fmt.Errorf("volume %q: %w", s, err)
	}
	v := Volume{Name: part[0], Size: size}
	if len(part) == 3 {
		b, err := ParseSize(part[2])
		if err != nil {
			return Volume{}, fmt.Errorf("volume %q: block size: %w", s, err)
		}
		v.BlockSize = int(b)
	}
	return v, v.check()
}

func (v *Volume) check() error {
	if v.BlockSize == 0 {
		v.BlockSize = DefaultBlockSize
	}
	if err := CheckVolumeName(v.Name); err != nil {
		return err
	}
	if v.BlockSize != 512 && v.BlockSize != 4096 {
		return fmt.Errorf("volume %s: block size %d is neither 512 nor 4096", v.Name, v.BlockSize)
	}
	if v.Size <= 0 || int64(v.Size)%int64(v.BlockSize) != 0 {
		return fmt.Errorf("volume %s: size %d is not a positive multiple of its block size %d", v.Name, int64(v.Size), v.BlockSize)
	}
	return nil
}

// ParseDisk reads VOLUME:KIND:PLACE; the place may hold colons.
func ParseDisk(s string) (Disk, error) {
	part := strings.SplitN(s, ":", 3)
	if len(part) != 3 {
		return Disk{}, fmt.Errorf("disk %q: want VOLUME:KIND:PLACE, for example v:raw:/srv/v.img", s)
	}
	d := Disk{Volume: part[0], Kind: part[1], Place: part[2]}
	return d, d.check()
}

// The kinds and policies of disks.
var (
	DiskKinds    = []string{"raw", "block", "nbd"}
	DiskPolicies = []string{"refuse", "resync", "overwrite"}
)

func (d *Disk) check() error {
	if d.Policy == "" {
		d.Policy = DiskPolicies[0]
	}
	switch {
	case d.Volume == "":
		return errors.New("disk without volume")
	case !slices.Contains(DiskKinds, d.Kind):
		return fmt.Errorf("disk of volume %s: kind %q is none of %s", d.Volume, d.Kind, strings.Join(DiskKinds, ", "))
	case d.Place == "":
		return fmt.Errorf("disk of volume %s: no place", d.Volume)
	case !slices.Contains(DiskPolicies, d.Policy):
		return fmt.Errorf("disk of volume %s: policy %q is none of %s", d.Volume, d.Policy, strings.Join(DiskPolicies, ", "))
	}
	return nil
}

// check looks at what every role needs.
func (c *Config) check() error {
	var errs []error
	for name, addr := range map[string]string{"admin": c.Admin, "listen": c.Listen,
		"serve_nbd": c.ServeNBD, "serve_iscsi": c.ServeISCSI} {
		errs = append(errs, checkAddress(name, addr))
	}
	errs = append(errs, c.checkDoors())
	for _, p := range c.Providers {
		errs = append(errs, checkAddress("providers", p))
	}
	seen := make(map[string]bool)
	for i := range c.Volumes {
		errs = append(errs, c.Volumes[i].check())
		if seen[c.Volumes[i].Name] {
			errs = append(errs, fmt.Errorf("volume %s is named twice", c.Volumes[i].Name))
		}
		seen[c.Volumes[i].Name] = true
	}
	for i := range c.Disks {
		errs = append(errs, c.Disks[i].check())
	}
	if !slices.Contains([]string{"auto", "on", "off"}, c.AdminTLS) {
		errs = append(errs, fmt.Errorf("admin TLS is %q, want auto, on or off", c.AdminTLS))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("no data folder: give --data DIR or data: in the file"))
	}
	if c.Epoch < Duration(10*time.Millisecond) {
		errs = append(errs, fmt.Errorf("epoch %v is shorter than 10ms", c.Epoch))
	}
	if c.EpochBytes < 1<<20 || c.LogBudget < 4*c.EpochBytes {
		errs = append(errs, fmt.Errorf("epoch bytes %v and log budget %v: want at least 1 MiB, and a log of at least four epochs", c.EpochBytes, c.LogBudget))
	}
	return errors.Join(errs...)
}

func checkAddress(name, addr string) error {
	if addr == Off {
		return nil
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%s: %q is neither HOST:PORT nor off: %w", name, addr, err)
	}
	return nil
}

// CheckUp looks at a gateway with its own provider.
func (c *Config) CheckUp() error {
	if len(c.Providers) > 0 || c.Join != "" {
		return errors.New("weir up brings its own provider; use weir gateway --providers for another one")
	}
	return c.check()
}

// CheckGateway looks at a gateway.
func (c *Config) CheckGateway() error {
	if len(c.Providers) == 0 {
		return errors.New("a gateway needs --providers, HOST:PORT of one provider node or more")
	}
	return c.check()
}

// CheckProvider looks at a provider node.
func (c *Config) CheckProvider() error {
	switch {
	case c.Listen == Off || c.Listen == "":
		return errors.New("a provider needs --listen HOST:PORT")
	case c.Bootstrap && c.Join != "":
		return errors.New("--bootstrap begins a cluster and --join enters one: give one of them")
	case len(c.Volumes)+len(c.Disks)+len(c.Providers) > 0:
		return errors.New("volumes, disks and providers are a gateway's to configure")
	}
	return c.check()
}
