package disk

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/target/nbd/client"
)

// Limits of one request, and what proto.md, section "Transmission flags", calls NBD_FLAG_SEND_WRITE_ZEROES.
const (
	nbdPort            = "10809"
	nbdRequestMax      = 1 << 20  // of payload, bytes
	nbdZeroMax         = 32 << 20 // of one WRITE_ZEROES, bytes
	nbdFlagWriteZeroes = 1 << 6
)

// export is an export of an NBD server. The server grants no exclusive use: whoever else writes to it is noticed by
// leaves. Once its connection has ended every call fails; the disk is opened again then.
type export struct{ c *client.Client }

// openNBD connects to nbd://HOST[:PORT]/EXPORT.
func openNBD(place string) (Backing, bool, error) {
	addr, name, err := parseNBD(place)
	if err != nil {
		return nil, false, err
	}
	c, err := client.Dial(addr, name)
	if err != nil {
		return nil, false, fmt.Errorf("open disk: %w", err)
	}
	switch {
	case c.Flags&client.FlagReadOnly != 0:
		err = fmt.Errorf("%w: %s is read-only", ErrSpec, place)
	case c.Flags&client.FlagFlush == 0:
		err = fmt.Errorf("%w: %s can not flush, so nothing on it is known to be durable", ErrSpec, place)
	}
	if err != nil {
		return nil, false, errors.Join(err, c.Close())
	}
	return &export{c: c}, false, nil
}

// parseNBD takes an NBD URI apart (the NetworkBlockDevice project's uri.md); of its schemes nbd alone is known.
func parseNBD(place string) (addr, name string, err error) {
	u, err := url.Parse(place)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if u.Scheme != "nbd" || u.Hostname() == "" {
		return "", "", fmt.Errorf("%w: %q is not of the form nbd://HOST[:PORT]/EXPORT", ErrSpec, place)
	}
	port := u.Port()
	if port == "" {
		port = nbdPort
	}
	return net.JoinHostPort(u.Hostname(), port), strings.TrimPrefix(u.Path, "/"), nil
}

func (e *export) size() int64 { return int64(e.c.Size) }

func (e *export) ReadAt(p []byte, off int64) error {
	if room := max(0, e.size()-off); int64(len(p)) > room {
		clear(p[room:])
		p = p[:room]
	}
	for len(p) > 0 {
		n := min(len(p), nbdRequestMax)
		if err := e.c.ReadAt(p[:n], off); err != nil {
			return fmt.Errorf("read disk at %d+%d: %w", off, n, err)
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (e *export) WriteAt(p []byte, off int64) error {
	for len(p) > 0 {
		n := min(len(p), nbdRequestMax)
		if err := e.c.WriteAt(p[:n], off, false); err != nil {
			return fmt.Errorf("write disk at %d+%d: %w", off, n, err)
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (e *export) Zero(off, n int64) error {
	fast := e.c.Flags&nbdFlagWriteZeroes != 0
	var zeroes []byte
	if !fast {
		zeroes = make([]byte, min(n, 256*leaf.BlockSize))
	}
	for n > 0 {
		k := min(n, nbdZeroMax)
		var err error
		if fast {
			err = e.c.WriteZeroes(off, k, false, false)
		} else {
			k = min(n, int64(len(zeroes)))
			err = e.WriteAt(zeroes[:k], off)
		}
		if err != nil {
			return fmt.Errorf("zero disk at %d+%d: %w", off, k, err)
		}
		off, n = off+k, n-k
	}
	return nil
}

func (e *export) Sync() error {
	if err := e.c.Flush(); err != nil {
		return fmt.Errorf("sync disk: %w", err)
	}
	return nil
}

// Close says goodbye. A server that has ended the connection first has done nothing wrong.
func (e *export) Close() error {
	if err := e.c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close disk: %w", err)
	}
	return nil
}

func (e *export) Size() (int64, error) { return e.size(), nil }

func (e *export) Grow(size int64) error {
	if have := e.size(); have < size {
		return fmt.Errorf("%w: export has %d bytes, volume %d", ErrSpec, have, size)
	}
	return nil
}

func (e *export) Data(off int64) (start, end int64, err error) {
	return min(off, e.size()), e.size(), nil
}
