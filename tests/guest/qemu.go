package guest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Config says how a guest runs.
type Config struct {
	// Script is run by busybox's shell with -e and -u, as root, with everything in tmpfs. It shall print little: the
	// serial port is slow.
	Script string
	// Files are copied into the guest: paths there, without a leading slash, by paths here.
	Files map[string]string
	// MemoryMiB is the guest's memory; 0 means 768.
	MemoryMiB int
	// Args are further arguments for QEMU.
	Args []string
}

// Run boots image, waits until the script has ended and returns its output. The error tells a script that failed from
// a guest that did not come to its end, and holds the kernel's last messages.
func (image *Image) Run(ctx context.Context, c Config) (string, error) {
	dir, err := os.MkdirTemp("", "weir-guest-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	initrd := filepath.Join(dir, "initrd")
	if err := image.withScript(initrd, c); err != nil {
		return "", err
	}
	if c.MemoryMiB == 0 {
		c.MemoryMiB = 768
	}
	console, output := filepath.Join(dir, "console"), filepath.Join(dir, "output")
	args := append([]string{
		"-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", fmt.Sprint(c.MemoryMiB), "-display", "none", "-no-reboot",
		"-nodefaults", "-kernel", image.Kernel, "-initrd", initrd,
		"-append", "console=ttyS0 quiet loglevel=4 panic=-1 rdinit=/init",
		"-serial", "file:" + console, "-serial", "file:" + output,
		"-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n", "-device", "virtio-rng-pci",
	}, c.Args...)
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	runErr := cmd.Run()
	text, _ := os.ReadFile(output)
	messages, _ := os.ReadFile(console)
	out, status, found := strings.Cut(strings.ReplaceAll(string(text), "\r", ""), "\nguest exit ")
	switch {
	case !found:
		return out, fmt.Errorf("guest did not come to its end: %v %s\noutput:\n%s\nconsole:\n%s",
			runErr, stderr.String(), tail(out), tail(string(messages)))
	case strings.TrimSpace(status) != "0":
		return out, fmt.Errorf("script ended with status %s\noutput:\n%s\nconsole:\n%s",
			strings.TrimSpace(status), tail(out), tail(string(messages)))
	}
	return out, nil
}

// withScript writes the initramfs with the script and the files behind it; the kernel unpacks one archive after the
// other.
func (image *Image) withScript(path string, c Config) error {
	base, err := os.ReadFile(image.Initrd)
	if err != nil {
		return err
	}
	buf := bytes.NewBuffer(base)
	buf.Write(make([]byte, -buf.Len()&511))
	a := newArchive(buf)
	if err := a.file("script", 0o755, []byte(c.Script)); err != nil {
		return err
	}
	for to, from := range c.Files {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := a.file(to, 0o755, data); err != nil {
			return err
		}
	}
	if err := a.close(); err != nil {
		return err
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}

func tail(s string) string {
	const max = 4000
	if len(s) > max {
		return "…" + s[len(s)-max:]
	}
	return s
}
