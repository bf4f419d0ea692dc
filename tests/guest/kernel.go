package guest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// run runs a program of this machine and returns what it printed.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

var imagePackage = regexp.MustCompile(`(?m)^\s*Depends: (linux-image-\S+)`)

// kernelPackage names the newest kernel package that meta depends on, and its version.
func kernelPackage(ctx context.Context, meta string) (name, version string, err error) {
	out, err := run(ctx, "", "apt-cache", "depends", meta)
	if err != nil {
		if _, err := run(ctx, "", "apt-get", "update", "-q"); err != nil {
			return "", "", err
		}
		if out, err = run(ctx, "", "apt-cache", "depends", meta); err != nil {
			return "", "", err
		}
	}
	m := imagePackage.FindStringSubmatch(out)
	if m == nil {
		return "", "", fmt.Errorf("%s depends on no kernel: %q", meta, out)
	}
	out, err = run(ctx, "", "apt-cache", "policy", m[1])
	if err != nil {
		return "", "", err
	}
	_, rest, _ := strings.Cut(out, "Candidate: ")
	version, _, _ = strings.Cut(rest, "\n")
	return m[1], version, nil
}

// unpackKernel downloads package name into dir, unpacks it there and returns the path of the kernel and the modules
// in the order in which they are to be loaded.
func unpackKernel(ctx context.Context, dir, name string, modules []string) (kernel string, load []string, err error) {
	if _, err = run(ctx, dir, "apt-get", "download", "-q", name); err != nil {
		return "", nil, err
	}
	debs, _ := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
	if len(debs) != 1 {
		return "", nil, fmt.Errorf("download of %s left %d packages", name, len(debs))
	}
	root := filepath.Join(dir, "root")
	if _, err = run(ctx, "", "dpkg-deb", "-x", debs[0], root); err != nil {
		return "", nil, err
	}
	release := strings.TrimPrefix(name, "linux-image-")
	if _, err = run(ctx, "", "/sbin/depmod", "-b", root, release); err != nil {
		return "", nil, err
	}
	folder := filepath.Join(root, "lib/modules", release)
	dep, err := os.ReadFile(filepath.Join(folder, "modules.dep"))
	if err != nil {
		return "", nil, err
	}
	load, err = loadOrder(string(dep), modules)
	for i := range load {
		load[i] = filepath.Join(folder, load[i])
	}
	return filepath.Join(root, "boot/vmlinuz-"+release), load, err
}

// loadOrder reads modules.dep, "MODULE: DEPENDENCY…" with the nearest dependency first.
func loadOrder(dep string, wanted []string) ([]string, error) {
	var order []string
	seen := map[string]bool{}
	for _, w := range wanted {
		found := false
		for line := range strings.Lines(dep) {
			module, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
			if filepath.Base(module) != w+".ko" {
				continue
			}
			found = true
			chain := append([]string{module}, strings.Fields(needs)...)
			for i := len(chain) - 1; i >= 0; i-- {
				if !seen[chain[i]] {
					seen[chain[i]] = true
					order = append(order, chain[i])
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("the kernel has no module %s", w)
		}
	}
	return order, nil
}
