package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// FormatVersion is the version of keys and values that this build writes and reads.
const FormatVersion = 1

// What opening or a lookup can come back with.
var (
	ErrNoPoint = errors.New("point is not in the snapshot index")
	ErrVersion = errors.New("snapshot index is of an unsupported version")
)

// Options configure a DB. The zero value is usable.
type Options struct {
	FS         vfs.FS // default: the operating system's
	CacheBytes int64  // default 32 MiB
	Logger     *slog.Logger
}

// DB is the snapshot index of one node. Safe for concurrent use; at most one Intake or Forget may work on a group at a
// time.
type DB struct {
	db     *pebble.DB
	cache  *pebble.Cache
	logger *slog.Logger

	mu      sync.Mutex
	usage   map[uint32]Usage
	dead    map[uint32]bool // packs whose last live block is gone
	volumes uint32          // the last volume number given out
	leased  uint32          // numbers up to here are durably taken
}

// Usage counts the blocks of a store pack.
type Usage struct {
	Live  int64 // blocks that an entry refers to
	Total int64 // blocks ever referred to
}

// Open opens the index in dir, which it creates if absent.
func Open(dir string, opt Options) (*DB, error) {
	if opt.CacheBytes <= 0 {
		opt.CacheBytes = 32 << 20
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	d := &DB{cache: pebble.NewCache(opt.CacheBytes), logger: opt.Logger, usage: map[uint32]Usage{},
		dead: map[uint32]bool{}}
	db, err := pebble.Open(dir, d.options(opt))
	if err != nil {
		d.cache.Unref()
		return nil, fmt.Errorf("open snapshot index: %w", err)
	}
	d.db = db
	if err := errors.Join(d.checkFormat(), d.loadUsage()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *DB) options(opt Options) *pebble.Options {
	o := &pebble.Options{
		FS:                          opt.FS,
		Cache:                       d.cache,
		Comparer:                    comparer,
		Merger:                      usageMerger,
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      quietLogger{opt.Logger},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// quietLogger passes on what the database finds wrong; what it does is not of interest.
type quietLogger struct{ l *slog.Logger }

func (quietLogger) Infof(string, ...any) {}
func (q quietLogger) Errorf(f string, args ...any) {
	q.l.Error("snapshot index: " + fmt.Sprintf(f, args...))
}
func (q quietLogger) Fatalf(f string, args ...any) {
	// The database can not write its log and does not know what it holds: the node stops here and recovers when it is
	// started again.
	q.l.Error("snapshot index: " + fmt.Sprintf(f, args...))
	panic("snapshot index: " + fmt.Sprintf(f, args...))
}

// checkFormat reads, or writes into a new database, the format version and the volume numbers that are taken.
func (d *DB) checkFormat() error {
	v, err := d.get([]byte{keyFormat})
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return d.putFormat(0)
	case err != nil:
		return err
	case len(v) != 8:
		return fmt.Errorf("%w: format record of %d bytes", ErrDamaged, len(v))
	}
	if got := binary.LittleEndian.Uint32(v); got != FormatVersion {
		return fmt.Errorf("%w: %d, this build reads %d", ErrVersion, got, FormatVersion)
	}
	d.leased = binary.LittleEndian.Uint32(v[4:])
	d.volumes = d.leased
	return nil
}

func (d *DB) putFormat(leased uint32) error {
	v := binary.LittleEndian.AppendUint32(nil, FormatVersion)
	v = binary.LittleEndian.AppendUint32(v, leased)
	if err := d.db.Set([]byte{keyFormat}, v, pebble.Sync); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

// volumeLease is how many volume numbers are taken with one durable write.
const volumeLease = 64

// NewVolume gives out a volume number that was never given out before. It is durably taken on return.
func (d *DB) NewVolume() (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.volumes == d.leased {
		if err := d.putFormat(d.leased + volumeLease); err != nil {
			return 0, err
		}
		d.leased += volumeLease
	}
	d.volumes++
	return d.volumes, nil
}

func (d *DB) get(key []byte) ([]byte, error) {
	v, closer, err := d.db.Get(key)
	if err != nil {
		return nil, err
	}
	v = append([]byte(nil), v...)
	return v, closer.Close()
}

// Sync makes everything that was committed before durable.
func (d *DB) Sync() error {
	if err := d.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("snapshot index: sync: %w", err)
	}
	return nil
}

// Close closes the database. Readers must be closed before.
func (d *DB) Close() error {
	err := d.db.Close()
	d.cache.Unref()
	if err != nil {
		return fmt.Errorf("close snapshot index: %w", err)
	}
	return nil
}

// Usage returns the counts of every store pack that has any.
func (d *DB) Usage() map[uint32]Usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.usage)
}

// Sum returns the counts of all store packs together.
func (d *DB) Sum() Usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	var sum Usage
	for _, u := range d.usage {
		sum.Live += u.Live
		sum.Total += u.Total
	}
	return sum
}

// PackUsage returns the counts of one store pack.
func (d *DB) PackUsage(no uint32) Usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usage[no]
}

// DropPack removes the counts of a pack that is deleted.
func (d *DB) DropPack(no uint32) error {
	d.mu.Lock()
	delete(d.usage, no)
	d.mu.Unlock()
	if err := d.db.Delete(packKey(no), pebble.NoSync); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

func (d *DB) loadUsage() error {
	return d.scan([]byte{keyPack}, func(k, v []byte) error {
		if len(k) != 5 {
			return fmt.Errorf("%w: %x is not the key of a pack", ErrDamaged, k)
		}
		u, err := decodeUsage(v)
		d.usage[binary.BigEndian.Uint32(k[1:])] = u
		return err
	})
}

// scan calls f with all keys that begin with prefix, in order, and their values, valid during the call.
func (d *DB) scan(prefix []byte, f func(k, v []byte) error) error {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = f(it.Key(), v)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

var _ io.Closer = (*DB)(nil)
