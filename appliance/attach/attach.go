package attach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstor/weir/target/nbd/client"
)

// ErrArgument says that something can not be attached as asked.
var ErrArgument = errors.New("can not be attached so")

// ErrTLS says that the door wants TLS, which the kernel does not speak.
var ErrTLS = client.ErrTLSRequired

// ErrBusy says that a device is in use on this machine.
var ErrBusy = errors.New("the device is in use")

// Options say what is attached, and how.
type Options struct {
	Network, Address string // of the NBD door: "tcp" or "unix"
	Export           string // VOLUME or VOLUME@POINT
	Device           string // /dev/nbdN, or "auto" for one that is free

	Connections int           // 1 to 16; a server that can not have several gets one
	Timeout     time.Duration // for a request on one connection, then it goes to another; whole seconds
	Reconnect   time.Duration // that requests wait for a new connection when none is left, before they fail; whole seconds
}

// ConnectionsMax bounds Options.Connections.
const ConnectionsMax = 16

// Device is a volume that is a block device.
type Device struct {
	Path        string `json:"device"`
	Size        int64  `json:"size"`
	ReadOnly    bool   `json:"read_only"`
	Connections int    `json:"connections"`
}

func (o *Options) check() (index int, err error) {
	if o.Connections < 1 || o.Connections > ConnectionsMax {
		return 0, fmt.Errorf("%w: %d connections, want 1 to %d", ErrArgument, o.Connections, ConnectionsMax)
	}
	for _, d := range []time.Duration{o.Timeout, o.Reconnect} {
		if d < 0 || d%time.Second != 0 {
			return 0, fmt.Errorf("%w: %v is not a number of seconds", ErrArgument, d)
		}
	}
	if o.Device == "auto" {
		return -1, nil
	}
	return Index(o.Device)
}

// Index returns N of /dev/nbdN.
func Index(device string) (int, error) {
	digits, ok := strings.CutPrefix(filepath.Clean(device), "/dev/nbd")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil {
		return 0, fmt.Errorf("%w: device %q is not /dev/nbdN", ErrArgument, device)
	}
	return int(n), nil
}

func path(index int) string { return "/dev/nbd" + strconv.Itoa(index) }

// Attach makes a block device of an export. It stays until Detach, also when this process ends.
func Attach(ctx context.Context, opt Options) (Device, error) {
	index, err := opt.check()
	if err != nil {
		return Device{}, err
	}
	k, err := openKernel()
	if err != nil {
		return Device{}, err
	}
	defer k.close()
	sockets, info, err := opt.dial(ctx)
	if err != nil {
		return Device{}, err
	}
	defer closeFiles(sockets)
	d := device{index: index, size: info.Size, blockSize: blockSize(info), serverFlags: info.Flags, timeout: opt.Timeout, deadConn: opt.Reconnect}
	index, err = k.connect(d, sockets)
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%w: %s: %w", ErrBusy, opt.Device, err)
	}
	if err != nil {
		return Device{}, fmt.Errorf("make a block device: %w", err)
	}
	return Device{path(index), info.Size, info.Flags&client.FlagReadOnly != 0, len(sockets)}, nil
}

// blockSize is the sector size of the device: what the server asks for, at least 512 bytes.
func blockSize(info client.Info) int { return int(min(max(info.BlockMin, 512), 4096)) }

// dial makes the connections.
func (o *Options) dial(ctx context.Context) (sockets []*os.File, info client.Info, err error) {
	for n := 1; len(sockets) < n; {
		var f *os.File
		if f, info, err = o.dialOne(ctx); err != nil {
			closeFiles(sockets)
			return nil, info, err
		}
		sockets = append(sockets, f)
		if info.Flags&client.FlagMultiConn != 0 {
			n = o.Connections
		}
	}
	return sockets, info, nil
}

func (o *Options) dialOne(ctx context.Context) (*os.File, client.Info, error) {
	conn, info, err := client.Handshake(ctx, o.Network, o.Address, o.Export)
	if err != nil {
		return nil, info, err
	}
	defer conn.Close() // the file is a copy
	f, ok := conn.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, info, fmt.Errorf("%w: a %T has no descriptor", ErrArgument, conn)
	}
	file, err := f.File()
	return file, info, err
}

func closeFiles(list []*os.File) {
	for _, f := range list {
		_ = f.Close()
	}
}

// Detach ends a device after what was written to it is on stable storage. A device that is mounted, or open in another
// way that keeps it for itself, is ErrBusy, unless force is set.
func Detach(device string, force bool) error {
	index, err := Index(device)
	if err != nil {
		return err
	}
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.close()
	if err := settle(path(index), force); err != nil {
		return err
	}
	err = k.disconnect(index)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: nothing is attached at %s: %w", os.ErrNotExist, path(index), err)
	}
	return err
}

// settle writes what the page cache holds of a device.
func settle(device string, force bool) error {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%w: %s: %w", ErrBusy, device, err)
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if force {
		return nil
	}
	return err
}

// Network splits the address of an NBD door, HOST:PORT or unix:/PATH.
func Network(addr string) (network, address string, err error) {
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", p, nil
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "", "", fmt.Errorf("%w: address %q is neither HOST:PORT nor unix:/PATH: %w", ErrArgument, addr, err)
	}
	return "tcp", addr, nil
}
