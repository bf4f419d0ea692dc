package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	firstFD    = 3 // sd_listen_fds(3), SD_LISTEN_FDS_START
	socketsMax = 64
)

// Take returns the listening sockets that were handed to this process, by the names that the socket units give them
// (FileDescriptorName=), which have to be among known. The second call returns none. On error all are closed.
func Take(known ...string) (map[string][]net.Listener, error) {
	pid, fds, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid != strconv.Itoa(os.Getpid()) || fds == "" {
		return nil, nil
	}
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(v); err != nil {
			return nil, err
		}
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > socketsMax {
		return nil, fmt.Errorf("socket activation: LISTEN_FDS is %q, want 0 to %d", fds, socketsMax)
	}
	return listeners(firstFD, n, strings.Split(names, ":"), known)
}

// listeners makes listeners of n descriptors from first on.
func listeners(first, n int, names, known []string) (map[string][]net.Listener, error) {
	out := make(map[string][]net.Listener)
	var errs []error
	for i := range n {
		unix.CloseOnExec(first + i)
		name := ""
		if i < len(names) {
			name = names[i]
		}
		f := os.NewFile(uintptr(first+i), name)
		l, err := net.FileListener(f) // a copy
		err = errors.Join(err, f.Close())
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("socket activation: descriptor %d (%q) is no listening socket: %w", first+i, name, err))
		case !slices.Contains(known, name):
			errs = append(errs, fmt.Errorf("socket activation: a socket is called %q, want one of %s: set FileDescriptorName= in its unit", name, strings.Join(known, ", ")), l.Close())
		default:
			out[name] = append(out[name], l)
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, list := range out {
			for _, l := range list {
				_ = l.Close()
			}
		}
		return nil, err
	}
	return out, nil
}
