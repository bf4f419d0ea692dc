package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
)

const readBytes = 256 << 10 // of one iSCSI read

// check reads the volume through iSCSI and the disk from its file, and compares both with what was written; then it lets
// the system compare both sides by its own hashes.
func (d *demo) check(ctx context.Context) error {
	d.say("")
	if err := d.nbd.Close(); err != nil { // a volume has one writer at a time
		return err
	}
	began := time.Now()
	s, err := initiator.Dial(ctx, d.system.Addresses().ISCSI, iscsi.IQN(volume), initiator.Options{})
	if err != nil {
		return fmt.Errorf("iSCSI: %w", err)
	}
	err = d.compare("volume, read through iSCSI", s.ReadAt)
	_ = s.Logout() // the session is over either way
	if err != nil {
		return err
	}
	d.report.ReadMiBPerSecond = float64(len(d.truth)) / (1 << 20) / time.Since(began).Seconds()
	f, err := os.Open(d.disk)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != int64(len(d.truth)) {
		return fmt.Errorf("%w: the disk has %d bytes, the volume %d", api.ErrDiffers, info.Size(), len(d.truth))
	}
	err = d.compare("disk, read from its file", func(p []byte, off int64) error {
		_, err := f.ReadAt(p, off)
		return err
	})
	if err != nil {
		return err
	}
	v, err := d.system.Verify(ctx, volume, func(api.Progress) {})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if !v.Equal {
		return fmt.Errorf("%w: weir verify: %+v", api.ErrDiffers, v)
	}
	d.say("%-28s equal: state hash %s", "gateway and provider", v.Volumes[0].Gateway)
	d.report.Equal = true
	return nil
}

// compare reads everything through read and compares it with what was written.
func (d *demo) compare(what string, read func(p []byte, off int64) error) error {
	p := make([]byte, readBytes)
	for off := 0; off < len(d.truth); off += len(p) {
		p = p[:min(len(p), len(d.truth)-off)]
		if err := read(p, int64(off)); err != nil {
			return fmt.Errorf("%s at %d: %w", what, off, err)
		}
		want := d.truth[off : off+len(p)]
		if !bytes.Equal(p, want) {
			i := 0
			for p[i] == want[i] {
				i++
			}
			return fmt.Errorf("%w: %s, first at byte %d: %#02x, want %#02x", api.ErrDiffers, what, off+i, p[i], want[i])
		}
	}
	d.say("%-28s equal: %d bytes compared", what, len(d.truth))
	return nil
}
