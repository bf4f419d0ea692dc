package appliance

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// reservationBytesMax bounds the record of one unit.
const reservationBytesMax = 16 << 20

// reservations keeps persistent reservations (APTPL) in a folder, one file for each unit, named by its identifier.
type reservations struct{ dir string }

var _ scsi.Store = (*reservations)(nil)

func openReservations(dir string) (*reservations, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("reservations: %w", err)
	}
	return &reservations{dir}, nil
}

func (r *reservations) path(id [16]byte) string {
	return filepath.Join(r.dir, hex.EncodeToString(id[:]))
}

// Load implements scsi.Store.
func (r *reservations) Load(id [16]byte) ([]byte, error) {
	f, err := os.Open(r.path(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reservations: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, reservationBytesMax+1))
	if err == nil && len(b) > reservationBytesMax {
		err = fmt.Errorf("%s is larger than %d bytes", f.Name(), reservationBytesMax)
	}
	if err != nil {
		return nil, fmt.Errorf("reservations: %w", err)
	}
	return b, nil
}

// Save implements scsi.Store: what is there after a power loss is all of record, or what was there before.
func (r *reservations) Save(id [16]byte, record []byte) error {
	path := r.path(id)
	if record == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("reservations: %w", err)
		}
		return syncFolder(r.dir)
	}
	f, err := os.CreateTemp(r.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("reservations: %w", err)
	}
	_, err = f.Write(record)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("reservations: %w", err), os.Remove(f.Name()))
	}
	return syncFolder(r.dir)
}
