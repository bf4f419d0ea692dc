package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed init.sh
var initScript []byte

// Recipe says what an image is made of.
type Recipe struct {
	Kernel   string   // Debian package that depends on the kernel's
	Modules  []string // loaded in this order, with what they depend on
	Programs []string // copied into the guest, with their libraries
	Files    []string // copied into the guest too, each with its libraries if it has any
	Packages []string // that the parts come from; their versions name the image
}

// Default has the clients of both doors, two file systems and a database.
var Default = Recipe{
	Kernel:   "linux-image-cloud-amd64",
	Modules:  []string{"virtio_pci", "virtio_net", "virtio_blk", "virtio-rng", "sd_mod", "iscsi_tcp", "nbd", "xfs", "crc32c-intel"},
	Programs: []string{"iscsid", "iscsiadm", "nbd-client", "mke2fs", "e2fsck", "mkfs.xfs", "xfs_repair", "sqlite3"},
	Packages: []string{"busybox-static", "open-iscsi", "nbd-client", "e2fsprogs", "xfsprogs", "sqlite3", "libc6"},
}

// Image is a kernel and an initramfs, ready to boot.
type Image struct {
	Kernel string // path
	Initrd string // path
}

// Prepare returns the image of Default.
func Prepare(ctx context.Context, cache string) (*Image, error) { return Default.Prepare(ctx, cache) }

// Prepare returns the image for the package versions installed here, built in cache when it is not there yet.
// Processes that prepare the same image at the same time wait for each other.
func (r Recipe) Prepare(ctx context.Context, cache string) (*Image, error) {
	kernel, version, err := kernelPackage(ctx, r.Kernel)
	if err != nil {
		return nil, err
	}
	key, err := run(ctx, "", append([]string{"dpkg-query", "-W"}, r.Packages...)...)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(key, kernel, version, string(initScript), r)))
	dir := filepath.Join(cache, fmt.Sprintf("%x", sum[:8]))
	image := &Image{Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd")}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return image, nil
	}
	return image, r.build(ctx, dir, kernel)
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// build makes the image in a folder beside dir and renames it, so that dir is whole or absent.
func (r Recipe) build(ctx context.Context, dir, kernelPackage string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), "guest-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	kernel, load, err := unpackKernel(ctx, work, kernelPackage, r.Modules)
	if err != nil {
		return err
	}
	initrd, err := r.initramfs(ctx, load)
	if err != nil {
		return err
	}
	out := filepath.Join(work, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "initrd"), initrd, 0o644); err != nil {
		return err
	}
	if err := os.Rename(kernel, filepath.Join(out, "vmlinuz")); err != nil {
		return err
	}
	return os.Rename(out, dir)
}

func (r Recipe) initramfs(ctx context.Context, load []string) ([]byte, error) {
	var buf bytes.Buffer
	a := newArchive(&buf)
	if err := addBase(a); err != nil {
		return nil, err
	}
	if err := addModules(a, load); err != nil {
		return nil, err
	}
	if err := r.addPrograms(ctx, a); err != nil {
		return nil, err
	}
	if err := a.close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func addBase(a *archive) error {
	for _, dir := range []string{"etc/iscsi", "usr/local/bin", "usr/lib", "usr/sbin", "usr/bin"} {
		if err := a.dir(dir); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"} {
		if err := a.link(name, to); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	return errFirst(
		a.file("usr/bin/busybox", 0o755, data),
		a.link("usr/bin/sh", "busybox"),
		a.file("init", 0o755, initScript),
		a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\n")),
		a.file("etc/mtab", 0o644, nil),
		a.file("etc/iscsi/initiatorname.iscsi", 0o644, []byte("InitiatorName=iqn.2026-11.io.weir:guest\n")),
		a.file("etc/iscsi/iscsid.conf", 0o644, []byte("node.startup = manual\nnode.session.timeo.replacement_timeout = 120\n")),
	)
}

func addModules(a *archive, load []string) error {
	var order strings.Builder
	for _, path := range load {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := a.file("modules/"+filepath.Base(path), 0o644, data); err != nil {
			return err
		}
		fmt.Fprintln(&order, filepath.Base(path))
	}
	return a.file("modules/order", 0o644, []byte(order.String()))
}

var library = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// addPrograms adds the programs and files, and every library that the loader finds for them. Places below /lib are
// those below /usr/lib, as on this machine.
func (r Recipe) addPrograms(ctx context.Context, a *archive) error {
	seen := map[string]bool{}
	add := func(path string) error {
		if strings.HasPrefix(path, "/lib") {
			path = "/usr" + path
		}
		if seen[path] {
			return nil
		}
		seen[path] = true
		return a.copy(path)
	}
	whole := slices.Clone(r.Files)
	for _, name := range r.Programs {
		p, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		whole = append(whole, p)
	}
	for _, path := range whole {
		out, _ := run(ctx, "", "ldd", path) // fails on what is not a program
		if err := add(path); err != nil {
			return err
		}
		for _, m := range library.FindAllStringSubmatch(out, -1) {
			if err := add(m[1]); err != nil {
				return err
			}
		}
	}
	return errFirst(
		add("/lib/x86_64-linux-gnu/libgcc_s.so.1"), // loaded by pthread_cancel, which ldd does not show
		a.copy("/etc/mke2fs.conf"),
		a.link("usr/sbin/mkfs.ext4", "mke2fs"),
	)
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
