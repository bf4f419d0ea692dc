package system

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/nbd/client"
	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/stamp"
)

// errLost is the outcome of a request whose connection ended before the answer.
var errLost = errors.New("connection lost")

// nbdDevice is an NBD connection as the stamped workload uses it.
type nbdDevice struct{ *client.Client }

func (d nbdDevice) WriteAt(p []byte, off int64, fua bool) error {
	return nbdLost(d.Client.WriteAt(p, off, fua))
}

func (d nbdDevice) WriteZeroes(off, n int64) error {
	return nbdLost(d.Client.WriteZeroes(off, n, false, false))
}

func (d nbdDevice) Flush() error { return nbdLost(d.Client.Flush()) }

func nbdLost(err error) error {
	if errors.Is(err, client.ErrDisconnected) {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// iscsiDevice is an iSCSI session as the stamped workload uses it.
type iscsiDevice struct{ *initiator.Session }

func (d iscsiDevice) WriteAt(p []byte, off int64, fua bool) error {
	return iscsiLost(d.Session.WriteAt(p, off, fua))
}

func (d iscsiDevice) Flush() error { return iscsiLost(d.Sync()) }

// WriteZeroes sends WRITE SAME (16) with UNMAP and a block of zeroes (SBC-3, section 5.46).
func (d iscsiDevice) WriteZeroes(off, n int64) error {
	cdb := make([]byte, 16)
	cdb[0], cdb[1] = 0x93, 0x08
	binary.BigEndian.PutUint64(cdb[2:], uint64(off/int64(d.BlockSize())))
	binary.BigEndian.PutUint32(cdb[10:], uint32(n/int64(d.BlockSize())))
	r, err := d.Command(cdb, make([]byte, d.BlockSize()), nil)
	if err == nil {
		err = r.Err()
	}
	return iscsiLost(err)
}

// iscsiLost tells an answer of the target from the end of the connection.
func iscsiLost(err error) error {
	var answered *initiator.StatusError
	if err == nil || errors.As(err, &answered) {
		return err
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// onlyLost reports whether err, the errors of a workload joined, holds at least one error and no other than errLost.
func onlyLost(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, errLost)
	}
	for _, e := range joined.Unwrap() {
		if !errors.Is(e, errLost) {
			return false
		}
	}
	return true
}

// connections attaches each crash volume twice: by two NBD connections the first, by NBD and iSCSI the others.
func connections(t *testing.T, ctx context.Context, d *harness.Daemon) (devs []stamp.Device, numbers []uint32, closeAll func()) {
	t.Helper()
	var closers []func() error
	for number, name := range crashVolumes {
		share(t, ctx, d, name)
		for connection := range 2 {
			if number > 0 && connection == 1 {
				s, err := initiator.Dial(ctx, d.Addresses.ISCSI, "iqn.2026-11.io.weir:"+name, initiator.Options{})
				if err != nil {
					t.Fatal(err)
				}
				devs, closers = append(devs, iscsiDevice{s}), append(closers, s.Close)
			} else {
				c, err := client.Dial(d.Addresses.NBD, name)
				if err != nil {
					t.Fatal(err)
				}
				if c.Flags&client.FlagMultiConn == 0 {
					t.Error("the door does not say that a flush on one connection covers the others")
				}
				devs, closers = append(devs, nbdDevice{c}), append(closers, c.Close)
			}
			numbers = append(numbers, uint32(number))
		}
	}
	return devs, numbers, func() {
		for _, end := range closers {
			_ = end()
		}
	}
}

// share lets several clients write to a volume at a time: each session of ours is one.
func share(t *testing.T, ctx context.Context, d *harness.Daemon, volume string) {
	t.Helper()
	rules, err := d.Client.Access(ctx, volume)
	if err == nil && !rules.Sharing {
		rules.Sharing = true
		_, err = d.Client.SetAccess(ctx, volume, rules)
	}
	if err != nil {
		t.Fatal(err)
	}
}
